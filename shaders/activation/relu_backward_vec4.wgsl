// relu_backward.wgsl for lengths that are multiples of 4. One invocation per vector.
// Reference and tests: kernels-tests/activation.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // vectors
}

#texels grad_y, y
#half grad_y, y, grad_x
@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn relu_backward_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        grad_x[i] = select(grad_y[i], vec4<f32>(0.0), y[i] <= vec4<f32>(0.0));
    }
}
