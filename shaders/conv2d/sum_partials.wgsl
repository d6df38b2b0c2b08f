// sum[i] = sum over s of partials[s, i], in the order of s: the second half of a sum over pixels that was split.
// One invocation per element. Tests: kernels-tests/conv2d.rs, with backward_weight.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements of sum
    splits: u32,
}

@group(0) @binding(0) var<storage, read> partials: array<f32>; // [splits, len]
@group(0) @binding(1) var<storage, read_write> sum: array<f32>; // [len]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn sum_partials(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        var total = 0.0;
        for (var split = 0u; split < p.splits; split++) {
            total += partials[split * p.len + i];
        }
        sum[i] = total;
    }
}
