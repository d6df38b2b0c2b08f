// The gradient through the unrolled steps of forward_tiled.wgsl, steps `end`-1 down to `begin`, for the queries
// of one chunk of rows. With x the input of a step, p = softmax(beta x W^T), u = p W and g = dL/du (through the
// renormalisation):
//   dL/dp = g W^T, h = beta p (dL/dp - p . dL/dp), dL/dx = h W, and for the patterns dL/dW += p^T g + h^T x,
// which backward_patterns_tiled.wgsl sums from the parts of `scratch`. Steps that a query did not take pass the
// gradient on and leave p = h = 0. One workgroup takes 32 queries; products as in forward_tiled.wgsl. g of step
// end-1 is there when a dispatch starts in the middle.
// With implicit = 1 every step is the one at the fixed point, x = its output = the last iterate: the T parts are the
// terms of the Neumann series that inverts I - (du/dx)^T. Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/backward_params
#import hopfield/tiled_product

@group(0) @binding(0) var<storage, read> grad_retrieved: array<f32>; // [R, D]
@group(0) @binding(1) var<storage, read> query: array<f32>; // [R, D]
@group(0) @binding(2) var<storage, read> patterns: array<f32>; // [M, D]
@group(0) @binding(3) var<storage, read> beta: array<f32>; // [1]
@group(0) @binding(4) var<storage, read> iterates: array<f32>; // [T, R, D], outputs of the steps; implicit: [R, D]
@group(0) @binding(5) var<storage, read> record: array<u32>; // [R, 4 + L] slot steps entropy stopped lengths
// [T, blocks, 2 M + 2 D, 32]: columns of p, h, g, x; then [blocks, D, 32]: of dL/dx of step 0.
@group(0) @binding(6) var<storage, read_write> scratch: array<f32>;
@group(0) @binding(7) var<storage, read_write> grad_query: array<f32>; // [R, D]
@group(0) @binding(8) var<uniform> p: Params;

// Column d of the input of step t, which is the output of step t - 1, of one query.
fn iterate(row: u32, t: u32, d: u32) -> f32 {
    if (p.implicit != 0u) {
        return iterates[row * p.features + d];
    }
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
        length = bitcast<f32>(record[row * p.record + min(4u + t, p.record - 1u)]);
    }
    var along = 0.0;
    for (var d = lane / ROWS; d < p.features; d += PARTS) {
        var input = 0.0;
        if (taken) {
            input = iterate(row, t, d);
            if (p.renormalise != 0u) {
                along += scratch[g + d * ROWS + own] * iterate(row, t + 1u, d);
            }
        }
        scratch[x + d * ROWS + own] = input;
    }
    // Below 1e-12 the forward pass divides by 1e-12, a constant.
    along = select(0.0, row_sum(lane, along), length > 1e-12);
    for (var d = lane / ROWS; d < p.features && taken && p.renormalise != 0u; d += PARTS) {
        let at = g + d * ROWS + own;
        scratch[at] = (scratch[at] - iterate(row, t + 1u, d) * along) / max(length, 1e-12);
    }
}

// Scores at w become p, their dL/dp at h becomes h; both 0 where not taken.
fn weigh(w: u32, h: u32, taken: bool, lane: u32) {
    let own = lane % ROWS;
    var top = LOWEST;
    for (var m = lane / ROWS; m < p.slots; m += PARTS) {
        top = max(top, scratch[w + m * ROWS + own]);
    }
    top = row_max(lane, top);
    var total = 0.0;
    var mean = 0.0;
    for (var m = lane / ROWS; m < p.slots; m += PARTS) {
        let e = exp(scratch[w + m * ROWS + own] - top);
        scratch[w + m * ROWS + own] = e;
        total += e;
        mean += e * scratch[h + m * ROWS + own];
    }
    total = row_sum(lane, total);
    mean = row_sum(lane, mean) / total;
    for (var m = lane / ROWS; m < p.slots; m += PARTS) {
        let weight = scratch[w + m * ROWS + own] / total;
        let grad = beta[0] * weight * (scratch[h + m * ROWS + own] - mean);
        scratch[w + m * ROWS + own] = select(0.0, weight, taken);
        scratch[h + m * ROWS + own] = select(0.0, grad, taken);
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
        scratch[deepest + i % p.features * ROWS + i / p.features] = value;
    }
    var steps = 0u;
    if (row < p.rows) {
        steps = select(record[row * p.record + 1u], p.steps, p.implicit != 0u);
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
            let grad = select(scratch[g + at], scratch[to + at], taken);
            scratch[to + at] = grad;
            if (t == 0u && p.implicit == 0u && row < p.rows) {
                grad_query[row * p.features + d] = grad;
            }
        }
    }
}
