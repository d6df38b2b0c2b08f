// backward.wgsl in tiles of 64 anchors x 32 columns: per anchor the sum of w_ij z_j over its allowed
// others, before the common factor (unpack.wgsl). One workgroup per tile of anchors walks the column
// tiles begin..end of its group: similarities (4 x 4 per invocation), weights into workgroup memory, then
// the tile's sums, 4 anchors x 4 features per invocation, added to what the same invocation wrote before.
// Rows packed by pack.wgsl, several bound twice. Reference and tests: kernels-tests/nt_xent.rs.
#import grid
#import nt_xent/weight

const WG: u32 = 128u;
const COLUMN_QUADS: u32 = 8u; // groups of four columns in half a packed tile
const DEPTH: u32 = 16u; // features that workgroup memory holds at a time
const FEATURES: u32 = 32u; // features of a block of sums
const PITCH: u32 = 9u; // of `x` as [FEATURES, COLUMN_QUADS]: one more, so that rows differ in banks

@group(0) @binding(0) var<storage, read> z_row: array<vec4<f32>>; // [groups, tiles, padded_features, QUADS]
@group(0) @binding(1) var<storage, read> z_column: array<vec4<f32>>; // the same
@group(0) @binding(2) var<storage, read> tag_row: array<vec4<u32>>; // [groups, tiles, QUADS]
@group(0) @binding(3) var<storage, read> tag_column: array<vec4<u32>>; // the same
@group(0) @binding(4) var<storage, read> lse_row: array<vec4<f32>>; // [groups, tiles, QUADS]
@group(0) @binding(5) var<storage, read> lse_column: array<vec4<f32>>; // the same
@group(0) @binding(6) var<storage, read_write> grad_z: array<vec4<f32>>; // as z
@group(0) @binding(7) var<uniform> p: Params;

var<workgroup> x: array<vec4<f32>, 288>; // [DEPTH, QUADS] of the anchors, or [FEATURES, PITCH]
var<workgroup> y: array<vec4<f32>, 128>; // [DEPTH, COLUMN_QUADS] of the columns
var<workgroup> w: array<vec4<f32>, 512>; // [32 columns, QUADS] weights

@compute @workgroup_size(WG)
fn backward_tiled(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = workgroup_index(group_id, group_count);
    // The grid may run over; its last tile is then computed again and not stored.
    let last = p.groups * p.tiles - 1u;
    let anchors = min(tile, last);
    let first = anchors / p.tiles * p.tiles; // the group's first tile
    let row = lane % QUADS; // this invocation's quad of anchors
    let quad = lane / QUADS; // and of columns
    let pair = pairs_of((anchors - first) * 64u + row * 4u);
    let tag = tag_row[anchors * QUADS + row];
    let lse = lse_row[anchors * QUADS + row];
    for (var t = 2u * p.begin; t < 2u * p.end; t++) {
        let columns = first + t / 2u;
        let half = t % 2u * COLUMN_QUADS;
        var s0 = vec4(0.0); // of the first column, for the four anchors
        var s1 = vec4(0.0);
        var s2 = vec4(0.0);
        var s3 = vec4(0.0);
        for (var k0 = 0u; k0 < p.padded_features; k0 += DEPTH) {
            workgroupBarrier();
            let start = (anchors * p.padded_features + k0) * QUADS + lane;
            x[lane] = z_row[start];
            x[lane + WG] = z_row[start + WG];
            let feature = columns * p.padded_features + k0 + lane / COLUMN_QUADS;
            y[lane] = z_column[feature * QUADS + half + lane % COLUMN_QUADS];
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k++) {
                let u = x[k * QUADS + row];
                let v = y[k * COLUMN_QUADS + quad];
                s0 = fma(u, vec4(v.x), s0);
                s1 = fma(u, vec4(v.y), s1);
                s2 = fma(u, vec4(v.z), s2);
                s3 = fma(u, vec4(v.w), s3);
            }
        }
        let at = t * 32u + quad * 4u;
        let tags = tag_column[columns * QUADS + half + quad];
        let ls = lse_column[columns * QUADS + half + quad];
        let q = quad * 4u * QUADS + row;
        w[q] = weight(s0 * p.inverse_tau, tag, pair, lse, at, tags.x, ls.x);
        w[q + QUADS] = weight(s1 * p.inverse_tau, tag, pair, lse, at + 1u, tags.y, ls.y);
        w[q + 2u * QUADS] = weight(s2 * p.inverse_tau, tag, pair, lse, at + 2u, tags.z, ls.z);
        w[q + 3u * QUADS] = weight(s3 * p.inverse_tau, tag, pair, lse, at + 3u, tags.w, ls.w);
        for (var d0 = 0u; d0 < p.padded_features; d0 += FEATURES) {
            // The first barrier also ends the reading of x above and publishes w.
            workgroupBarrier();
            for (var i = lane; i < FEATURES * COLUMN_QUADS; i += WG) {
                let feature = columns * p.padded_features + d0 + i / COLUMN_QUADS;
                x[i / COLUMN_QUADS * PITCH + i % COLUMN_QUADS] =
                    z_column[feature * QUADS + half + i % COLUMN_QUADS];
            }
            workgroupBarrier();
            var g0 = vec4(0.0); // of feature d0 + quad, for the four anchors
            var g1 = vec4(0.0); // of feature d0 + quad + 8
            var g2 = vec4(0.0);
            var g3 = vec4(0.0);
            for (var j = 0u; j < COLUMN_QUADS; j++) {
                let v0 = x[quad * PITCH + j];
                let v1 = x[(quad + 8u) * PITCH + j];
                let v2 = x[(quad + 16u) * PITCH + j];
                let v3 = x[(quad + 24u) * PITCH + j];
                let q = j * 4u * QUADS + row;
                let u = mat4x4(w[q], w[q + QUADS], w[q + 2u * QUADS], w[q + 3u * QUADS]);
                g0 += u * v0;
                g1 += u * v1;
                g2 += u * v2;
                g3 += u * v3;
            }
            let to = (anchors * p.padded_features + d0 + quad) * QUADS + row;
            if (tile <= last) {
                if (t > 0u) {
                    g0 += grad_z[to];
                    g1 += grad_z[to + 8u * QUADS];
                    g2 += grad_z[to + 16u * QUADS];
                    g3 += grad_z[to + 24u * QUADS];
                }
                grad_z[to] = g0;
                grad_z[to + 8u * QUADS] = g1;
                grad_z[to + 16u * QUADS] = g2;
                grad_z[to + 24u * QUADS] = g3;
            }
        }
    }
}
