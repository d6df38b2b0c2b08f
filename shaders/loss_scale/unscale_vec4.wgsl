// unscale.wgsl for lengths that are multiples of 4. One invocation per vector.
// Reference and tests: kernels-tests/loss_scale.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // vectors
}

@group(0) @binding(0) var<storage, read> state: array<f32>;
@group(0) @binding(1) var<storage, read_write> grad: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn unscale_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        // A power of two: exact.
        grad[i] = grad[i] * (1.0 / state[0]);
    }
}
