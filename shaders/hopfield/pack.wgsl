// Patterns in the order in which the subgroup kernels read them, twice, padded with zeros to whole tiles:
//   for the scores    [Mp/TILE][Dp][TILE]: panels of TILE slots, a row of them per feature;
//   for the retrieval [Dp/TILE][Mp][TILE]: panels of TILE features, a row of them per slot.
// Within a tile, row j of a panel is k = (j % LANES) * 8 + j / LANES: the j-th that a broadcast delivers, for
// lane j % LANES owns 8 neighbours. One invocation per element. Tests: kernels-tests/hopfield.rs.
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
        let row = i % half / TILE % length;
        let j = row % TILE;
        let k = row - j + j % LANES * 8u + j / LANES;
        let column = i % half / (TILE * length) * TILE + i % TILE;
        let slot = select(k, column, of_scores);
        let feature = select(column, k, of_scores);
        var value = 0.0;
        if (slot < p.slots && feature < p.features) {
            value = patterns[slot * p.features + feature];
        }
        packed[i] = value;
    }
}
