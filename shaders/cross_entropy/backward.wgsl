// grad_x = grad (softmax(x) - 1 at the label) in each row; 0 in a row whose label is no column.
// One invocation per element. Reference and tests: kernels-tests/cross_entropy.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32, // classes
}

@group(0) @binding(0) var<storage, read> grad: array<f32>; // [rows]
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, cols]
@group(0) @binding(2) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(3) var<storage, read> parts: array<f32>; // [rows, 2], from forward.wgsl
@group(0) @binding(4) var<storage, read_write> grad_x: array<f32>; // [rows, cols]
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.rows * p.cols) {
        let row = i / p.cols;
        let share = exp(x[i] - parts[2u * row]) / parts[2u * row + 1u];
        let wanted = select(0.0, 1.0, i % p.cols == labels[row]);
        grad_x[i] = select(0.0, grad[row] * (share - wanted), labels[row] < p.cols);
    }
}
