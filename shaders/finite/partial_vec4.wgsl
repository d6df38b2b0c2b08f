// partial.wgsl for lengths that are multiples of 4: one load brings four elements.
// x: [len / 4] vectors, partials: [groups * WG]. Reference and tests: kernels-tests/finite.rs.
#import grid

const WG: u32 = 64u;
const EXPONENT: u32 = 0x7f800000u;

struct Params {
    len: u32, // vectors
    run: u32, // vectors per workgroup
    groups: u32, // workgroups that own a run
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partials: array<u32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn partial_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(group, groups);
    let end = min((g + 1u) * p.run, p.len);
    let exponent = vec4<u32>(EXPONENT);
    var total = vec4<u32>(0u);
    for (var i = g * p.run + lane; i < end; i += WG) {
        total += select(vec4<u32>(0u), vec4<u32>(1u), (bitcast<vec4<u32>>(x[i]) & exponent) == exponent);
    }
    if (g < p.groups) {
        partials[g * WG + lane] = total.x + total.y + total.z + total.w;
    }
}
