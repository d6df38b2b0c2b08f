// A tile of a matrix product in a workgroup of 256: 128 rows x 4 QUADS columns, of which each invocation has ROWS rows x
// 4 columns in registers, 16 k at a time from workgroup memory. The kernel says in BY_COLUMN how the right-hand side
// lies, and where results go in
//   fn store_row(row: u32, quad: u32, v: vec4<f32>)
// which leaves out what is surplus.
const QUADS: u32 = 16u; // columns of the tile in fours: 16, 8 or 4
const ROWS: u32 = QUADS / 2u; // per invocation
const ROW_GROUPS: u32 = 256u / QUADS;
// Quads from one line of `right` to the next: one more than are used, where neighbours write other lines, so that most
// of them find other banks.
const LINE: u32 = QUADS + BY_COLUMN;

// left[4 r + q]: quad q of the 16 k of row r.
var<workgroup> left: array<vec4<f32>, 512>;
// right[LINE k + q]: four columns of one k; BY_COLUMN: right[4 LINE q + LINE j + c]: quad q of the k of column 4 c + j.
var<workgroup> right: array<vec4<f32>, 16u * LINE>;
// tile[i]: row i ROW_GROUPS + this invocation's group, times its four columns.
var<private> tile: array<vec4<f32>, 8>;

// What one invocation fetches and computes.
struct Share {
    left_row: u32, // of the tile, and 64 more
    left_quad: u32, // of the 16 k
    right_quad: u32, // of the 16 k
    right_k: u32, // within its quad
    right_column: u32, // of the tile; four from there on, unless BY_COLUMN
    right_at: u32, // where it lies in `right`
    row: u32, // of the tile, and every ROW_GROUPS-th after it
    column: u32, // of the tile, in fours
}

fn share_of(lane: u32) -> Share {
    let k = lane / QUADS;
    if (BY_COLUMN == 1u) {
        let at = (lane % 4u * 4u + lane / 4u % 4u) * LINE + lane / 16u;
        return Share(lane / 4u, lane % 4u, lane % 4u, k % 4u, lane / 4u, at, k, lane % QUADS);
    }
    return Share(lane / 4u, lane % 4u, k / 4u, k % 4u, lane % QUADS * 4u, lane, k, lane % QUADS);
}

// Puts what every invocation has fetched, of two rows and of the right-hand side, where all can read it.
fn exchange(share: Share, lane: u32, near: vec4<f32>, far: vec4<f32>, w: vec4<f32>) {
    workgroupBarrier();
    left[lane] = near;
    left[256u + lane] = far;
    if (lane < 16u * QUADS) {
        right[share.right_at] = w;
    }
    workgroupBarrier();
}

fn multiply_row(i: u32, group: u32, q: u32, w: mat4x4<f32>) {
    let a = left[(i * ROW_GROUPS + group) * 4u + q];
    if (BY_COLUMN == 1u) {
        tile[i] += a * w;
    } else {
        tile[i] += w * a;
    }
}

// Quad q of the 16 k.
fn multiply_quad(q: u32, group: u32, column: u32) {
    // In both layouts a quad of k takes four lines, and neighbouring invocations read neighbours.
    let first = q * 4u * LINE + column;
    let w = mat4x4<f32>(right[first], right[first + LINE], right[first + 2u * LINE], right[first + 3u * LINE]);
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

// Adds the products of the 16 k.
fn multiply(share: Share) {
    multiply_quad(0u, share.row, share.column);
    multiply_quad(1u, share.row, share.column);
    multiply_quad(2u, share.row, share.column);
    multiply_quad(3u, share.row, share.column);
}

// `row` and `quad`: this invocation's first row, and its columns.
fn store_tile(row: u32, quad: u32) {
    store_row(row, quad, tile[0]);
    store_row(row + ROW_GROUPS, quad, tile[1]);
    if (ROWS > 2u) {
        store_row(row + 2u * ROW_GROUPS, quad, tile[2]);
        store_row(row + 3u * ROW_GROUPS, quad, tile[3]);
    }
    if (ROWS > 4u) {
        store_row(row + 4u * ROW_GROUPS, quad, tile[4]);
        store_row(row + 5u * ROW_GROUPS, quad, tile[5]);
        store_row(row + 6u * ROW_GROUPS, quad, tile[6]);
        store_row(row + 7u * ROW_GROUPS, quad, tile[7]);
    }
}
