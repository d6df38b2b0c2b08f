// The gradient through the unrolled steps of forward_tiled.wgsl, steps `end`-1 down to `begin`, for the queries
// of one chunk of rows. With x the input of a step, p = softmax(beta x W^T), u = p W and g = dL/du (through the
// renormalisation):
//   dL/dp = g W^T, h = beta p (dL/dp - p . dL/dp), dL/dx = h W, and for the patterns dL/dW += p^T g + h^T x,
// which backward_patterns_tiled.wgsl sums from the parts of `chunk`. Steps that a query did not take pass the
// gradient on and leave p = h = 0. One workgroup takes 32 queries; products as in forward_tiled.wgsl. g of step
// end-1 is in the chunk when a dispatch starts in the middle. Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import numeric

const WG: u32 = 256u; // invocations, and columns of a tile

const ROWS: u32 = 32u;        // queries of a block
const DEPTH: u32 = 8u;        // terms staged at a time
const PARTS: u32 = WG / ROWS; // invocations per query
const STRIDE: u32 = WG + 4u;  // of staged columns: 4 apart in the banks

struct Params {
    rows: u32,            // R, of the whole retrieval
    first: u32,           // first row of the chunk
    blocks: u32,          // blocks of 32 queries in the chunk
    slots: u32,           // M
    features: u32,        // D
    slots_padded: u32,    // as slots here
    features_padded: u32, // as features here
    begin: u32,           // last step that this dispatch walks back
    end: u32,             // one beyond the first
    steps: u32,           // T
    renormalise: u32,     // 1: every iterate had unit length
    record: u32,          // words per row of record
    accumulate: u32,      // not used here
    splits: u32,          // not used here
}

@group(0) @binding(0) var<storage, read> grad_retrieved: array<f32>; // [R, D]
@group(0) @binding(1) var<storage, read> query: array<f32>; // [R, D]
@group(0) @binding(2) var<storage, read> patterns: array<f32>; // [M, D]
@group(0) @binding(3) var<storage, read> beta: array<f32>; // [1]
@group(0) @binding(4) var<storage, read> iterates: array<f32>; // [T, R, D], outputs of the steps
@group(0) @binding(5) var<storage, read> record: array<u32>; // [R, 4 + T] slot steps entropy stopped lengths
// [T, blocks, 2 M + 2 D, 32]: columns of p, h, g, x; then [blocks, D, 32]: of dL/dx of step 0.
@group(0) @binding(6) var<storage, read_write> chunk: array<f32>;
@group(0) @binding(7) var<storage, read_write> grad_query: array<f32>; // [R, D]
@group(0) @binding(8) var<uniform> p: Params;

var<workgroup> staged_a: array<f32, DEPTH * ROWS>;
var<workgroup> staged_b: array<f32, DEPTH * STRIDE>;
var<workgroup> partial: array<f32, WG>;

