// grad = grad_y where rows.wgsl took the row of this side, a or b, else 0.
// grad_y, grad: [R, D]. One invocation per element. Reference and tests: kernels-tests/select.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32,  // elements
    run: u32,  // elements of one choice
    of_a: u32, // 1: the gradient of a; 0: of b
}

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> choose: array<f32>; // [R / per]
@group(0) @binding(2) var<storage, read_write> grad: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn rows_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let of_a = choose[i / p.run] != 0.0;
        grad[i] = select(0.0, grad_y[i], of_a == (p.of_a == 1u));
    }
}
