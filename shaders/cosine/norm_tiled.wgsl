// norm.wgsl with one workgroup per row: neighbouring lanes read neighbouring elements.
// x: [rows, dims], lengths: [rows]. Reference and tests: kernels-tests/cosine.rs.
#import grid
#import reduce

struct Params {
    rows: u32,
    dims: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> lengths: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(REDUCE_SIZE)
fn norm_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups);
    var squares = 0.0;
    if (row < p.rows) {
        for (var d = lane; d < p.dims; d += REDUCE_SIZE) {
            let v = x[row * p.dims + d];
            squares += v * v;
        }
    }
    squares = workgroup_sum(lane, squares);
    if (lane == 0u && row < p.rows) {
        lengths[row] = sqrt(squares);
    }
}
