// grad_x = scale y (grad_y - sum over the row of y grad_y): the gradient of softmax(scale x) from
// its output. y, grad_y, grad_x: [rows, cols]. One invocation per row, as forward.wgsl.
// Reference and tests: kernels-tests/softmax.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups) * WG + lane;
    if (row >= p.rows) {
        return;
    }
    let start = row * p.cols;
    let end = start + p.cols;
    var dot = 0.0;
    for (var i = start; i < end; i++) {
        dot += y[i] * grad_y[i];
    }
    for (var i = start; i < end; i++) {
        grad_x[i] = p.scale * y[i] * (grad_y[i] - dot);
    }
}
