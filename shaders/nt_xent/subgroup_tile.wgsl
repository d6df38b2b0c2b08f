// 64 anchors x 64 columns in one subgroup of 8 lanes: a lane owns 8 anchors in two fours, and 16 values come
// in two loads, spread by broadcasts.
#import nt_xent/tile

const LANES: u32 = 8u;

alias Sums = array<vec4<f32>, 16>; // per column or feature, for four anchors
alias Tile = array<vec4<f32>, 64>; // per column of a tile, for four anchors

fn add(s0: ptr<function, Sums>, s1: ptr<function, Sums>, i: u32, v: f32, u0: vec4<f32>, u1: vec4<f32>) {
    (*s0)[i] += u0 * v;
    (*s1)[i] += u1 * v;
}

// Adds to each of the 16 sums of a lane's anchors (u0, u1) times one of 16 values: `low` of the 8 lanes,
// then `high`.
fn spread(s0: ptr<function, Sums>, s1: ptr<function, Sums>, low: f32, high: f32, u0: vec4<f32>, u1: vec4<f32>) {
    add(s0, s1, 0u, subgroupBroadcast(low, 0u), u0, u1);
    add(s0, s1, 1u, subgroupBroadcast(low, 1u), u0, u1);
    add(s0, s1, 2u, subgroupBroadcast(low, 2u), u0, u1);
    add(s0, s1, 3u, subgroupBroadcast(low, 3u), u0, u1);
    add(s0, s1, 4u, subgroupBroadcast(low, 4u), u0, u1);
    add(s0, s1, 5u, subgroupBroadcast(low, 5u), u0, u1);
    add(s0, s1, 6u, subgroupBroadcast(low, 6u), u0, u1);
    add(s0, s1, 7u, subgroupBroadcast(low, 7u), u0, u1);
    add(s0, s1, 8u, subgroupBroadcast(high, 0u), u0, u1);
    add(s0, s1, 9u, subgroupBroadcast(high, 1u), u0, u1);
    add(s0, s1, 10u, subgroupBroadcast(high, 2u), u0, u1);
    add(s0, s1, 11u, subgroupBroadcast(high, 3u), u0, u1);
    add(s0, s1, 12u, subgroupBroadcast(high, 4u), u0, u1);
    add(s0, s1, 13u, subgroupBroadcast(high, 5u), u0, u1);
    add(s0, s1, 14u, subgroupBroadcast(high, 6u), u0, u1);
    add(s0, s1, 15u, subgroupBroadcast(high, 7u), u0, u1);
}

// <z_i, z_j> of this lane's anchors and the columns of a tile.
fn products(tile0: ptr<function, Tile>, tile1: ptr<function, Tile>, anchors: u32, columns: u32, lane: u32) {
    for (var part = 0u; part < 64u; part += 16u) {
        var s0 = Sums();
        var s1 = Sums();
        for (var k = 0u; k < p.padded_features; k++) {
            let start = (columns * p.padded_features + k) * 64u + part + lane;
            let at = (anchors * p.padded_features + k) * QUADS + lane * 2u;
            spread(&s0, &s1, z_column[start], z_column[start + 8u], z_row[at], z_row[at + 1u]);
        }
        // Only here are the sums indexed by a variable, in a loop short enough to be unrolled: any
        // other would move them from registers to memory, five times slower.
        for (var j = 0u; j < 16u; j++) {
            (*tile0)[part + j] = s0[j];
            (*tile1)[part + j] = s1[j];
        }
    }
}
