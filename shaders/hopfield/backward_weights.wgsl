// grad_scores = beta p (g - p . g) by row, the gradient through p = softmax(beta s). Queries that did not
// take the step get zeros, in weights too. The simple kernel: one invocation per query. Reference and tests:
// kernels-tests/hopfield.rs.
#import grid
#import hopfield/step_params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> grad_weights: array<f32>; // [R, M], g
@group(0) @binding(1) var<storage, read> beta: array<f32>; // [1]
@group(0) @binding(2) var<storage, read> record: array<u32>; // [R, 4 + L] slot steps entropy stopped norms
@group(0) @binding(3) var<storage, read_write> weights: array<f32>; // [R, M], p
@group(0) @binding(4) var<storage, read_write> grad_scores: array<f32>; // [R, M]
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_weights(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = workgroup_index(group, groups) * WG + lane;
    if (r < p.rows) {
        let row = r * p.slots;
        let taken = p.step < record[r * p.record + 1u];
        var mean = 0.0;
        for (var m = 0u; m < p.slots; m++) {
            mean += weights[row + m] * grad_weights[row + m];
        }
        for (var m = 0u; m < p.slots; m++) {
            let weight = select(0.0, weights[row + m], taken);
            grad_scores[row + m] = beta[0] * weight * (grad_weights[row + m] - mean);
            weights[row + m] = weight;
        }
    }
}
