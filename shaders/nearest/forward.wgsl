// The nearest of all runs that partial.wgsl found: distance [R], index [R]; the first of equals.
// distances, indices: [runs, R]. One invocation per row. Reference and tests: kernels-tests/nearest.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32, // R
    runs: u32, // at least 1
}

@group(0) @binding(0) var<storage, read> distances: array<f32>;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
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
    if (row < p.rows) {
        var best = distances[row];
        var found = indices[row];
        for (var r = 1u; r < p.runs; r++) {
            let at = r * p.rows + row;
            if (distances[at] < best) {
                best = distances[at];
                found = indices[at];
            }
        }
        distance[row] = best;
        index[row] = found;
    }
}
