// Stored images as the network sees them without augmentation: resampled where the sizes differ,
// (v - mean) / std.
// pixels: bytes [N, H, W, C]; slots: [B]; statistics: [N, 2]; y: [B, OH, OW, C].
// One invocation per pixel. Reference and tests: kernels-tests/augment.rs.
#import grid
#import sample

const WG: u32 = 64u;

struct Params {
    batch: u32,      // B
    height: u32,     // of the stored images
    width: u32,
    out_height: u32,
    out_width: u32,
    scale_y: f32,    // height / out_height
    scale_x: f32,
    mean_r: f32,
    mean_g: f32,
    mean_b: f32,
    std_r: f32,
    std_g: f32,
    std_b: f32,
}

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn plain(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let area = p.out_height * p.out_width;
    if (i < p.batch * area) {
        let slot = slots[i / area];
        var of_image = vec2<f32>(0.0, 1.0);
        if (STANDARDISE == 1u) {
            of_image = vec2<f32>(statistics[slot * 2u], statistics[slot * 2u + 1u]);
        }
        let step = vec2<f32>(p.scale_x, p.scale_y);
        let at = vec2<f32>(f32(i % p.out_width), f32(i % area / p.out_width)) + 0.5;
        let first = slot * p.height * p.width;
        let radius = max(step, vec2<f32>(1.0));
        var v = sample_image(first, p.width, p.height, at * step, radius, of_image);
        v = (v - vec3<f32>(p.mean_r, p.mean_g, p.mean_b)) / vec3<f32>(p.std_r, p.std_g, p.std_b);
        let to = i * CHANNELS;
        y[to] = v.x;
        if (CHANNELS == 3u) {
            y[to + 1u] = v.y;
            y[to + 2u] = v.z;
        }
    }
}
