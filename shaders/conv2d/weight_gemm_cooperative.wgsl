// weight_gemm.wgsl for GPUs that multiply fragments of matrices: operands are rounded to f16 on their way to workgroup
// memory, sums are f32.
// A workgroup of 128 computes 128 rows (t, c) x 4 QUADS channels o, 16 pixels at a time. Values of the next 16 pixels are
// on their way from memory while these are multiplied.
// Simple twin: backward_weight.wgsl. Reference and tests: kernels-tests/conv2d.rs.
#import conv2d/fragments
#import grid
#import conv2d/weight_gemm
#import conv2d/weight_gemm_gather
#import conv2d/fragment_tile

const QUADS: u32 = 16u; // columns of the tile in fours: 16 or 8
// Quads from one line of workgroup memory to the next: two more than are used, so that neighbours start in other banks.
const LINE: u32 = 34u;
const RIGHT_LINE: u32 = QUADS + 2u;

// left[LINE k + r]: quad of rows r at pixel k of the 16.
var<workgroup> left: array<vec4<f16>, 16u * LINE>;
// right[RIGHT_LINE k + q]: quad of columns q at pixel k.
var<workgroup> right: array<vec4<f16>, 16u * RIGHT_LINE>;
// The tile's first rows and columns, in fours, and its share of the pixels.
var<private> row0: u32;
var<private> quad0: u32;
var<private> split: u32;

fn left_fragment(row: u32) -> Left {
    return left_by_column(row / 4u, LINE);
}

fn right_fragment(quad: u32) -> Right {
    return right_by_row(quad, RIGHT_LINE);
}

fn store_quad(row: u32, quad: u32, v: vec4<f32>) {
    let rows = 4u * p.taps * p.c_quads;
    if (4u * row0 + row < rows && quad0 + quad < p.o_quads) {
        out[((p.part + split) * rows + 4u * row0 + row) * p.o_quads + quad0 + quad] = v;
    }
}

@compute @workgroup_size(128)
fn weight_gemm_cooperative(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let row_quads = p.taps * p.c_quads;
    let column_tiles = (p.o_quads + QUADS - 1u) / QUADS;
    let row_tiles = (row_quads + 31u) / 32u;
    let index = workgroup_index(id, ids);
    quad0 = index % column_tiles * QUADS;
    row0 = index / column_tiles % row_tiles * 32u;
    split = index / (column_tiles * row_tiles);
    let end = min((split + 1u) * p.split, p.pixels);
    // What this invocation fetches: quad of rows lane % 32 of four pixels, and a quad of columns of up to two pixels.
    let row = min(row0 + lane % 32u, row_quads - 1u);
    let tap = row / p.c_quads;
    let fetched = Row(row % p.c_quads, tap / p.kernel_width - p.padding, tap % p.kernel_width - p.padding);
    let fetched_quad = quad0 + lane % QUADS;
    let left_at = LINE * (lane / 32u) + lane % 32u;
    let right_at = RIGHT_LINE * (lane / QUADS) + lane % QUADS;
    let four = place_of(4u);
    let steps = (end - split * p.split + 15u) / 16u;
    var turn = turn_from(0u, lane, subgroup, subgroups);
    while (turn.band < BANDS) {
        var tile: array<Sum, 8>;
        var place = place_of(split * p.split + lane / 32u);
        var right_pixel = split * p.split + lane / QUADS;
        var a = load_left(fetched, place, end);
        place = moved(place, four);
        var b = load_left(fetched, place, end);
        place = moved(place, four);
        var c = load_left(fetched, place, end);
        place = moved(place, four);
        var d = load_left(fetched, place, end);
        var v = load_right(right_pixel, fetched_quad);
        var w = load_right(right_pixel + 8u, fetched_quad);
        for (var step = 0u; step < steps; step++) {
            workgroupBarrier();
            left[left_at] = vec4<f16>(a);
            left[left_at + 4u * LINE] = vec4<f16>(b);
            left[left_at + 8u * LINE] = vec4<f16>(c);
            left[left_at + 12u * LINE] = vec4<f16>(d);
            right[right_at] = vec4<f16>(v);
            if (QUADS == 16u) {
                right[right_at + 8u * RIGHT_LINE] = vec4<f16>(w);
            }
            workgroupBarrier();
            right_pixel += 16u;
            place = moved(place, four);
            a = load_left(fetched, place, end);
            place = moved(place, four);
            b = load_left(fetched, place, end);
            place = moved(place, four);
            c = load_left(fetched, place, end);
            place = moved(place, four);
            d = load_left(fetched, place, end);
            v = load_right(right_pixel, fetched_quad);
            if (QUADS == 16u) {
                w = load_right(right_pixel + 8u, fetched_quad);
            }
            multiply(turn, &tile);
        }
        store_tile(turn, &tile);
        turn = turn_from(turn.band + turn.bands, lane, subgroup, subgroups);
    }
}
