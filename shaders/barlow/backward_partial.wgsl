// Stage 1 of the gradient of standardise.wgsl: sums of grad_y and of y grad_y, of those of `run` rows of one
// column that count. grad_y, y: [rows, cols], valid: [rows], sums, products: [runs, cols].
// One invocation per run and column. Stage 2 is backward_columns.wgsl. Reference and tests:
// kernels-tests/barlow.rs.
#import grid
#import barlow/counts

const WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    run: u32, // rows per run; the last run may have fewer
    runs: u32,
    has_valid: u32,
}

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> valid: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;
@group(0) @binding(4) var<storage, read_write> products: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.runs * p.cols) {
        let first = i / p.cols * p.run;
        let d = i % p.cols;
        var sum = 0.0;
        var product = 0.0;
        for (var r = first; r < min(first + p.run, p.rows); r++) {
            if (counts(r)) {
                let at = r * p.cols + d;
                sum += grad_y[at];
                product += y[at] * grad_y[at];
            }
        }
        sums[i] = sum;
        products[i] = product;
    }
}
