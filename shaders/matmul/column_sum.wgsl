// sums[o] = sum over n of v[n, o], in the order of n: the gradient of a bias.
// One invocation per column. Reference and tests: kernels-tests/matmul.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32, // N
    columns: u32, // O
}

@group(0) @binding(0) var<storage, read> v: array<f32>; // [N, O]
@group(0) @binding(1) var<storage, read_write> sums: array<f32>; // [O]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn column_sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column = workgroup_index(group, groups) * WG + lane;
    if (column < p.columns) {
        var sum = 0.0;
        for (var row = 0u; row < p.rows; row++) {
            sum += v[row * p.columns + column];
        }
        sums[column] = sum;
    }
}
