// Stage 1 of counting values that are infinite or NaN, judged by their bits: drivers may assume
// that neither occurs and fold comparisons. Each invocation counts its share: a workgroup owns `run`
// consecutive elements, its lane l takes the elements l, l + WG, ... of them.
// x: [len], partials: [groups * WG]. Stage 2 is finish.wgsl.
// Reference and tests: kernels-tests/finite.rs.
#import grid

const WG: u32 = 64u;
const EXPONENT: u32 = 0x7f800000u;

struct Params {
    len: u32, // elements
    run: u32, // elements per workgroup
    groups: u32, // workgroups that own a run
}

// Floats, read as bits.
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> partials: array<u32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(group, groups);
    let end = min((g + 1u) * p.run, p.len);
    var total = 0u;
    for (var i = g * p.run + lane; i < end; i += WG) {
        total += select(0u, 1u, (x[i] & EXPONENT) == EXPONENT);
    }
    if (g < p.groups) {
        partials[g * WG + lane] = total;
    }
}
