// Share of every cell of a view's map that is damaged: the mean of the mask over the cell's rectangle in the
// image, pixels that it cuts weighted by their part inside.
// rows: [V*B, H, GW], see cover_rows.wgsl; views: [V*B, 16], draws of augment; y: [V*B, GH, GW].
// One invocation per cell. Reference and tests: kernels-tests/damage.rs.
#import grid
#import damage/overlap

const WG: u32 = 64u;

struct Params {
    len: u32,       // V*B*GH*GW
    height: u32,    // H
    grid_rows: u32, // GH
    columns: u32,   // GW
}

@group(0) @binding(0) var<storage, read> rows: array<f32>;
@group(0) @binding(1) var<storage, read> views: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn cover(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let column = i % p.columns;
        let cell = f32(i / p.columns % p.grid_rows);
        let view = i / p.columns / p.grid_rows;
        let crop = views[view * 4u];
        let step = crop.w * f32(p.height) / f32(p.grid_rows);
        let low = crop.y * f32(p.height) + cell * step;
        let high = low + step;
        var sum = 0.0;
        var total = 0.0;
        for (var row = u32(low); row < min(u32(ceil(high)), p.height); row++) {
            let weight = overlap(row, low, high);
            sum += weight * rows[(view * p.height + row) * p.columns + column];
            total += weight;
        }
        y[i] = sum / total;
    }
}
