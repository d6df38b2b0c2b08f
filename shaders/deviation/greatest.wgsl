// score = mean of the `count` greatest norms of every image; 1: the greatest. The bits of floats that
// are not negative sort as they do, so the count-th greatest is found bit by bit, from the top:
// exact, whatever the ties. NaN sorts above all and is not lost.
// LANES invocations per image. Reference and tests: kernels-tests/deviation.rs.
#import grid
#import lanes

const WG: u32 = 64u;

struct Params {
    images: u32,
    positions: u32, // of an image
    count: u32,     // how many of the greatest are averaged
}

@group(0) @binding(0) var<storage, read> norms: array<f32>; // [images, positions], none negative
@group(0) @binding(1) var<storage, read_write> score: array<f32>; // [images]
@group(0) @binding(2) var<uniform> p: Params;

fn key(i: u32) -> u32 {
    return bitcast<u32>(norms[i]) & 0x7fffffffu;
}

@compute @workgroup_size(WG)
fn greatest(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = (workgroup_index(group, groups) * WG + lane) / LANES;
    // Surplus invocations repeat the last image: all must reach the barriers.
    let start = min(image, p.images - 1u) * p.positions;
    // The greatest key that `count` or more reach. Counts are exact in f32 below 2^24.
    var least = 0u;
    for (var bit = 0x40000000u; bit > 0u; bit >>= 1u) {
        let next = least | bit;
        var reach = 0.0;
        for (var i = lane % LANES; i < p.positions; i += LANES) {
            reach += select(0.0, 1.0, key(start + i) >= next);
        }
        if (lanes_sum(lane, reach) >= f32(p.count)) {
            least = next;
        }
    }
    var sum = 0.0;
    var above = 0.0;
    for (var i = lane % LANES; i < p.positions; i += LANES) {
        if (key(start + i) > least) {
            sum += norms[start + i];
            above += 1.0;
        }
    }
    sum = lanes_sum(lane, sum);
    above = lanes_sum(lane, above);
    if (image < p.images && lane % LANES == 0u) {
        score[image] = (sum + (f32(p.count) - above) * bitcast<f32>(least)) / f32(p.count);
    }
}
