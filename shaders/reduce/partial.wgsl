// Stage 1 of a sum over a whole tensor: each invocation adds its share of x^POWER, POWER = 1 or 2.
// A workgroup owns `run` consecutive elements; its lane l adds the elements l, l + WG, ... of them
// in order. So the tree depends on the length alone, and no barrier is needed.
// x: [len], partials: [groups * WG]. Stage 2 is finish.wgsl.
// Reference and tests: kernels-tests/reduce.rs.
#import grid

const WG: u32 = 64u;
const POWER: u32 = 1u;

struct Params {
    len: u32, // elements
    run: u32, // elements per workgroup
    groups: u32, // workgroups that own a run
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(group, groups);
    let end = min((g + 1u) * p.run, p.len);
    var total = 0.0;
    for (var i = g * p.run + lane; i < end; i += WG) {
        let v = x[i];
        if (POWER == 2u) {
            total += v * v;
        } else {
            total += v;
        }
    }
    if (g < p.groups) {
        partials[g * WG + lane] = total;
    }
}
