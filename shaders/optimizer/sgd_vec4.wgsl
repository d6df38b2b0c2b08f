// sgd.wgsl for lengths that are multiples of 4. param, grad, velocity: [len / 4] vectors, lr: [1],
// non_finite: [1]. One invocation per vector, in place. Reference and tests: kernels-tests/optimizer.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // vectors
    momentum: f32,
    weight_decay: f32,
    lr_scale: f32,
}

@group(0) @binding(0) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> lr: array<f32>;
@group(0) @binding(2) var<storage, read> non_finite: array<u32>;
@group(0) @binding(3) var<storage, read_write> param: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4<f32>>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn sgd_vec4(
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
