// grad_x = grad_y / (1 + e^-x): the gradient of softplus is the logistic function of its input. Both signs
// of x take the exponential that cannot overflow.
// One invocation per element. Reference and tests: kernels-tests/activation.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
}

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn softplus_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let t = exp(-abs(x[i]));
        grad_x[i] = grad_y[i] * (select(1.0, t, x[i] < 0.0) / (1.0 + t));
    }
}
