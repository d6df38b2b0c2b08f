// copy.wgsl for rows that are multiples of 4 long.
// One invocation per vector. Reference and tests: kernels-tests/rows.rs.
#import grid

const WG: u32 = 64u;
const JOIN: u32 = 0u; // 0: part = whole; 1: whole = part

struct Params {
    len: u32, // vectors of the part
    block: u32, // those of one view in the part
    stride: u32, // those of one view in the whole
    first: u32, // where the part's begin within a view of the whole
    zeros: u32, // 1: zeros are written instead
}

#half source, copied
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> copied: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn copy_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let of_whole = i / p.block * p.stride + p.first + i % p.block;
        let at = select(i, of_whole, JOIN == 1u);
        if (p.zeros == 1u) {
            copied[at] = vec4<f32>();
        } else {
            copied[at] = source[select(of_whole, i, JOIN == 1u)];
        }
    }
}
