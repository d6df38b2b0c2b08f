// A tile of a matrix product in the registers of one subgroup of LANES lanes: each lane holds 8 rows of its own times
// 4 QUADS columns that all lanes share. No workgroup memory and no barrier.
//
// On software drivers a load costs one access per lane and component, whatever the address, and is what limits this
// kernel; a broadcast is a register shuffle; a barrier is the slowest thing there is. So no value is loaded by two
// lanes: each loads its own rows of the left-hand side, and its share of the right-hand side, which broadcasts spread.
const LANES: u32 = 8u; // 4 or 8
const QUADS: u32 = 4u; // columns in fours: 4, or 8 with 8 lanes
const COLUMNS: u32 = 4u * QUADS;

// tile[q][j] is row j of the lower four rows, columns 4 q to 4 q + 3; tile[QUADS + q] the same of the upper four.
var<private> tile: array<mat4x4<f32>, 2u * QUADS>;

// Adds the products of four k. `low` and `high` hold this lane's rows, column j the four k of row j. right[i] holds
// the columns from i LANES on: lane 4 q + j either row k = j of columns 4 q to 4 q + 3, or (`by_column`) the four k of
// column 4 q + j.
fn multiply(low: mat4x4<f32>, high: mat4x4<f32>, right: array<vec4<f32>, 4>, by_column: bool) {
    multiply_columns(0u, low, high, right[0], by_column);
    multiply_columns(1u, low, high, right[1], by_column);
    if (COLUMNS > 2u * LANES) {
        multiply_columns(2u, low, high, right[2], by_column);
        multiply_columns(3u, low, high, right[3], by_column);
    }
}

fn multiply_columns(i: u32, low: mat4x4<f32>, high: mat4x4<f32>, right: vec4<f32>, by_column: bool) {
    multiply_quad(i * (LANES / 4u), low, high, by_column, mat4x4<f32>(
        subgroupBroadcast(right, 0u), subgroupBroadcast(right, 1u),
        subgroupBroadcast(right, 2u), subgroupBroadcast(right, 3u),
    ));
    if (LANES == 8u) {
        multiply_quad(i * 2u + 1u, low, high, by_column, mat4x4<f32>(
            subgroupBroadcast(right, 4u), subgroupBroadcast(right, 5u),
            subgroupBroadcast(right, 6u), subgroupBroadcast(right, 7u),
        ));
    }
}

fn multiply_quad(q: u32, low: mat4x4<f32>, high: mat4x4<f32>, by_column: bool, right: mat4x4<f32>) {
    var by_k = right;
    if (by_column) {
        by_k = transpose(right);
    }
    tile[q] += by_k * low;
    tile[QUADS + q] += by_k * high;
}

// Stores the tile, whose lower rows start at `low`, upper rows at `high` and columns at `quad`, part `part` of the
// result, by the importing shader's
//   fn store_row(part: u32, row: u32, quad: u32, v: array<vec4<f32>, 4>)
// which leaves out what is surplus: 16 columns of one row.
fn store_tile(part: u32, low: u32, high: u32, quad: u32) {
    store_half(0u, part, low, quad);
    store_half(QUADS, part, high, quad);
}

// Four rows of the tile: the lower ones, or from q = QUADS on the upper ones.
fn store_half(q: u32, part: u32, row: u32, quad: u32) {
    store_rows(q, part, row, quad);
    if (QUADS == 8u) {
        store_rows(q + QUADS / 2u, part, row, quad + 4u);
    }
}

// Four rows times 16 columns of the tile, from tile[q] on.
fn store_rows(q: u32, part: u32, row: u32, quad: u32) {
    let a = tile[q];
    let b = tile[q + 1u];
    let c = tile[q + 2u];
    let d = tile[q + 3u];
    store_row(part, row, quad, array(a[0], b[0], c[0], d[0]));
    store_row(part, row + 1u, quad, array(a[1], b[1], c[1], d[1]));
    store_row(part, row + 2u, quad, array(a[2], b[2], c[2], d[2]));
    store_row(part, row + 3u, quad, array(a[3], b[3], c[3], d[3]));
}
