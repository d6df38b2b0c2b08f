// Squared Euclidean distance from every row of a [R, D] to the nearest row of one run of b [S, D], and
// that row's index; the first of equals. Differences are squared, never expanded: no cancellation.
// distances, indices: [runs, R]. One invocation per row of a and run of b; a run is as long as Mesa's
// software driver lets an invocation loop. Reference and tests: kernels-tests/nearest.rs.
#import grid
#import numeric

const WG: u32 = 64u;

struct Params {
    rows: u32, // R
    others: u32, // S, at least 1
    dim: u32, // D
    run: u32, // rows of b per run; the last run may have fewer
    runs: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> distances: array<f32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;

fn squared(at_a: u32, at_b: u32) -> f32 {
    let difference = a[at_a] - b[at_b];
    return difference * difference;
}

@compute @workgroup_size(WG)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i >= p.rows * p.runs) {
        return;
    }
    let from_a = i % p.rows * p.dim;
    let first = i / p.rows * p.run;
    var best = -LOWEST;
    var found = first;
    for (var s = first; s < min(first + p.run, p.others); s++) {
        let from_b = s * p.dim;
        var sum = 0.0;
        // Four terms per round: rounds are what the driver counts.
        for (var d = 0u; d + 4u <= p.dim; d += 4u) {
            sum += squared(from_a + d, from_b + d) + squared(from_a + d + 1u, from_b + d + 1u)
                + squared(from_a + d + 2u, from_b + d + 2u)
                + squared(from_a + d + 3u, from_b + d + 3u);
        }
        for (var d = p.dim / 4u * 4u; d < p.dim; d++) {
            sum += squared(from_a + d, from_b + d);
        }
        if (sum < best) {
            best = sum;
            found = s;
        }
    }
    distances[i] = best;
    indices[i] = found;
}
