// For every row of a [R, D]: the squared Euclidean distance to the nearest row of b [S, D], and that
// row's index; the first of equals. Differences are squared, never expanded: no cancellation.
// One invocation per row of a. Reference and tests: kernels-tests/nearest.rs.
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
@group(0) @binding(2) var<storage, read_write> distance: array<f32>;
@group(0) @binding(3) var<storage, read_write> index: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups) * WG + lane;
    if (row >= p.rows) {
        return;
    }
    var best = -LOWEST;
    var found = 0u;
    for (var s = 0u; s < p.others; s++) {
        var sum = 0.0;
        for (var d = 0u; d < p.dim; d++) {
            let difference = a[row * p.dim + d] - b[s * p.dim + d];
            sum += difference * difference;
        }
        if (sum < best) {
            best = sum;
            found = s;
        }
    }
    distance[row] = best;
    index[row] = found;
}
