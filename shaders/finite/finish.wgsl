// Stage 2 of counting values that are infinite or NaN: the sum of the partial counts.
// partials: [len], count: [1]. One workgroup: lane l adds the partials l, l + WG, ..., then a tree
// joins the lanes. Reference and tests: kernels-tests/finite.rs.
#import grid

const WG: u32 = 256u;
var<workgroup> counts: array<u32, WG>;

struct Params {
    len: u32, // partials
}

@group(0) @binding(0) var<storage, read> partials: array<u32>;
@group(0) @binding(1) var<storage, read_write> count: array<u32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn finish(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var total = 0u;
    for (var i = lane; i < p.len; i += WG) {
        total += partials[i];
    }
    counts[lane] = total;
    workgroupBarrier();
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            counts[lane] += counts[lane + half];
        }
        workgroupBarrier();
    }
    if (lane == 0u && workgroup_index(group, groups) == 0u) {
        count[0] = counts[0];
    }
}
