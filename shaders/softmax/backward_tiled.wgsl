// backward.wgsl with one workgroup per row. y, grad_y, grad_x: [rows, cols].
// Reference and tests: kernels-tests/softmax.rs.
#import grid
#import reduce

struct Params {
    rows: u32,
    cols: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(REDUCE_SIZE)
fn backward_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups);
    // No early return above a barrier: a surplus workgroup walks an empty row.
    let cols = select(0u, p.cols, row < p.rows);
    let start = row * p.cols;
    var dot = 0.0;
    for (var c = lane; c < cols; c += REDUCE_SIZE) {
        dot += y[start + c] * grad_y[start + c];
    }
    dot = workgroup_sum(lane, dot);
    for (var c = lane; c < cols; c += REDUCE_SIZE) {
        let i = start + c;
        grad_x[i] = p.scale * y[i] * (grad_y[i] - dot);
    }
}
