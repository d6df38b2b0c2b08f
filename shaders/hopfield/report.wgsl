// slot[r], entropy[r], steps[r] from the records of the retrieval, which has no bindings left for them.
// One invocation per query. Reference and tests: kernels-tests/hopfield.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32,   // R
    record: u32, // words per row of record
}

@group(0) @binding(0) var<storage, read> record: array<u32>; // [R, slot steps entropy norms..]
@group(0) @binding(1) var<storage, read_write> slot: array<u32>; // [R]
@group(0) @binding(2) var<storage, read_write> entropy: array<f32>; // [R]
@group(0) @binding(3) var<storage, read_write> steps: array<u32>; // [R]
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn report(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = workgroup_index(group, groups) * WG + lane;
    if (r < p.rows) {
        slot[r] = record[r * p.record];
        steps[r] = record[r * p.record + 1u];
        entropy[r] = bitcast<f32>(record[r * p.record + 2u]);
    }
}
