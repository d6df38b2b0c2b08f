// norms = ||z - retrieved|| of every row of z, retrieved: [R, D]: the deviation of arXiv 2211.09041,
// eq. 8, at every position.
// LANES invocations per row. Reference and tests: kernels-tests/deviation.rs.
#import grid
#import lanes

const WG: u32 = 64u;

struct Params {
    rows: u32,
    dims: u32, // length of a row
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> retrieved: array<f32>;
@group(0) @binding(2) var<storage, read_write> norms: array<f32>; // [R]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn row_norms(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = (workgroup_index(group, groups) * WG + lane) / LANES;
    // Surplus invocations repeat the last row: all must reach the barriers.
    let start = min(row, p.rows - 1u) * p.dims;
    var squares = 0.0;
    for (var d = lane % LANES; d < p.dims; d += LANES) {
        let v = z[start + d] - retrieved[start + d];
        squares += v * v;
    }
    squares = lanes_sum(lane, squares);
    if (row < p.rows && lane % LANES == 0u) {
        norms[row] = sqrt(squares);
    }
}
