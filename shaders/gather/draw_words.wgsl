// words[p] = one random word per position: Philox4x32-10 with key (seed) and counter (p, step, purpose, 0).
// One invocation per position. Reference and tests: kernels-tests/gather.rs.
#import grid
#import rng

const WG: u32 = 64u;

struct Params {
    positions: u32, // P
    count: u32,     // n, positions drawn
    images: u32,    // B
    purpose: u32,   // sets apart the draws of one step
}

@group(0) @binding(0) var<storage, read> counters: array<u32>; // [4] seed low, seed high, step, 0
@group(0) @binding(1) var<storage, read_write> words: array<u32>; // [P]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn draw_words(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.positions) {
        let key = vec2<u32>(counters[0], counters[1]);
        words[i] = philox(key, vec4<u32>(i, counters[2], p.purpose, 0u)).x;
    }
}
