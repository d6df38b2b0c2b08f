// The retrieval, xi <- softmax(beta xi W^T) W (Ramsauer et al. 2021, eq. 5; AnoMem eq. 1), optionally put back
// to unit length: steps `begin` .. `end`, per query until none of its coordinates changes by more than
// `tolerance` (0: never stop). One workgroup takes 32 queries through all steps. The scores of a block lie in
// scratch, which a cache holds, so that neither M nor D is bounded; products are staged in workgroup memory.
// A column is 32 queries. Backward needs iterates and record (save = 1).
// Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/forward_params
#import hopfield/tiled_product

@group(0) @binding(0) var<storage, read> query: array<f32>; // [R, D]
@group(0) @binding(1) var<storage, read> patterns: array<f32>; // [M, D]
@group(0) @binding(2) var<storage, read> beta: array<f32>; // [1]
// [workgroups, M + 2 D, 32]: columns of weights, iterate, sum.
@group(0) @binding(3) var<storage, read_write> scratch: array<f32>;
@group(0) @binding(4) var<storage, read_write> iterates: array<f32>; // [T, R, D], outputs of the steps
@group(0) @binding(5) var<storage, read_write> record: array<u32>; // [R, 4 + L] slot steps entropy stopped lengths
@group(0) @binding(6) var<storage, read_write> retrieved: array<f32>; // [R, D]
@group(0) @binding(7) var<uniform> p: Params;

var<workgroup> running: u32;

struct Weighed {
    total: f32, // sum of exp(score - top)
    slot: u32,
    entropy: f32,
}

// The scores of the invocation's query become exp(score - top).
fn weigh(s: u32, lane: u32) -> Weighed {
    let own = s + lane % ROWS;
    var top = LOWEST;
    var slot = 0u;
    for (var m = lane / ROWS; m < p.slots; m += PARTS) {
        let score = scratch[own + m * ROWS];
        slot = select(slot, m, score > top);
        top = max(top, score);
    }
    let highest = row_max(lane, top);
    // The first of equal slots; numbers below 2^24 are exact.
    let first = -row_max(lane, select(LOWEST, -f32(slot), top == highest));
    var total = 0.0;
    var mean = 0.0;
    for (var m = lane / ROWS; m < p.slots; m += PARTS) {
        let below = scratch[own + m * ROWS] - highest;
        let e = exp(below);
        scratch[own + m * ROWS] = e;
        total += e;
        mean += e * below;
    }
    total = row_sum(lane, total);
    // -sum p ln p = ln total - sum p (score - top), in units of ln M; 0 for a single slot.
    let nats = log(total) - row_sum(lane, mean) / total;
    return Weighed(total, u32(first), max(nats / log(f32(max(p.slots, 2u))), 0.0));
}

// The iterate becomes sum / total (or of unit length), unless stopped. Records the step.
fn advance(x: u32, u: u32, row: u32, t: u32, w: Weighed, stopped: bool, lane: u32) -> bool {
    let own = lane % ROWS;
    var squares = 0.0;
    for (var d = lane / ROWS; d < p.features; d += PARTS) {
        let sum = scratch[u + d * ROWS + own] / w.total;
        squares += sum * sum;
    }
    let length = sqrt(row_sum(lane, squares));
    let over = w.total * select(1.0, max(length, 1e-12), p.renormalise != 0u);
    var change = 0.0;
    for (var d = lane / ROWS; d < p.features; d += PARTS) {
        let old = scratch[x + d * ROWS + own];
        let next = select(scratch[u + d * ROWS + own] / over, old, stopped);
        change = max(change, abs(next - old));
        scratch[x + d * ROWS + own] = next;
        if (p.save != 0u && row < p.rows) {
            iterates[(t * p.rows + row) * p.features + d] = next;
        }
    }
    let stops = p.tolerance > 0.0 && row_max(lane, change) <= p.tolerance;
    if (lane < ROWS && !stopped) {
        let at = row * p.record;
        record[at] = w.slot;
        record[at + 1u] = t + 1u;
        record[at + 2u] = bitcast<u32>(w.entropy);
        record[at + 3u] = u32(stops);
        if (p.record > 4u) {
            record[at + min(4u + t, p.record - 1u)] = bitcast<u32>(length);
        }
    }
    return stopped || stops;
}

// Whether a query of the block is still on its way, the same answer for all invocations.
fn any_left(stopped: bool, lane: u32) -> bool {
    let left = row_max(lane, select(1.0, 0.0, stopped));
    workgroupBarrier();
    partial[lane] = left;
    workgroupBarrier();
    if (lane == 0u) {
        running = 0u;
        for (var i = 0u; i < ROWS; i++) {
            running |= u32(partial[i] > 0.0);
        }
    }
    return workgroupUniformLoad(&running) != 0u;
}

@compute @workgroup_size(WG)
fn forward_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = workgroup_index(group, groups);
    let s = block * (p.slots + 2u * p.features) * ROWS;
    let x = s + p.slots * ROWS;
    let u = x + p.features * ROWS;
    let first = p.first + block * ROWS;
    let row = first + lane % ROWS;
    for (var i = lane; i < ROWS * p.features && p.begin == 0u; i += WG) {
        let r = first + i / p.features;
        var value = 0.0;
        if (r < p.rows) {
            value = query[r * p.features + i % p.features];
        }
        scratch[x + i % p.features * ROWS + i / p.features] = value;
    }
    var stopped = row >= p.rows;
    if (!stopped && p.begin > 0u) {
        stopped = record[row * p.record + 3u] != 0u;
    }
    for (var t = p.begin; t < p.end; t++) {
        storageBarrier();
        if (!any_left(stopped, lane)) {
            break;
        }
        product(x, p.features, beta[0], s, p.slots, true, lane);
        storageBarrier();
        let w = weigh(s, lane);
        storageBarrier();
        product(s, p.slots, 1.0, u, p.features, false, lane);
        storageBarrier();
        stopped = advance(x, u, row, t, w, stopped, lane);
    }
    storageBarrier();
    for (var i = lane; i < ROWS * p.features; i += WG) {
        let r = first + i / p.features;
        if (r < p.rows) {
            retrieved[r * p.features + i % p.features] = scratch[x + i % p.features * ROWS + i / p.features];
        }
    }
}
