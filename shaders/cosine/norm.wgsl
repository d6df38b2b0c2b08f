// |x|, the Euclidean length of each row. x: [rows, dims], lengths: [rows].
// One invocation per row. Reference and tests: kernels-tests/cosine.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32,
    dims: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> lengths: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn norm(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups) * WG + lane;
    if (row < p.rows) {
        var squares = 0.0;
        for (var d = 0u; d < p.dims; d++) {
            let v = x[row * p.dims + d];
            squares += v * v;
        }
        lengths[row] = sqrt(squares);
    }
}
