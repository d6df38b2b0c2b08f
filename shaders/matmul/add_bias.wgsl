// y[n, o] = product[n, o] + bias[o]: the second half of a linear layer.
// One invocation per element. Reference and tests: kernels-tests/matmul.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32, // N
    columns: u32, // O
}

@group(0) @binding(0) var<storage, read> product: array<f32>; // [N, O]
@group(0) @binding(1) var<storage, read> bias: array<f32>; // [O]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [N, O]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn add_bias(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.rows * p.columns) {
        y[i] = product[i] + bias[i % p.columns];
    }
}
