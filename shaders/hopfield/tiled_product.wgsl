// Products of 32 queries with the patterns, staged in workgroup memory, and reductions over a query's slots or
// features. Columns of 32 queries lie in `scratch`.
#import numeric

const WG: u32 = 256u; // invocations, and columns of a tile

const ROWS: u32 = 32u;        // queries of a block
const DEPTH: u32 = 8u;        // terms staged at a time
const PARTS: u32 = WG / ROWS; // invocations per query
const ACROSS: u32 = WG / 8u;  // invocations along a tile: columns of one lie so far apart, neighbours' side by side
const STRIDE: u32 = WG + 4u;  // of staged columns: 4 apart in the banks

var<workgroup> staged_a: array<f32, DEPTH * ROWS>;
var<workgroup> staged_b: array<f32, DEPTH * STRIDE>;
var<workgroup> partial: array<f32, WG>;

// DEPTH terms from k: of the block's queries, and of WG columns of W^T (by_slot) or W, 0 outside.
fn stage(start: u32, k: u32, length: u32, column: u32, columns: u32, by_slot: bool, lane: u32) {
    for (var i = lane; i < DEPTH * ROWS; i += WG) {
        staged_a[i] = 0.0;
        if (k + i / ROWS < length) {
            staged_a[i] = scratch[start + k * ROWS + i];
        }
    }
    for (var i = lane; i < DEPTH * WG; i += WG) {
        // Neighbours in memory to neighbouring invocations.
        let depth = select(i / WG, i % DEPTH, by_slot);
        let c = select(i % WG, i / DEPTH, by_slot);
        let slot = select(k + depth, column + c, by_slot);
        let feature = select(column + c, k + depth, by_slot);
        var value = 0.0;
        if (k + depth < length && column + c < columns) {
            value = patterns[slot * p.features + feature];
        }
        staged_b[depth * STRIDE + c] = value;
    }
}

// (32 queries x length, columns at `start`) times W^T (by_slot) or W, scaled, to columns at `to`. Each
// invocation computes 4 queries of 8 columns.
fn product(start: u32, length: u32, scale: f32, to: u32, columns: u32, by_slot: bool, lane: u32) {
    let own_column = lane % ACROSS;
    let own_row = lane / ACROSS * 4u;
    for (var column = 0u; column < columns; column += WG) {
        var tile: array<vec4<f32>, 8>;
        for (var k = 0u; k < length; k += DEPTH) {
            workgroupBarrier();
            stage(start, k, length, column, columns, by_slot, lane);
            workgroupBarrier();
            for (var i = 0u; i < DEPTH; i++) {
                let a = i * ROWS + own_row;
                let four = vec4<f32>(staged_a[a], staged_a[a + 1u], staged_a[a + 2u], staged_a[a + 3u]);
                let b = i * STRIDE + own_column;
                for (var c = 0u; c < 4u; c++) {
                    tile[c] += four * staged_b[b + c * ACROSS];
                    tile[c + 4u] += four * staged_b[b + (c + 4u) * ACROSS];
                }
            }
        }
        for (var c = 0u; c < 8u; c++) {
            let at = column + own_column + c * ACROSS;
            for (var i = 0u; i < 4u && at < columns; i++) {
                scratch[to + at * ROWS + own_row + i] = scale * tile[c][i];
            }
        }
    }
}

// Over the PARTS invocations of a query, lane, lane + ROWS, ..; all of them get the result.
fn row_sum(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    partial[lane] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var i = lane % ROWS; i < WG; i += ROWS) {
        sum += partial[i];
    }
    return sum;
}

fn row_max(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    partial[lane] = value;
    workgroupBarrier();
    var top = LOWEST;
    for (var i = lane % ROWS; i < WG; i += ROWS) {
        top = max(top, partial[i]);
    }
    return top;
}
