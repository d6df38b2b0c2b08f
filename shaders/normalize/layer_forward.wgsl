// y = (x - mean) / sqrt(variance + eps) with each row's own mean and biased variance (Ba, Kiros and
// Hinton 2016, without gain and bias), x: [R, D]. Two passes, since a mean far from 0 would swallow
// the variance in one. Backward needs y and the divisor.
// LANES invocations per row. Reference and tests: kernels-tests/normalize.rs.
#import grid
#import lanes

const WG: u32 = 64u;

struct Params {
    rows: u32,
    dims: u32, // length of a row
    eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> divisor: array<f32>; // [R]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn layer_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = (workgroup_index(group, groups) * WG + lane) / LANES;
    // Surplus invocations repeat the last row: all must reach the barriers.
    let start = min(row, p.rows - 1u) * p.dims;
    var sum = 0.0;
    for (var d = lane % LANES; d < p.dims; d += LANES) {
        sum += x[start + d];
    }
    let n = f32(p.dims);
    let mean = lanes_sum(lane, sum) / n;
    var squares = 0.0;
    for (var d = lane % LANES; d < p.dims; d += LANES) {
        let v = x[start + d] - mean;
        squares += v * v;
    }
    let s = sqrt(lanes_sum(lane, squares) / n + p.eps);
    if (row < p.rows) {
        for (var d = lane % LANES; d < p.dims; d += LANES) {
            y[start + d] = (x[start + d] - mean) / s;
        }
        if (lane % LANES == 0u) {
            divisor[row] = s;
        }
    }
}
