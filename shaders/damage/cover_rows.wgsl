// Mean of the mask over the columns of every cell of a view's map, for each row of the image: the first half
// of cover.wgsl. The columns of a flipped view's cells run from right to left.
// mask: [B, H, W]; views: [V*B, 16], draws of augment: crop left, top, width, height as shares of the image,
// flip; y: [V*B, H, GW].
// One invocation per value. Reference and tests: kernels-tests/damage.rs.
#import grid
#import damage/overlap

const WG: u32 = 64u;

struct Params {
    len: u32,     // V*B*H*GW
    batch: u32,   // B
    height: u32,  // H
    width: u32,   // W
    columns: u32, // GW
}

@group(0) @binding(0) var<storage, read> mask: array<f32>;
@group(0) @binding(1) var<storage, read> views: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn cover_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let column = i % p.columns;
        let row = i / p.columns % p.height;
        let view = i / p.columns / p.height;
        let crop = views[view * 4u];
        let flip = views[view * 4u + 1u].x;
        let cell = f32(select(column, p.columns - 1u - column, flip > 0.5));
        let step = crop.z * f32(p.width) / f32(p.columns);
        let low = crop.x * f32(p.width) + cell * step;
        let high = low + step;
        let first = (view % p.batch * p.height + row) * p.width;
        var sum = 0.0;
        var total = 0.0;
        for (var x = u32(low); x < min(u32(ceil(high)), p.width); x++) {
            let weight = overlap(x, low, high);
            sum += weight * mask[first + x];
            total += weight;
        }
        y[i] = sum / total;
    }
}
