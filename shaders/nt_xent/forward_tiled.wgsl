// forward.wgsl in tiles of 64 anchors x 64 columns: per row the log-sum-exp over its allowed others and
// its loss. One workgroup per tile of anchors walks the column tiles begin..end of its group, from the
// lse and -s_pair that the launch before left; an invocation holds 4 x 4 similarities, and of its 4
// anchors a running maximum and sum over the columns it met.
// Rows packed by pack.wgsl, `z` and `tag` bound twice. Reference and tests: kernels-tests/nt_xent.rs.
#import grid
#import nt_xent/row_loss

const WG: u32 = 256u;
const DEPTH: u32 = 16u; // features that workgroup memory holds at a time

@group(0) @binding(0) var<storage, read> z_row: array<vec4<f32>>; // [groups, tiles, padded_features, QUADS]
@group(0) @binding(1) var<storage, read> z_column: array<vec4<f32>>; // the same
@group(0) @binding(2) var<storage, read> tag_row: array<vec4<u32>>; // [groups, tiles, QUADS]
@group(0) @binding(3) var<storage, read> tag_column: array<vec4<u32>>; // the same
@group(0) @binding(4) var<storage, read_write> lse: array<vec4<f32>>; // [groups, tiles, QUADS]
@group(0) @binding(5) var<storage, read_write> term: array<vec4<f32>>; // the same
@group(0) @binding(6) var<uniform> p: Params;

var<workgroup> x: array<vec4<f32>, 256>; // [DEPTH, QUADS] of the anchors
var<workgroup> y: array<vec4<f32>, 256>; // [DEPTH, QUADS] of the columns

// Running maximum, sum relative to it, and the pair's similarity.
struct Row {
    top: f32,
    sum: f32,
    positive: f32,
}

fn met(row: Row, s: vec4<f32>, tag: u32, pair: u32, column: vec4<u32>, tags: vec4<u32>) -> Row {
    let is_pair = column == vec4(pair);
    let allowed = (tags != vec4(NONE)) & ((tags != vec4(tag)) | is_pair);
    let kept = select(vec4(MASKED), s, allowed);
    let top = max(row.top, max(max(kept.x, kept.y), max(kept.z, kept.w)));
    let sum = row.sum * exp(row.top - top) + dot(exp(kept - top), vec4(1.0));
    return Row(top, sum, row.positive + dot(select(vec4(0.0), s, is_pair), vec4(1.0)));
}

@compute @workgroup_size(WG)
fn forward_tiled(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = workgroup_index(group_id, group_count);
    // The grid may run over; its last tile is then computed again and not stored.
    let last = p.groups * p.tiles - 1u;
    let anchors = min(tile, last);
    let first = anchors / p.tiles * p.tiles; // the group's first tile
    let row = lane / QUADS; // this invocation's quad of anchors
    let quad = lane % QUADS; // and of columns
    let pair = pairs_of((anchors - first) * 64u + row * 4u);
    let tag = tag_row[anchors * QUADS + row];
    var r0 = Row(MASKED, 0.0, 0.0);
    var r1 = r0;
    var r2 = r0;
    var r3 = r0;
    for (var t = p.begin; t < p.end; t++) {
        let columns = first + t;
        var s0 = vec4(0.0);
        var s1 = vec4(0.0);
        var s2 = vec4(0.0);
        var s3 = vec4(0.0);
        for (var k0 = 0u; k0 < p.padded_features; k0 += DEPTH) {
            workgroupBarrier();
            x[lane] = z_row[(anchors * p.padded_features + k0) * QUADS + lane];
            y[lane] = z_column[(columns * p.padded_features + k0) * QUADS + lane];
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k++) {
                let u = x[k * QUADS + row];
                let v = y[k * QUADS + quad];
                s0 = fma(vec4(u.x), v, s0);
                s1 = fma(vec4(u.y), v, s1);
                s2 = fma(vec4(u.z), v, s2);
                s3 = fma(vec4(u.w), v, s3);
            }
        }
        let at = t * 64u + quad * 4u;
        let column = vec4(at, at + 1u, at + 2u, at + 3u);
        let tags = tag_column[columns * QUADS + quad];
        r0 = met(r0, s0 * p.inverse_tau, tag.x, pair.x, column, tags);
        r1 = met(r1, s1 * p.inverse_tau, tag.y, pair.y, column, tags);
        r2 = met(r2, s2 * p.inverse_tau, tag.z, pair.z, column, tags);
        r3 = met(r3, s3 * p.inverse_tau, tag.w, pair.w, column, tags);
    }
    // The 16 invocations of a quad of anchors join their parts, in order.
    workgroupBarrier();
    x[quad * QUADS + row] = vec4(r0.top, r1.top, r2.top, r3.top);
    y[quad * QUADS + row] = vec4(r0.sum, r1.sum, r2.sum, r3.sum);
    workgroupBarrier();
    var top = vec4(MASKED);
    var sum = vec4(0.0);
    let to = anchors * QUADS + lane;
    if (lane < QUADS) {
        if (p.begin > 0u) {
            top = lse[to];
            sum = vec4(1.0);
        }
        let before = top;
        for (var q = 0u; q < QUADS; q++) {
            top = max(top, x[q * QUADS + lane]);
        }
        sum *= exp(before - top);
        for (var q = 0u; q < QUADS; q++) {
            sum += y[q * QUADS + lane] * exp(x[q * QUADS + lane] - top);
        }
    }
    workgroupBarrier();
    x[quad * QUADS + row] = vec4(r0.positive, r1.positive, r2.positive, r3.positive);
    workgroupBarrier();
    if (lane < QUADS && tile <= last) {
        var positive = vec4(0.0);
        if (p.begin > 0u) {
            positive = -term[to];
        }
        for (var q = 0u; q < QUADS; q++) {
            positive += x[q * QUADS + lane];
        }
        store(to, top, sum, positive);
    }
}
