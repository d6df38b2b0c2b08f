// used[slot[r]] = 1 for every query r: which prototypes were recalled since the flags were cleared.
// slot: [R], used: [M]. Stores are atomic, since many queries may share a slot; all store the same.
// One invocation per query. Reference and tests: kernels-tests/hopfield.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32, // R
    slots: u32, // M
}

@group(0) @binding(0) var<storage, read> slot: array<u32>;
@group(0) @binding(1) var<storage, read_write> used: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn usage(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = workgroup_index(group, groups) * WG + lane;
    if (r < p.rows && slot[r] < p.slots) {
        atomicStore(&used[slot[r]], 1u);
    }
}
