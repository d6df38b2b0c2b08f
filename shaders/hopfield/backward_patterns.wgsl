// grad_patterns (+)= weights^T grad_sum + grad_scores^T x: one step's part of the patterns' gradient, rows in
// order. The first step walked back writes, the others (flag = 1) add. The simple kernel: one invocation per element.
// Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/step_params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> weights: array<f32>; // [R, M]
@group(0) @binding(1) var<storage, read> grad_sum: array<f32>; // [R, D]
@group(0) @binding(2) var<storage, read> grad_scores: array<f32>; // [R, M], with beta
@group(0) @binding(3) var<storage, read> x: array<f32>; // [R, D], input of the step
@group(0) @binding(4) var<storage, read_write> grad_patterns: array<f32>; // [M, D]
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_patterns(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.slots * p.features) {
        var m = i / p.features;
        var d = i % p.features;
        var sum = 0.0;
        for (var r = 0u; r < p.rows; r++) {
            sum += weights[m] * grad_sum[d] + grad_scores[m] * x[d];
            m += p.slots;
            d += p.features;
        }
        if (p.flag != 0u) {
            sum += grad_patterns[i];
        }
        grad_patterns[i] = sum;
    }
}
