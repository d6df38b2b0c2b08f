// One step of stochastic gradient descent with Nesterov momentum, in the form of PyTorch's
// torch.optim.SGD (after Sutskever et al. 2013): g = grad + weight_decay p; v = momentum v + g;
// p -= lr lr_scale (g + momentum v). Changes nothing where non_finite is not 0: a gradient
// overflowed somewhere, and this step is skipped as a whole.
// param, grad, velocity: [len], lr: [1], non_finite: [1]. One invocation per element, in place.
// Reference and tests: kernels-tests/optimizer.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
    momentum: f32,
    weight_decay: f32,
    lr_scale: f32,
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> lr: array<f32>;
@group(0) @binding(2) var<storage, read> non_finite: array<u32>;
@group(0) @binding(3) var<storage, read_write> param: array<f32>;
@group(0) @binding(4) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn sgd(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len && non_finite[0] == 0u) {
        let old = param[i];
        let g = grad[i] + p.weight_decay * old;
        let v = p.momentum * velocity[i] + g;
        velocity[i] = v;
        param[i] = old - lr[0] * p.lr_scale * (g + p.momentum * v);
    }
}
