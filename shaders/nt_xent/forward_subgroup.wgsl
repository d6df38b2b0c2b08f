// forward.wgsl without barriers or workgroup memory, for software drivers of 8 lanes: per row the
// log-sum-exp over its allowed others and its loss. One workgroup = one subgroup per tile of 64 anchors;
// for the column tiles begin..end of its group, from the lse and -s_pair that the launch before left;
// a lane owns 8 anchors, and each feature of 16 columns comes in two loads, spread by broadcasts.
// Rows packed by pack.wgsl, `z` and `tag` bound twice. Reference and tests: kernels-tests/nt_xent.rs.
#import grid

const LANES: u32 = 8u;
const QUADS: u32 = 16u; // groups of four rows in a tile
const NONE: u32 = 0xffffffffu;
// In place of a similarity that is not allowed: exp of its distance to any other is 0, and unlike
// that of the lowest f32, the distance times log2(e) is finite.
const MASKED: f32 = -1.0e30;

struct Params {
    pairs: u32, // n
    features: u32, // D, not used here
    padded_features: u32,
    groups: u32,
    image_rows: u32, // not used here
    tiles: u32, // of a group
    has_valid: u32, // not used here
    inverse_tau: f32,
    begin: u32, // columns of the group that this launch takes: tiles
    end: u32, // one past them
}

@group(0) @binding(0) var<storage, read> z_row: array<vec4<f32>>; // [groups, tiles, padded_features, QUADS]
@group(0) @binding(1) var<storage, read> z_column: array<f32>; // [groups, tiles, padded_features, 64]
@group(0) @binding(2) var<storage, read> tag_row: array<vec4<u32>>; // [groups, tiles, QUADS]
@group(0) @binding(3) var<storage, read> tag_column: array<u32>; // [groups, tiles, 64]
@group(0) @binding(4) var<storage, read_write> lse: array<vec4<f32>>; // [groups, tiles, QUADS]
@group(0) @binding(5) var<storage, read_write> term: array<vec4<f32>>; // the same
@group(0) @binding(6) var<uniform> p: Params;

alias Sums = array<vec4<f32>, 16>; // per column, for four anchors
alias Tile = array<vec4<f32>, 64>; // likewise, of a whole tile

// Adds to each of the 16 sums of a lane's anchors (u0, u1) times one of 16 values: `low` of the 8 lanes,
// then `high`.
fn spread(
    s0: ptr<function, Sums>,
    s1: ptr<function, Sums>,
    low: f32,
    high: f32,
    u0: vec4<f32>,
    u1: vec4<f32>,
) {
    let v0 = subgroupBroadcast(low, 0u);
    (*s0)[0] += u0 * v0;
    (*s1)[0] += u1 * v0;
    let v1 = subgroupBroadcast(low, 1u);
    (*s0)[1] += u0 * v1;
    (*s1)[1] += u1 * v1;
    let v2 = subgroupBroadcast(low, 2u);
    (*s0)[2] += u0 * v2;
    (*s1)[2] += u1 * v2;
    let v3 = subgroupBroadcast(low, 3u);
    (*s0)[3] += u0 * v3;
    (*s1)[3] += u1 * v3;
    let v4 = subgroupBroadcast(low, 4u);
    (*s0)[4] += u0 * v4;
    (*s1)[4] += u1 * v4;
    let v5 = subgroupBroadcast(low, 5u);
    (*s0)[5] += u0 * v5;
    (*s1)[5] += u1 * v5;
    let v6 = subgroupBroadcast(low, 6u);
    (*s0)[6] += u0 * v6;
    (*s1)[6] += u1 * v6;
    let v7 = subgroupBroadcast(low, 7u);
    (*s0)[7] += u0 * v7;
    (*s1)[7] += u1 * v7;
    let v8 = subgroupBroadcast(high, 0u);
    (*s0)[8] += u0 * v8;
    (*s1)[8] += u1 * v8;
    let v9 = subgroupBroadcast(high, 1u);
    (*s0)[9] += u0 * v9;
    (*s1)[9] += u1 * v9;
    let v10 = subgroupBroadcast(high, 2u);
    (*s0)[10] += u0 * v10;
    (*s1)[10] += u1 * v10;
    let v11 = subgroupBroadcast(high, 3u);
    (*s0)[11] += u0 * v11;
    (*s1)[11] += u1 * v11;
    let v12 = subgroupBroadcast(high, 4u);
    (*s0)[12] += u0 * v12;
    (*s1)[12] += u1 * v12;
    let v13 = subgroupBroadcast(high, 5u);
    (*s0)[13] += u0 * v13;
    (*s1)[13] += u1 * v13;
    let v14 = subgroupBroadcast(high, 6u);
    (*s0)[14] += u0 * v14;
    (*s1)[14] += u1 * v14;
    let v15 = subgroupBroadcast(high, 7u);
    (*s0)[15] += u0 * v15;
    (*s1)[15] += u1 * v15;
}

