// Standard normals for the nodes of every blob's lattice, row after row. A lattice of fewer than 12 by 12
// nodes takes the first of them; other kinds read none.
// draws: [B, 16], see draw.wgsl; nodes: [B, 144].
// One invocation per four nodes. Reference and tests: kernels-tests/damage.rs.
#import grid
#import rng

const WG: u32 = 64u;
const PURPOSE: u32 = 0x424C4F42u; // "BLOB"
const BLOCKS: u32 = 36u;          // of four nodes

struct Params { batch: u32 }

@group(0) @binding(0) var<storage, read> draws: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> nodes: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn lattice(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.batch * BLOCKS) {
        let key = vec2<u32>(draws[i / BLOCKS * 4u + 3u].zw);
        nodes[i] = normals(key, vec4<u32>(i % BLOCKS, 0u, 0u, PURPOSE));
    }
}
