// backward.wgsl without barriers or workgroup memory, for software drivers of 8 lanes: per anchor the sum
// of w_ij z_j over its allowed others, before the common factor (unpack.wgsl). One workgroup = one
// subgroup per tile of 64 anchors, 8 to a lane; per column tile of begin..end: similarities, 16 columns at
// a time, as forward_subgroup.wgsl has them; then weights; then, 16 features at a time, their products
// with the columns, added to what the same lane wrote before.
// Rows packed by pack.wgsl, several bound twice. Reference and tests: kernels-tests/nt_xent.rs.
#import grid

const LANES: u32 = 8u;
const QUADS: u32 = 16u; // groups of four rows in a tile
const NONE: u32 = 0xffffffffu;

struct Params {
    pairs: u32, // n
    features: u32, // D, not used here
    padded_features: u32, // a multiple of 16
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
@group(0) @binding(4) var<storage, read> lse_row: array<vec4<f32>>; // [groups, tiles, QUADS]
@group(0) @binding(5) var<storage, read> lse_column: array<f32>; // [groups, tiles, 64]
@group(0) @binding(6) var<storage, read_write> grad_z: array<vec4<f32>>; // as z_row
@group(0) @binding(7) var<uniform> p: Params;

alias Sums = array<vec4<f32>, 16>; // per column or feature, for four anchors

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

// Of one column and four anchors.
fn weight(
    s: vec4<f32>,
    tag: vec4<u32>,
    pair: vec4<u32>,
    lse: vec4<f32>,
    column: u32,
    column_tag: u32,
    column_lse: f32,
) -> vec4<f32> {
    let scaled = s * p.inverse_tau;
    let is_pair = pair == vec4(column);
    let kept = (tag != vec4(NONE)) & vec4(column_tag != NONE);
    let allowed = kept & ((tag != vec4(column_tag)) | is_pair);
    let positive = select(vec4(0.0), vec4(1.0), is_pair);
    let value = (exp(scaled - lse) - positive) + (exp(scaled - column_lse) - positive);
    return select(vec4(0.0), value, allowed);
}

@compute @workgroup_size(LANES)
fn backward_subgroup(
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
    let pair0 = (vec4(own, own + 1u, own + 2u, own + 3u) + rows / 2u) % rows;
    let pair1 = (vec4(own + 4u, own + 5u, own + 6u, own + 7u) + rows / 2u) % rows;
    let quad = anchors * QUADS + lane * 2u;
    let tag0 = tag_row[quad];
    let tag1 = tag_row[quad + 1u];
    let lse0 = lse_row[quad];
    let lse1 = lse_row[quad + 1u];
    var w0: array<vec4<f32>, 64>; // of this lane's first four anchors, per column
    var w1: array<vec4<f32>, 64>;
    for (var columns = first + p.begin; columns < first + p.end; columns++) {
        for (var part = 0u; part < 64u; part += 16u) {
            var s0 = Sums();
            var s1 = Sums();
            for (var k = 0u; k < p.padded_features; k++) {
                let start = (columns * p.padded_features + k) * 64u + part + lane;
                let at = (anchors * p.padded_features + k) * QUADS + lane * 2u;
                spread(&s0, &s1, z_column[start], z_column[start + 8u], z_row[at], z_row[at + 1u]);
            }
            for (var j = 0u; j < 16u; j++) {
                w0[part + j] = s0[j];
                w1[part + j] = s1[j];
            }
        }
        for (var j = 0u; j < 64u; j++) {
            let column = (columns - first) * 64u + j;
            let tag = tag_column[columns * 64u + j];
            let lse = lse_column[columns * 64u + j];
            w0[j] = weight(w0[j], tag0, pair0, lse0, column, tag, lse);
            w1[j] = weight(w1[j], tag1, pair1, lse1, column, tag, lse);
        }
        for (var d = 0u; d < p.padded_features; d += 16u) {
            var g0 = Sums();
            var g1 = Sums();
            let to = (anchors * p.padded_features + d) * QUADS + lane * 2u;
            if (columns > first) {
                for (var c = 0u; c < 16u; c++) {
                    g0[c] = grad_z[to + c * QUADS];
                    g1[c] = grad_z[to + c * QUADS + 1u];
                }
            }
            let start = (columns * p.padded_features + d + lane) * 64u;
            for (var j = 0u; j < 64u; j++) {
                spread(&g0, &g1, z_column[start + j], z_column[start + 8u * 64u + j], w0[j], w1[j]);
            }
            for (var c = 0u; c < 16u; c++) {
                grad_z[to + c * QUADS] = g0[c];
                grad_z[to + c * QUADS + 1u] = g1[c];
            }
        }
    }
}
