// A tile of a matrix product in the registers of one subgroup of LANES lanes: each lane holds 8 rows of its own and
// COLUMNS columns that all lanes share. No workgroup memory and no barrier.
//
// On software drivers every load costs one access per lane, a broadcast is a register shuffle, and a barrier is the
// slowest thing there is. So each lane loads other values of the right-hand side, and broadcasts spread them.
const LANES: u32 = 8u; // 4 or 8
const COLUMNS: u32 = 2u * LANES;
const QUADS: u32 = LANES / 2u; // columns in fours

// tile[q][j] is row j of the lower four rows and columns 4 q to 4 q + 3; tile[QUADS + q] the same of the upper four.
var<private> tile: array<mat4x4<f32>, 2u * QUADS>;

// Adds the products of four k: `low` and `high` hold this lane's rows (column j: the four k of row j). Of the
// right-hand side, lanes 4 q to 4 q + 3 hold columns 4 q to 4 q + 3 in `near`, and `far` continues after LANES
// columns: lane 4 q + i either k = i of the four columns, or (`by_column`) the four k of column i.
fn multiply(low: mat4x4<f32>, high: mat4x4<f32>, near: vec4<f32>, far: vec4<f32>, by_column: bool) {
    multiply_quad(0u, low, high, by_column, mat4x4<f32>(
        subgroupBroadcast(near, 0u), subgroupBroadcast(near, 1u),
        subgroupBroadcast(near, 2u), subgroupBroadcast(near, 3u),
    ));
    multiply_quad(QUADS / 2u, low, high, by_column, mat4x4<f32>(
        subgroupBroadcast(far, 0u), subgroupBroadcast(far, 1u),
        subgroupBroadcast(far, 2u), subgroupBroadcast(far, 3u),
    ));
    if (LANES == 8u) {
        multiply_quad(1u, low, high, by_column, mat4x4<f32>(
            subgroupBroadcast(near, 4u), subgroupBroadcast(near, 5u),
            subgroupBroadcast(near, 6u), subgroupBroadcast(near, 7u),
        ));
        multiply_quad(QUADS - 1u, low, high, by_column, mat4x4<f32>(
            subgroupBroadcast(far, 4u), subgroupBroadcast(far, 5u),
            subgroupBroadcast(far, 6u), subgroupBroadcast(far, 7u),
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
