// Patterns in the order in which the subgroup kernels read them, twice, padded with zeros to whole tiles:
//   for the scores    [Mp/TILE][Dp/4][TILE][4]: panels of TILE slots, four features of each at a time;
//   for the retrieval [Dp/TILE][Mp/4][TILE][4]: panels of TILE features, four slots of each at a time.
// Of every TILE of those features or slots the j-th is k = (j % LANES) * 8 + j / LANES: the j-th that a broadcast
// delivers, for lane j % LANES owns 8 neighbours. One invocation per element. Tests: kernels-tests/hopfield.rs.
#import grid

const WG: u32 = 64u;
const LANES: u32 = 8u; // per subgroup

const TILE: u32 = 8u * LANES;

struct Params {
    slots: u32,           // M
    features: u32,        // D
    slots_padded: u32,    // Mp, a multiple of TILE
    features_padded: u32, // Dp, a multiple of TILE
}

@group(0) @binding(0) var<storage, read> patterns: array<f32>; // [M, D]
@group(0) @binding(1) var<storage, read_write> packed: array<f32>; // [2, Mp * Dp]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn pack(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let half = p.slots_padded * p.features_padded;
    if (i < 2u * half) {
        let of_scores = i < half;
        let length = select(p.slots_padded, p.features_padded, of_scores);
        let place = i % half / (4u * TILE) % (length / 4u) * 4u + i % 4u;
        let j = place % TILE;
        let k = place - j + j % LANES * 8u + j / LANES;
        let row = i % half / (TILE * length) * TILE + i / 4u % TILE;
        let slot = select(k, row, of_scores);
        let feature = select(row, k, of_scores);
        var value = 0.0;
        if (slot < p.slots && feature < p.features) {
            value = patterns[slot * p.features + feature];
        }
        packed[i] = value;
    }
}
