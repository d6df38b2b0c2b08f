// implicit_gemm.wgsl for GPUs, with tiles in workgroup memory.
// A workgroup of 256 computes 128 pixels x 4 QUADS channels, 16 k at a time: each invocation ROWS pixels x 4 channels.
// Values of the next 16 k are on their way from memory while these are multiplied.
// Simple twins: forward.wgsl, backward_input.wgsl. Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/implicit_gemm
#import conv2d/implicit_gemm_gather

const QUADS: u32 = 16u; // columns of the tile in fours: 16, 8 or 4
const ROWS: u32 = QUADS / 2u; // per invocation
const ROW_GROUPS: u32 = 256u / QUADS;

// left[4 r + q]: quad q of the 16 k of pixel r.
var<workgroup> left: array<vec4<f32>, 512>;
// right[QUADS k + q]: four columns of one k; BY_COLUMN: right[4 QUADS q + QUADS j + c]: quad q
// of the k of column 4 c + j.
var<workgroup> right: array<vec4<f32>, 16u * QUADS>;
// tile[i]: pixel i ROW_GROUPS + this invocation's group, times its four columns.
var<private> tile: array<vec4<f32>, 8>;

fn multiply_row(i: u32, group: u32, q: u32, w: mat4x4<f32>) {
    let a = left[(i * ROW_GROUPS + group) * 4u + q];
    if (BY_COLUMN == 1u) {
        tile[i] += a * w;
    } else {
        tile[i] += w * a;
    }
}

// Quad q of the 16 k.
fn multiply(q: u32, group: u32, column: u32) {
    // In both layouts a quad of k takes 4 QUADS, and neighbouring invocations read neighbours.
    let first = q * 4u * QUADS + column;
    let w = mat4x4<f32>(right[first], right[first + QUADS], right[first + 2u * QUADS], right[first + 3u * QUADS]);
    multiply_row(0u, group, q, w);
    multiply_row(1u, group, q, w);
    if (ROWS > 2u) {
        multiply_row(2u, group, q, w);
        multiply_row(3u, group, q, w);
    }
    if (ROWS > 4u) {
        multiply_row(4u, group, q, w);
        multiply_row(5u, group, q, w);
        multiply_row(6u, group, q, w);
        multiply_row(7u, group, q, w);
    }
}

fn store(i: u32, pixel: u32, quad: u32) {
    if (i < ROWS && pixel < p.images * p.rows * p.columns && quad < p.n_quads) {
        out[out_place(pixel) + quad] = tile[i];
    }
}

@compute @workgroup_size(256)
fn implicit_gemm_tiled(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column_tiles = (p.n_quads + QUADS - 1u) / QUADS;
    let index = workgroup_index(id, ids);
    let quad0 = index % column_tiles * QUADS;
    let pixel0 = index / column_tiles * 128u;
    let near = pixel_of(pixel0 + lane / 4u);
    let far = pixel_of(pixel0 + 64u + lane / 4u);
    // What this invocation fetches: quad lane % 4 of two pixels; one k of four columns, or a quad of one column.
    var left_quad = normalised(Quad(0u, 0u, lane % 4u));
    let right_k = lane / QUADS;
    var right_quad = normalised(Quad(0u, 0u, select(right_k / 4u, lane % 4u, BY_COLUMN == 1u)));
    let right_n = 4u * quad0 + select(lane % QUADS * 4u, lane / 4u, BY_COLUMN == 1u);
    let by_column_at = (lane % 4u * 4u + lane / 4u % 4u) * QUADS + lane / 16u;
    let right_at = select(lane, by_column_at, BY_COLUMN == 1u);
    let group = lane / QUADS;
    let column = lane % QUADS;
    var a = load_left(near, left_quad);
    var b = load_left(far, left_quad);
    var w = load_right(right_quad, right_k % 4u, right_n);
    let steps = (p.taps_down * p.taps_across * p.k_quads + 3u) / 4u;
    for (var step = 0u; step < steps; step++) {
        workgroupBarrier();
        left[lane] = a;
        left[256u + lane] = b;
        if (lane < 16u * QUADS) {
            right[right_at] = w;
        }
        workgroupBarrier();
        left_quad = normalised(Quad(left_quad.down, left_quad.across, left_quad.quad + 4u));
        right_quad = normalised(Quad(right_quad.down, right_quad.across, right_quad.quad + 4u));
        a = load_left(near, left_quad);
        b = load_left(far, left_quad);
        w = load_right(right_quad, right_k % 4u, right_n);
        multiply(0u, group, column);
        multiply(1u, group, column);
        multiply(2u, group, column);
        multiply(3u, group, column);
    }
    let quad = quad0 + column;
    let pixel = pixel0 + group;
    store(0u, pixel, quad);
    store(1u, pixel + ROW_GROUPS, quad);
    store(2u, pixel + 2u * ROW_GROUPS, quad);
    store(3u, pixel + 3u * ROW_GROUPS, quad);
    store(4u, pixel + 4u * ROW_GROUPS, quad);
    store(5u, pixel + 5u * ROW_GROUPS, quad);
    store(6u, pixel + 6u * ROW_GROUPS, quad);
    store(7u, pixel + 7u * ROW_GROUPS, quad);
}
