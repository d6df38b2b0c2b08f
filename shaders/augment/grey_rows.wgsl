// Sum of the grey levels of each row of each view after crop and resampling, before any jitter: the
// first half of the mean that contrast needs. The view is sampled again rather than stored.
// pixels: bytes [N, H, W, C]; slots: [B]; statistics: [N, 2]; draws: [V*B, 16]; sums: [V*B, OH].
// One invocation per row, in order of the columns. Reference and tests: kernels-tests/augment.rs.
#import grid
#import sample

const WG: u32 = 64u;

struct Params {
    batch: u32,      // B
    views: u32,      // V*B
    height: u32,     // of the stored images
    width: u32,
    out_height: u32, // of the views
    out_width: u32,
    scale_y: f32,    // height / out_height
    scale_x: f32,
}

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read> draws: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn grey_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let line = workgroup_index(group, groups) * WG + lane;
    if (line < p.views * p.out_height) {
        let view = line / p.out_height;
        let crop = draws[view * 4u];
        let slot = slots[view % p.batch];
        var of_image = vec2<f32>(0.0, 1.0);
        if (STANDARDISE == 1u) {
            of_image = vec2<f32>(statistics[slot * 2u], statistics[slot * 2u + 1u]);
        }
        let step = crop.zw * vec2<f32>(p.scale_x, p.scale_y);
        let origin = crop.xy * vec2<f32>(f32(p.width), f32(p.height));
        let radius = max(step, vec2<f32>(1.0));
        let first = slot * p.height * p.width;
        var sum = 0.0;
        for (var column = 0u; column < p.out_width; column++) {
            let at = vec2<f32>(f32(column), f32(line % p.out_height)) + 0.5;
            let centre = origin + at * step;
            sum += grey_level(sample_image(first, p.width, p.height, centre, radius, of_image));
        }
        sums[line] = sum;
    }
}
