// Packs the rows of a and b for the tiled kernels: per group (the rows that are contrasted together:
// pair k * groups + group for all k, first of a, then of b) tiles of 64 rows, features outermost, zeros
// where a tile or the features run over; and per row the image it belongs to, all ones if it is padding
// or dropped. One invocation per packed element. Reference and tests: kernels-tests/nt_xent.rs.
#import grid
#import nt_xent/tile

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> a: array<f32>; // [pairs, features]
@group(0) @binding(1) var<storage, read> b: array<f32>; // [pairs, features]
@group(0) @binding(2) var<storage, read> valid: array<f32>; // [pairs]
@group(0) @binding(3) var<storage, read_write> z: array<f32>; // [groups, tiles, padded_features, TILE]
@group(0) @binding(4) var<storage, read_write> tag: array<u32>; // [groups, tiles, TILE]
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn pack(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = workgroup_index(group_id, group_count) * WG + lane;
    let feature = element / TILE % p.padded_features;
    let tile = element / TILE / p.padded_features; // of all groups
    if (tile >= p.groups * p.tiles) {
        return;
    }
    let group = tile / p.tiles;
    let row = tile % p.tiles * TILE + element % TILE;
    let pairs = p.pairs / p.groups; // of this group
    let in_a = row < pairs;
    let k = select(row - pairs, row, in_a);
    let pair = k * p.groups + group;
    let real = row < 2u * pairs;
    var value = 0.0;
    if (real && feature < p.features) {
        if (in_a) {
            value = a[pair * p.features + feature];
        } else {
            value = b[pair * p.features + feature];
        }
    }
    z[element] = value;
    if (feature == 0u) {
        var image = NONE;
        if (real) {
            if (p.has_valid == 0u || valid[pair] != 0.0) {
                image = k / p.image_rows;
            }
        }
        tag[tile * TILE + element % TILE] = image;
    }
}
