// dL/dx of layer normalisation: grad_x = (grad_y - mean(grad_y) - y mean(grad_y y)) / divisor, means
// over the row.
// LANES invocations per row. Reference and tests: kernels-tests/normalize.rs.
#import grid
#import lanes

const WG: u32 = 64u;

struct Params {
    rows: u32,
    dims: u32, // length of a row
    eps: f32,
}

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;  // [R, D]
@group(0) @binding(1) var<storage, read> y: array<f32>;       // [R, D]
@group(0) @binding(2) var<storage, read> divisor: array<f32>; // [R]
@group(0) @binding(3) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn layer_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = (workgroup_index(group, groups) * WG + lane) / LANES;
    // Surplus invocations repeat the last row: all must reach the barriers.
    let start = min(row, p.rows - 1u) * p.dims;
    var sum = 0.0;
    var dot = 0.0;
    for (var d = lane % LANES; d < p.dims; d += LANES) {
        let g = grad_y[start + d];
        sum += g;
        dot += g * y[start + d];
    }
    let n = f32(p.dims);
    let mean = lanes_sum(lane, sum) / n;
    let slope = lanes_sum(lane, dot) / n;
    if (row < p.rows) {
        let s = divisor[row];
        for (var d = lane % LANES; d < p.dims; d += LANES) {
            grad_x[start + d] = (grad_y[start + d] - mean - y[start + d] * slope) / s;
        }
    }
}
