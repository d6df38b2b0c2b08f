// score = mean of the norms of every image.
// LANES invocations per image. Reference and tests: kernels-tests/deviation.rs.
#import grid
#import lanes

const WG: u32 = 64u;

struct Params {
    images: u32,
    positions: u32, // of an image
}

@group(0) @binding(0) var<storage, read> norms: array<f32>; // [images, positions], none negative
@group(0) @binding(1) var<storage, read_write> score: array<f32>; // [images]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn mean(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = (workgroup_index(group, groups) * WG + lane) / LANES;
    // Surplus invocations repeat the last image: all must reach the barriers.
    let start = min(image, p.images - 1u) * p.positions;
    var sum = 0.0;
    for (var i = lane % LANES; i < p.positions; i += LANES) {
        sum += norms[start + i];
    }
    sum = lanes_sum(lane, sum);
    if (image < p.images && lane % LANES == 0u) {
        score[image] = sum / f32(p.positions);
    }
}
