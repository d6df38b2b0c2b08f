// y = a W, [R, M] times [M, D]: sums of patterns, and gradients of queries. The simple kernel: one invocation
// per element of y. Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/step_params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> a: array<f32>; // [R, M]
@group(0) @binding(1) var<storage, read> patterns: array<f32>; // [M, D]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [R, D]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn to_features(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.rows * p.features) {
        let row = i / p.features * p.slots;
        var sum = 0.0;
        for (var m = 0u; m < p.slots; m++) {
            sum += a[row + m] * patterns[m * p.features + i % p.features];
        }
        y[i] = sum;
    }
}
