// partial.wgsl for lengths that are multiples of 4: one load brings four elements, each component
// has a sum of its own, and the four are joined at the end.
// x: [len / 4] vectors, partials: [groups * WG]. Reference and tests: kernels-tests/reduce.rs.
#import grid

const WG: u32 = 64u;
const POWER: u32 = 1u;

struct Params {
    len: u32, // vectors
    run: u32, // vectors per workgroup
    groups: u32, // workgroups that own a run
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn partial_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(group, groups);
    let end = min((g + 1u) * p.run, p.len);
    var total = vec4<f32>(0.0);
    for (var i = g * p.run + lane; i < end; i += WG) {
        let v = x[i];
        if (POWER == 2u) {
            total += v * v;
        } else {
            total += v;
        }
    }
    if (g < p.groups) {
        partials[g * WG + lane] = (total.x + total.y) + (total.z + total.w);
    }
}