// Four anchors: their images and pairs, running maxima, sums relative to them, pairs' similarities.
struct Rows {
    tag: vec4<u32>,
    pair: vec4<u32>,
    top: vec4<f32>,
    sum: vec4<f32>,
    positive: vec4<f32>,
}

fn rows_of(quad: u32, row: u32, rows: u32) -> Rows {
    let pair = (vec4(row, row + 1u, row + 2u, row + 3u) + rows / 2u) % rows;
    if (p.begin > 0u) {
        return Rows(tag_row[quad], pair, lse[quad], vec4(1.0), -term[quad]);
    }
    return Rows(tag_row[quad], pair, vec4(MASKED), vec4(0.0), vec4(0.0));
}

// The four anchors meet the 64 columns of a tile, the first of which is `column` of the group.
fn met(r: ptr<function, Rows>, s: ptr<function, Tile>, tile: u32, column: u32) {
    var top = (*r).top;
    for (var j = 0u; j < 64u; j++) {
        let scaled = (*s)[j] * p.inverse_tau;
        let is_pair = (*r).pair == vec4(column + j);
        let tag = tag_column[tile * 64u + j];
        let allowed = vec4(tag != NONE) & (((*r).tag != vec4(tag)) | is_pair);
        (*r).positive += select(vec4(0.0), scaled, is_pair);
        let kept = select(vec4(MASKED), scaled, allowed);
        top = max(top, kept);
        (*s)[j] = kept;
    }
    var sum = (*r).sum * exp((*r).top - top);
    for (var j = 0u; j < 64u; j++) {
        sum += exp((*s)[j] - top);
    }
    (*r).top = top;
    (*r).sum = sum;
}

fn store(r: ptr<function, Rows>, quad: u32) {
    let kept = (*r).tag != vec4(NONE);
    let log_sum = log((*r).sum);
    let loss = select(-(*r).positive, ((*r).top - (*r).positive) + log_sum, p.end == p.tiles);
    lse[quad] = select(vec4(0.0), (*r).top + log_sum, kept);
    term[quad] = select(vec4(0.0), loss, kept);
}

@compute @workgroup_size(LANES)
fn forward_subgroup(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let anchors = workgroup_index(group_id, group_count);
    if (anchors >= p.groups * p.tiles) {
        return;
    }
    let first = anchors / p.tiles * p.tiles; // the group's first tile
    let rows = 2u * (p.pairs / p.groups);
    let own = (anchors - first) * 64u + lane * 8u; // this lane's first anchor
    var r0 = rows_of(anchors * QUADS + lane * 2u, own, rows);
    var r1 = rows_of(anchors * QUADS + lane * 2u + 1u, own + 4u, rows);
    var tile0: Tile;
    var tile1: Tile;
    for (var columns = first + p.begin; columns < first + p.end; columns++) {
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
                tile0[part + j] = s0[j];
                tile1[part + j] = s1[j];
            }
        }
        met(&r0, &tile0, columns, (columns - first) * 64u);
        met(&r1, &tile1, columns, (columns - first) * 64u);
    }
    store(&r0, anchors * QUADS + lane * 2u);
    store(&r1, anchors * QUADS + lane * 2u + 1u);
}
