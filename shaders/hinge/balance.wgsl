// weights = 0 for entries that do not count; the normal ones among the others together weigh one half, and so
// do the anomalous ones.
// normal: [N], 0: an anomaly; counts: [C], entry i has counts[i % C]; weights: [N].
// One workgroup, twice over the entries. Reference and tests: kernels-tests/hinge.rs.
#import grid
#import reduce
#import hinge/halves

struct Params {
    len: u32,    // N
    period: u32, // C
}

@group(0) @binding(0) var<storage, read> normal: array<f32>;
@group(0) @binding(1) var<storage, read> counts: array<f32>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

// x: 1 for a normal entry, y: 1 for an anomalous one.
fn sides(i: u32) -> vec2<f32> {
    let side = select(vec2<f32>(0.0, 1.0), vec2<f32>(1.0, 0.0), normal[i] != 0.0);
    return select(vec2<f32>(0.0), side, counts[i % p.period] != 0.0);
}

@compute @workgroup_size(REDUCE_SIZE)
fn balance(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var count = vec2<f32>(0.0);
    for (var i = lane; i < p.len; i += REDUCE_SIZE) {
        count += sides(i);
    }
    let each = halves(lane, count);
    if (workgroup_index(group, groups) == 0u) {
        for (var i = lane; i < p.len; i += REDUCE_SIZE) {
            weights[i] = dot(sides(i), each);
        }
    }
}
