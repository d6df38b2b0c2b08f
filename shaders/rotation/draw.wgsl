// How often each image of a batch is turned by 90 degrees: 1 to 3 times with equal chances where chosen,
// else not at all. Philox keyed by the seed, counting (image id, 0, step, purpose).
// counters: [4]: seed low, seed high, step, unused; ids, chosen, turns: [B].
// One invocation per image. Reference and tests: kernels-tests/rotation.rs.
#import grid
#import rng

const WG: u32 = 64u;
const PURPOSE: u32 = 0x5455524Eu; // "TURN"

struct Params {
    batch: u32,
}

@group(0) @binding(0) var<storage, read> counters: array<u32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> chosen: array<f32>;
@group(0) @binding(3) var<storage, read_write> turns: array<u32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn draw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.batch) {
        let words = philox(vec2<u32>(counters[0], counters[1]), vec4<u32>(ids[i], 0u, counters[2], PURPOSE));
        turns[i] = select(0u, 1u + u32(3.0 * uniform01(words.x)), chosen[i] != 0.0);
    }
}
