// Of every row of a [R, D] the row of b [S, D] with the least |b|^2 - 2 a.b, the first of equals, and the
// squared distance to it. The products choose; the distance is then summed from differences, so that
// cancellation may at most choose a row that is as near within rounding of the rows' own lengths.
// products: [R, S]; squares: [S]; distance, index: [R].
// One invocation per row. Reference and tests: kernels-tests/nearest.rs.
#import grid
#import numeric

const WG: u32 = 64u;

struct Params {
    rows: u32, // R
    others: u32, // S, at least 1
    dim: u32, // D
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> products: array<f32>;
@group(0) @binding(3) var<storage, read> squares: array<f32>;
@group(0) @binding(4) var<storage, read_write> distance: array<f32>;
@group(0) @binding(5) var<storage, read_write> index: array<u32>;
@group(0) @binding(6) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn choose(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups) * WG + lane;
    if (row < p.rows) {
        var best = -LOWEST;
        var found = 0u;
        for (var s = 0u; s < p.others; s++) {
            let score = squares[s] - 2.0 * products[row * p.others + s];
            found = select(found, s, score < best);
            best = min(best, score);
        }
        var sum = 0.0;
        for (var d = 0u; d < p.dim; d++) {
            let difference = a[row * p.dim + d] - b[found * p.dim + d];
            sum += difference * difference;
        }
        distance[row] = sum;
        index[row] = found;
    }
}
