// sums[r, o] = sum over the rows n of run r of v[n, o], in the order of n: the gradient of a bias, or parts of it that
// conv2d/sum_partials.wgsl adds.
// One invocation per run and column. Reference and tests: kernels-tests/matmul.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32, // N
    columns: u32, // O
    run: u32, // rows of a run
    runs: u32,
}

@group(0) @binding(0) var<storage, read> v: array<f32>; // [N, O]
@group(0) @binding(1) var<storage, read_write> sums: array<f32>; // [runs, O]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn column_sum(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.runs * p.columns) {
        let first = i / p.columns * p.run;
        let column = i % p.columns;
        var sum = 0.0;
        for (var row = first; row < min(first + p.run, p.rows); row++) {
            sum += v[row * p.columns + column];
        }
        sums[i] = sum;
    }
}
