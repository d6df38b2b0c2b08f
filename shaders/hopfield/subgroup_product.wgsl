// Products of 8 queries with the packed patterns (pack.wgsl) in one subgroup, without barriers or workgroup memory.
// Lane l owns columns l*8 .. l*8+8 of every tile of TILE features or slots: it computes them, stores them and alone
// reads them back; others get them by broadcast. A column is 2 vec4 of 4 queries each, in `scratch`.
// Per row of `packed` two vec4 loads and 2 broadcasts feed 64 multiply-adds per lane. 16 queries are no faster on
// lavapipe and take seven times as long to compile.

const LANES: u32 = 8u; // per subgroup, and per workgroup

const TILE: u32 = 8u * LANES;
const QUADS: u32 = TILE / 4u;

// tile[2 q + h] += (4 queries q) x (4 columns h), outer products.
fn accumulate(tile: ptr<function, array<mat4x4<f32>, 4>>, a: mat2x4<f32>, row: u32) {
    let b0 = packed[row];
    let b1 = packed[row + 1u];
    for (var q = 0u; q < 2u; q++) {
        (*tile)[2u * q] += mat4x4<f32>(a[q] * b0.x, a[q] * b0.y, a[q] * b0.z, a[q] * b0.w);
        (*tile)[2u * q + 1u] += mat4x4<f32>(a[q] * b1.x, a[q] * b1.y, a[q] * b1.z, a[q] * b1.w);
    }
}

// The lane's 8 columns of (8 queries x length, columns at `start`) times (length x TILE, from packed).
fn multiply(start: u32, panel: u32, length: u32, lane: u32) -> array<mat4x4<f32>, 4> {
    var tile: array<mat4x4<f32>, 4>;
    var row = panel * QUADS + lane * 2u;
    for (var k = 0u; k < length; k += TILE) {
        for (var c = 0u; c < 8u; c++) {
            let own = start + (k + lane * 8u + c) * 2u;
            let a0 = scratch[own];
            let a1 = scratch[own + 1u];
            accumulate(&tile, mat2x4<f32>(subgroupBroadcast(a0, 0u), subgroupBroadcast(a1, 0u)), row + 0u * QUADS);
            accumulate(&tile, mat2x4<f32>(subgroupBroadcast(a0, 1u), subgroupBroadcast(a1, 1u)), row + 1u * QUADS);
            accumulate(&tile, mat2x4<f32>(subgroupBroadcast(a0, 2u), subgroupBroadcast(a1, 2u)), row + 2u * QUADS);
            accumulate(&tile, mat2x4<f32>(subgroupBroadcast(a0, 3u), subgroupBroadcast(a1, 3u)), row + 3u * QUADS);
            if (LANES > 4u) {
                accumulate(&tile, mat2x4<f32>(subgroupBroadcast(a0, 4u), subgroupBroadcast(a1, 4u)), row + 4u * QUADS);
                accumulate(&tile, mat2x4<f32>(subgroupBroadcast(a0, 5u), subgroupBroadcast(a1, 5u)), row + 5u * QUADS);
                accumulate(&tile, mat2x4<f32>(subgroupBroadcast(a0, 6u), subgroupBroadcast(a1, 6u)), row + 6u * QUADS);
                accumulate(&tile, mat2x4<f32>(subgroupBroadcast(a0, 7u), subgroupBroadcast(a1, 7u)), row + 7u * QUADS);
            }
            row += LANES * QUADS;
        }
    }
    return tile;
}

// (8 queries x length, columns at `start`) times (length x columns), scaled, to columns at `to`.
fn product(start: u32, panels: u32, length: u32, scale: f32, to: u32, columns: u32, lane: u32) {
    for (var column = 0u; column < columns; column += TILE) {
        var tile = multiply(start, panels + column / TILE * length, length, lane);
        for (var c = 0u; c < 8u; c++) {
            let at = to + (column + lane * 8u + c) * 2u;
            scratch[at] = scale * tile[c / 4u][c % 4u];
            scratch[at + 1u] = scale * tile[2u + c / 4u][c % 4u];
        }
    }
}

// The n-th column that this lane owns: 8 neighbours of every tile.
fn owned(n: u32, lane: u32) -> u32 {
    return n / 8u * TILE + lane * 8u + n % 8u;
}
