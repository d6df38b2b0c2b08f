// y = x / max(||x||, eps) for every row of x: [R, D], as PyTorch's F.normalize. Backward needs y and
// the norm.
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
@group(0) @binding(2) var<storage, read_write> norm: array<f32>; // [R]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn l2_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = (workgroup_index(group, groups) * WG + lane) / LANES;
    // Surplus invocations repeat the last row: all must reach the barriers.
    let start = min(row, p.rows - 1u) * p.dims;
    var squares = 0.0;
    for (var d = lane % LANES; d < p.dims; d += LANES) {
        let v = x[start + d];
        squares += v * v;
    }
    let n = sqrt(lanes_sum(lane, squares));
    let k = 1.0 / max(n, p.eps);
    if (row < p.rows) {
        for (var d = lane % LANES; d < p.dims; d += LANES) {
            y[start + d] = x[start + d] * k;
        }
        if (lane % LANES == 0u) {
            norm[row] = n;
        }
    }
}
