// join.wgsl for views whose rows begin and end at vectors. One invocation per vector.
// Reference and tests: kernels-tests/rows.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // vectors of the part
    block: u32, // those of one view in the part
    stride: u32, // those of one view in the whole
    first: u32, // where the part's begin within a view of the whole
    has_grad: u32, // 0: the part reads as zeros
}

@group(0) @binding(0) var<storage, read> part: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> whole: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn join_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let at = i / p.block * p.stride + p.first + i % p.block;
        if (p.has_grad == 1u) {
            whole[at] = part[i];
        } else {
            whole[at] = vec4<f32>();
        }
    }
}
