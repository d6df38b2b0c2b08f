// forward.wgsl without barriers or workgroup memory, for software drivers of 8 lanes: per row the
// log-sum-exp over its allowed others and its loss. One workgroup = one subgroup per tile of 64 anchors;
// for the column tiles begin..end of its group, from the lse and -s_pair that the launch before left;
// a lane owns 8 anchors, and each feature of 16 columns comes in two loads, spread by broadcasts.
// Rows packed by pack.wgsl, `z` and `tag` bound twice. Reference and tests: kernels-tests/nt_xent.rs.
#import grid
#import nt_xent/row_loss
#import nt_xent/subgroup_tile

#texels z_row
@group(0) @binding(0) var<storage, read> z_row: array<vec4<f32>>; // [groups, tiles, padded_features, QUADS]
@group(0) @binding(1) var<storage, read> z_column: array<f32>; // [groups, tiles, padded_features, 64]
@group(0) @binding(2) var<storage, read> tag_row: array<vec4<u32>>; // [groups, tiles, QUADS]
@group(0) @binding(3) var<storage, read> tag_column: array<u32>; // [groups, tiles, 64]
@group(0) @binding(4) var<storage, read_write> lse: array<vec4<f32>>; // [groups, tiles, QUADS]
@group(0) @binding(5) var<storage, read_write> term: array<vec4<f32>>; // the same
@group(0) @binding(6) var<uniform> p: Params;

// Four anchors: their images and pairs, running maxima, sums relative to them, pairs' similarities.
struct Rows {
    tag: vec4<u32>,
    pair: vec4<u32>,
    top: vec4<f32>,
    sum: vec4<f32>,
    positive: vec4<f32>,
}

fn rows_of(quad: u32, own: u32) -> Rows {
    let pair = pairs_of(own);
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
    let own = (anchors - first) * 64u + lane * 8u; // this lane's first anchor
    let quad = anchors * QUADS + lane * 2u;
    var r0 = rows_of(quad, own);
    var r1 = rows_of(quad + 1u, own + 4u);
    var tile0: Tile;
    var tile1: Tile;
    for (var columns = first + p.begin; columns < first + p.end; columns++) {
        products(&tile0, &tile1, anchors, columns, lane);
        met(&r0, &tile0, columns, (columns - first) * 64u);
        met(&r1, &tile1, columns, (columns - first) * 64u);
    }
    store(quad, r0.top, r0.sum, r0.positive);
    store(quad + 1u, r1.top, r1.sum, r1.positive);
}
