// Stage 2 of the gradient of standardise.wgsl: mean of grad_y over the rows that count and y . grad_y.
// sums, products: [runs, cols], share: [1], 1 / n; mean, dot: [cols].
// One invocation per column. Reference and tests: kernels-tests/barlow.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    cols: u32,
    runs: u32,
}

@group(0) @binding(0) var<storage, read> sums: array<f32>;
@group(0) @binding(1) var<storage, read> products: array<f32>;
@group(0) @binding(2) var<storage, read> share: array<f32>;
@group(0) @binding(3) var<storage, read_write> mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> dot: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_columns(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.cols) {
        var sum = 0.0;
        var product = 0.0;
        for (var c = 0u; c < p.runs; c++) {
            sum += sums[c * p.cols + i];
            product += products[c * p.cols + i];
        }
        mean[i] = sum * share[0];
        dot[i] = product;
    }
}
