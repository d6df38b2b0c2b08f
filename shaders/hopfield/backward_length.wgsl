// grad_sum = (g - y (y . g)) / |sum|, the gradient through y = sum / |sum|, of the queries that took the
// step; g of the others, which their zero weights drop. The simple kernel: one invocation per query.
// Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/step_params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> g: array<f32>; // [R, D], dL/dy
@group(0) @binding(1) var<storage, read> y: array<f32>; // [R, D], output of the step
@group(0) @binding(2) var<storage, read> record: array<u32>; // [R, 4 + L] slot steps entropy stopped norms
@group(0) @binding(3) var<storage, read_write> grad_sum: array<f32>; // [R, D]
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_length(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = workgroup_index(group, groups) * WG + lane;
    if (r < p.rows) {
        let row = r * p.features;
        var along = 0.0;
        for (var d = 0u; d < p.features; d++) {
            along += y[row + d] * g[row + d];
        }
        var length = 1.0;
        if (p.step < record[r * p.record + 1u]) {
            length = bitcast<f32>(record[r * p.record + 4u + p.step]);
        } else {
            along = 0.0;
        }
        // Below 1e-12 the forward pass divides by 1e-12, a constant.
        along = select(0.0, along, length > 1e-12);
        for (var d = 0u; d < p.features; d++) {
            grad_sum[row + d] = (g[row + d] - y[row + d] * along) / max(length, 1e-12);
        }
    }
}
