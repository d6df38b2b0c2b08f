// out[r, m, n] = sum over the k of run r of A[m, k] B[k, n], where A is a or its transpose, and B is b or its transpose.
// Forward and both gradients of a matrix product are this with other flags; conv2d/sum_partials.wgsl adds the runs.
// One invocation per element of out: the rung below the faster kernels (those of conv2d, which see a product as
// a convolution with a 1 x 1 kernel) and their oracle.
// Reference and tests: kernels-tests/matmul.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32, // M
    inner: u32, // K
    columns: u32, // N
    a_transposed: u32, // 1: a is stored [K, M]
    b_transposed: u32, // 1: b is stored [N, K]
    run: u32, // k of a run
    runs: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>; // [M, K] or [K, M]
@group(0) @binding(1) var<storage, read> b: array<f32>; // [K, N] or [N, K]
@group(0) @binding(2) var<storage, read_write> out: array<f32>; // [runs, M, N]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i >= p.runs * p.rows * p.columns) {
        return;
    }
    let first = i / (p.rows * p.columns) * p.run;
    let m = i / p.columns % p.rows;
    let n = i % p.columns;
    // Distances between neighbours along m, k and n.
    let a_m = select(p.inner, 1u, p.a_transposed == 1u);
    let a_k = select(1u, p.rows, p.a_transposed == 1u);
    let b_k = select(p.columns, 1u, p.b_transposed == 1u);
    let b_n = select(1u, p.inner, p.b_transposed == 1u);
    var sum = 0.0;
    for (var k = first; k < min(first + p.run, p.inner); k++) {
        sum += a[m * a_m + k * a_k] * b[k * b_k + n * b_n];
    }
    out[i] = sum;
}
