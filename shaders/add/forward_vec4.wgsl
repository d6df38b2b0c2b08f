// forward.wgsl for lengths that are multiples of 4. One invocation per vector.
// Reference and tests: kernels-tests/add.rs.
#import grid

const WG: u32 = 64u;
const RELU: u32 = 0u; // 1: max(sum, 0), as activation/relu.wgsl

struct Params {
    len: u32, // vectors
}

#texels a, b
#half a, b, sum
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> sum: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        var both = a[i] + b[i];
        if (RELU == 1u) {
            both = select(both, vec4<f32>(), both < vec4<f32>());
        }
        sum[i] = both;
    }
}
