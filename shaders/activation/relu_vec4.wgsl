// relu.wgsl for lengths that are multiples of 4. One invocation per vector.
// Reference and tests: kernels-tests/activation.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // vectors
}

#half x, y
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn relu_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        y[i] = select(x[i], vec4<f32>(0.0), x[i] < vec4<f32>(0.0));
    }
}
