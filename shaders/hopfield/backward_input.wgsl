// grad_x = grad_scores W of the queries that took the step, g of the others. The simple kernel: one
// invocation per element. Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/step_params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> grad_scores: array<f32>; // [R, M], with beta
@group(0) @binding(1) var<storage, read> patterns: array<f32>; // [M, D]
@group(0) @binding(2) var<storage, read> g: array<f32>; // [R, D], dL/d(output)
@group(0) @binding(3) var<storage, read> record: array<u32>; // [R, 4 + T] slot steps entropy stopped norms
@group(0) @binding(4) var<storage, read_write> grad_x: array<f32>; // [R, D]
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.rows * p.features) {
        let r = i / p.features;
        var sum = 0.0;
        for (var m = 0u; m < p.slots; m++) {
            sum += grad_scores[r * p.slots + m] * patterns[m * p.features + i % p.features];
        }
        grad_x[i] = select(g[i], sum, p.step < record[r * p.record + 1u]);
    }
}
