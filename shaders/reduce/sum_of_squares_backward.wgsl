// grad_x = 2 x grad: the gradient of a sum of squares.
// x: [len], grad: [1], grad_x: [len]. One invocation per element.
// Reference and tests: kernels-tests/reduce.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> grad: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn sum_of_squares_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        grad_x[i] = 2.0 * x[i] * grad[0];
    }
}
