// implicit_gemm.wgsl for GPUs that multiply fragments of matrices: operands are rounded to f16 on their way to workgroup
// memory, sums are f32.
// A workgroup of 128 computes 128 pixels x 4 QUADS channels, 16 k at a time. Values of the next 16 k are on their way
// from memory while these are multiplied.
// Simple twins: forward.wgsl, backward_input.wgsl. Reference and tests: kernels-tests/conv2d.rs.
#import conv2d/fragments
#import grid
#import conv2d/implicit_gemm
#import conv2d/implicit_gemm_gather
#import conv2d/fragment_tile

const QUADS: u32 = 16u; // columns of the tile in fours: 16, 8 or 4
// Quads from one line of workgroup memory to the next: two more than are used, so that neighbours start in other banks.
const LINE: u32 = 6u;
const RIGHT_LINE: u32 = (1u - BY_COLUMN) * (QUADS + 2u) + BY_COLUMN * LINE;
const RIGHT_LINES: u32 = (1u - BY_COLUMN) * 16u + BY_COLUMN * 4u * QUADS;

// left[LINE r + q]: quad q of the 16 k of pixel r.
var<workgroup> left: array<vec4<f16>, 128u * LINE>;
// right[RIGHT_LINE k + q]: quad q of the columns at one k; BY_COLUMN: right[LINE c + q]: quad q of the k of column c.
var<workgroup> right: array<vec4<f16>, RIGHT_LINE * RIGHT_LINES>;
// The tile's first pixel, and its first columns in fours.
var<private> pixel0: u32;
var<private> quad0: u32;

fn left_fragment(row: u32) -> Left {
    return left_by_row(LINE * row, LINE);
}

fn right_fragment(quad: u32) -> Right {
    if (BY_COLUMN == 1u) {
        return right_by_column(4u * quad * LINE, LINE);
    }
    return right_by_row(quad, RIGHT_LINE);
}

fn store_quad(row: u32, quad: u32, v: vec4<f32>) {
    if (pixel0 + row < p.images * p.rows * p.columns && quad0 + quad < p.n_quads) {
        out[out_place(pixel0 + row) + quad0 + quad] = v;
    }
}

@compute @workgroup_size(128)
fn implicit_gemm_cooperative(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let column_tiles = (p.n_quads + QUADS - 1u) / QUADS;
    let index = workgroup_index(id, ids);
    quad0 = index % column_tiles * QUADS;
    pixel0 = index / column_tiles * 128u;
    // What this invocation fetches: quad lane % 4 of four pixels; up to two k of four columns, or a quad of k of up to
    // two columns.
    let pixel_a = pixel_of(pixel0 + lane / 4u);
    let pixel_b = pixel_of(pixel0 + lane / 4u + 32u);
    let pixel_c = pixel_of(pixel0 + lane / 4u + 64u);
    let pixel_d = pixel_of(pixel0 + lane / 4u + 96u);
    let left_at = LINE * (lane / 4u) + lane % 4u;
    let right_k = lane / QUADS * ((QUADS + 7u) / 8u);
    let right_n = 4u * quad0 + select(lane % QUADS * 4u, lane / 4u, BY_COLUMN == 1u);
    let right_at = select(RIGHT_LINE * right_k + lane % QUADS, left_at, BY_COLUMN == 1u);
    let other_k = right_k % 4u + 1u;
    let other_n = right_n + 32u * BY_COLUMN;
    let other_at = right_at + RIGHT_LINE * (1u + 31u * BY_COLUMN);
    let steps = (p.taps_down * p.taps_across * p.k_quads + 3u) / 4u;
    var turn = turn_from(0u, lane, subgroup, subgroups);
    while (turn.band < BANDS) {
        var tile: array<Sum, 8>;
        var left_quad = normalised(Quad(0u, 0u, lane % 4u));
        var right_quad = normalised(Quad(0u, 0u, select(right_k / 4u, lane % 4u, BY_COLUMN == 1u)));
        var a = load_left(pixel_a, left_quad);
        var b = load_left(pixel_b, left_quad);
        var c = load_left(pixel_c, left_quad);
        var d = load_left(pixel_d, left_quad);
        var v = load_right(right_quad, right_k % 4u, right_n);
        var w = load_right(right_quad, other_k, other_n);
        for (var step = 0u; step < steps; step++) {
            workgroupBarrier();
            left[left_at] = vec4<f16>(a);
            left[left_at + 32u * LINE] = vec4<f16>(b);
            left[left_at + 64u * LINE] = vec4<f16>(c);
            left[left_at + 96u * LINE] = vec4<f16>(d);
            if (lane < 16u * QUADS) {
                right[right_at] = vec4<f16>(v);
            }
            if (QUADS == 16u) {
                right[other_at] = vec4<f16>(w);
            }
            workgroupBarrier();
            left_quad = normalised(Quad(left_quad.down, left_quad.across, left_quad.quad + 4u));
            right_quad = normalised(Quad(right_quad.down, right_quad.across, right_quad.quad + 4u));
            a = load_left(pixel_a, left_quad);
            b = load_left(pixel_b, left_quad);
            c = load_left(pixel_c, left_quad);
            d = load_left(pixel_d, left_quad);
            v = load_right(right_quad, right_k % 4u, right_n);
            if (QUADS == 16u) {
                w = load_right(right_quad, other_k, other_n);
            }
            multiply(turn, &tile);
        }
        store_tile(turn, &tile);
        turn = turn_from(turn.band + turn.bands, lane, subgroup, subgroups);
    }
}
