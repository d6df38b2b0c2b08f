// backward.wgsl without barriers or workgroup memory, for software drivers of 8 lanes: per anchor the sum
// of w_ij z_j over its allowed others, before the common factor (unpack.wgsl). One workgroup = one
// subgroup per tile of 64 anchors, 8 to a lane; per column tile of begin..end: similarities, 16 columns at
// a time, as forward_subgroup.wgsl has them; then weights; then, 16 features at a time, their products
// with the columns, added to what the same lane wrote before.
// Rows packed by pack.wgsl, several bound twice. Reference and tests: kernels-tests/nt_xent.rs.
#import grid
#import nt_xent/subgroup_tile
#import nt_xent/weight

#texels z_row, lse_row
@group(0) @binding(0) var<storage, read> z_row: array<vec4<f32>>; // [groups, tiles, padded_features, QUADS]
@group(0) @binding(1) var<storage, read> z_column: array<f32>; // [groups, tiles, padded_features, 64]
@group(0) @binding(2) var<storage, read> tag_row: array<vec4<u32>>; // [groups, tiles, QUADS]
@group(0) @binding(3) var<storage, read> tag_column: array<u32>; // [groups, tiles, 64]
@group(0) @binding(4) var<storage, read> lse_row: array<vec4<f32>>; // [groups, tiles, QUADS]
@group(0) @binding(5) var<storage, read> lse_column: array<f32>; // [groups, tiles, 64]
@group(0) @binding(6) var<storage, read_write> grad_z: array<vec4<f32>>; // as z_row
@group(0) @binding(7) var<uniform> p: Params;

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
    let own = (anchors - first) * 64u + lane * 8u; // this lane's first anchor
    let pair0 = pairs_of(own);
    let pair1 = pairs_of(own + 4u);
    let quad = anchors * QUADS + lane * 2u;
    let tag0 = tag_row[quad];
    let tag1 = tag_row[quad + 1u];
    let lse0 = lse_row[quad];
    let lse1 = lse_row[quad + 1u];
    var w0: Tile; // similarities, then weights
    var w1: Tile;
    for (var columns = first + p.begin; columns < first + p.end; columns++) {
        products(&w0, &w1, anchors, columns, lane);
        for (var j = 0u; j < 64u; j++) {
            let column = (columns - first) * 64u + j;
            let tag = tag_column[columns * 64u + j];
            let lse = lse_column[columns * 64u + j];
            w0[j] = weight(w0[j] * p.inverse_tau, tag0, pair0, lse0, column, tag, lse);
            w1[j] = weight(w1[j] * p.inverse_tau, tag1, pair1, lse1, column, tag, lse);
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