// DEPTH terms from k: of the block's queries, and of WG columns of W^T (by_slot) or W, 0 outside.
fn stage(start: u32, k: u32, length: u32, column: u32, columns: u32, by_slot: bool, lane: u32) {
    for (var i = lane; i < DEPTH * ROWS; i += WG) {
        staged_a[i] = 0.0;
        if (k + i / ROWS < length) {
            staged_a[i] = chunk[start + k * ROWS + i];
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
    let own_column = lane % (WG / 8u) * 4u;
    let own_row = lane / (WG / 8u) * 4u;
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
                    tile[c] += four * staged_b[b + c];
                    tile[c + 4u] += four * staged_b[b + WG / 2u + c];
                }
            }
        }
        for (var c = 0u; c < 8u; c++) {
            let at = column + c / 4u * (WG / 2u) + own_column + c % 4u;
            for (var i = 0u; i < 4u && at < columns; i++) {
                chunk[to + at * ROWS + own_row + i] = scale * tile[c][i];
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

// Column d of the input of step t, which is the output of step t - 1, of one query.
fn iterate(row: u32, t: u32, d: u32) -> f32 {
    if (t == 0u) {
        return query[row * p.features + d];
    }
    return iterates[((t - 1u) * p.rows + row) * p.features + d];
}

// Loads the step's input to x, 0 where not taken, and takes g through the renormalisation.
fn enter(x: u32, g: u32, row: u32, t: u32, taken: bool, lane: u32) {
    let own = lane % ROWS;
    var length = 1.0;
    if (taken && p.renormalise != 0u) {
        length = bitcast<f32>(record[row * p.record + 4u + t]);
    }
    var along = 0.0;
    for (var d = lane / ROWS; d < p.features; d += PARTS) {
        var input = 0.0;
        if (taken) {
            input = iterate(row, t, d);
            if (p.renormalise != 0u) {
                along += chunk[g + d * ROWS + own] * iterate(row, t + 1u, d);
            }
        }
        chunk[x + d * ROWS + own] = input;
    }
    // Below 1e-12 the forward pass divides by 1e-12, a constant.
    along = select(0.0, row_sum(lane, along), length > 1e-12);
    for (var d = lane / ROWS; d < p.features && taken && p.renormalise != 0u; d += PARTS) {
        let at = g + d * ROWS + own;
        chunk[at] = (chunk[at] - iterate(row, t + 1u, d) * along) / max(length, 1e-12);
    }
}

// Scores at w become p, their dL/dp at h becomes h; both 0 where not taken.
fn weigh(w: u32, h: u32, taken: bool, lane: u32) {
    let own = lane % ROWS;
    var top = LOWEST;
    for (var m = lane / ROWS; m < p.slots; m += PARTS) {
        top = max(top, chunk[w + m * ROWS + own]);
    }
    top = row_max(lane, top);
    var total = 0.0;
    var mean = 0.0;
    for (var m = lane / ROWS; m < p.slots; m += PARTS) {
        let e = exp(chunk[w + m * ROWS + own] - top);
        chunk[w + m * ROWS + own] = e;
        total += e;
        mean += e * chunk[h + m * ROWS + own];
    }
    total = row_sum(lane, total);
    mean = row_sum(lane, mean) / total;
    for (var m = lane / ROWS; m < p.slots; m += PARTS) {
        let weight = chunk[w + m * ROWS + own] / total;
        let grad = beta[0] * weight * (chunk[h + m * ROWS + own] - mean);
        chunk[w + m * ROWS + own] = select(0.0, weight, taken);
        chunk[h + m * ROWS + own] = select(0.0, grad, taken);
    }
}

@compute @workgroup_size(WG)
fn backward_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = workgroup_index(group, groups);
    let first = p.first + block * ROWS;
    let row = first + lane % ROWS;
    let stride = (p.slots + p.features) * 2u * ROWS;
    let deepest = ((p.end - 1u) * p.blocks + block) * stride + p.slots * 2u * ROWS;
    for (var i = lane; i < ROWS * p.features && p.end == p.steps; i += WG) {
        let r = first + i / p.features;
        var value = 0.0;
        if (r < p.rows) {
            value = grad_retrieved[r * p.features + i % p.features];
        }
        chunk[deepest + i % p.features * ROWS + i / p.features] = value;
    }
    var steps = 0u;
    if (row < p.rows) {
        steps = record[row * p.record + 1u];
    }
    for (var t = p.end; t > p.begin;) {
        t--;
        let w = (t * p.blocks + block) * stride;
        let h = w + p.slots * ROWS;
        let g = h + p.slots * ROWS;
        let x = g + p.features * ROWS;
        let spare = p.steps * p.blocks * stride + block * p.features * ROWS;
        let to = select(spare, g - p.blocks * stride, t > 0u);
        let taken = t < steps;
        storageBarrier();
        enter(x, g, row, t, taken, lane);
        storageBarrier();
        product(x, p.features, beta[0], w, p.slots, true, lane);
        product(g, p.features, 1.0, h, p.slots, true, lane);
        storageBarrier();
        weigh(w, h, taken, lane);
        storageBarrier();
        product(h, p.slots, 1.0, to, p.features, false, lane);
        storageBarrier();
        for (var d = lane / ROWS; d < p.features; d += PARTS) {
            let at = d * ROWS + lane % ROWS;
            let grad = select(chunk[g + at], chunk[to + at], taken);
            chunk[to + at] = grad;
            if (t == 0u && row < p.rows) {
                grad_query[row * p.features + d] = grad;
            }
        }
    }
}
