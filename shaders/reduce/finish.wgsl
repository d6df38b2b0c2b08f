// Stage 2 of a sum: total = scale * sum of the partials, in a fixed order.
// partials: [len], total: [1]. One workgroup: lane l adds the partials l, l + REDUCE_SIZE, ... in
// order, then a tree joins the lanes. Reference and tests: kernels-tests/reduce.rs.
#import grid
#import reduce

struct Params {
    len: u32, // partials
    scale: f32,
}

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> total: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(REDUCE_SIZE)
fn finish(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
    for (var i = lane; i < p.len; i += REDUCE_SIZE) {
        sum += partials[i];
    }
    sum = workgroup_sum(lane, sum);
    if (lane == 0u && workgroup_index(group, groups) == 0u) {
        total[0] = p.scale * sum;
    }
}
