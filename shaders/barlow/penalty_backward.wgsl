// grad_c of penalty.wgsl: -2 (1 - c) grad on the diagonal, 2 lambda c grad elsewhere. grad, c, grad_c: [D, D].
// One invocation per element. Reference and tests: kernels-tests/barlow.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    dim: u32, // D
    lambda: f32,
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> c: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad_c: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn penalty_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.dim * p.dim) {
        let slope = select(p.lambda * c[i], c[i] - 1.0, i / p.dim == i % p.dim);
        grad_c[i] = 2.0 * slope * grad[i];
    }
}
