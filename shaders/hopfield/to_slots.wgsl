// y = scale a W^T, [R, D] times [M, D]: scores of queries (flag = 1: scale = beta), and gradients of weights
// (0: scale = 1). The simple kernel: one invocation per element of y. Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/step_params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> a: array<f32>; // [R, D]
@group(0) @binding(1) var<storage, read> patterns: array<f32>; // [M, D]
@group(0) @binding(2) var<storage, read> beta: array<f32>; // [1]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [R, M]
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn to_slots(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.rows * p.slots) {
        let row = i / p.slots * p.features;
        let slot = i % p.slots * p.features;
        var sum = 0.0;
        for (var d = 0u; d < p.features; d++) {
            sum += a[row + d] * patterns[slot + d];
        }
        y[i] = select(1.0, beta[0], p.flag != 0u) * sum;
    }
}
