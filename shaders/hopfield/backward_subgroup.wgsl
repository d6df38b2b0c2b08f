// The gradient through the unrolled steps of forward_subgroup.wgsl, steps `end`-1 down to `begin`, for the
// queries of one chunk of rows. With x the input of a step, p = softmax(beta x W^T), u = p W and
// g = dL/du (through the renormalisation):
//   dL/dp = g W^T, h = beta p (dL/dp - p . dL/dp), dL/dx = h W, and for the patterns dL/dW += p^T g + h^T x,
// which backward_patterns_subgroup.wgsl sums from the parts of `scratch`. Steps that a query did not take pass
// the gradient on and leave p = h = 0.
// One subgroup takes QUERIES queries, four to a vector; nothing passes between lanes through memory. g of step end-1 is in scratch when
// a dispatch starts in the middle.
// With implicit = 1 every step is the one at the fixed point, x = its output = the last iterate: the T parts are the
// terms of the Neumann series that inverts I - (du/dx)^T.
// Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import numeric
#import hopfield/backward_params
#import hopfield/subgroup_product

#texels packed
@group(0) @binding(0) var<storage, read> grad_retrieved: array<f32>; // [R, D]
@group(0) @binding(1) var<storage, read> query: array<f32>; // [R, D]
@group(0) @binding(2) var<storage, read> packed: array<vec4<f32>>; // [2, Mp * Dp / 4], see pack.wgsl
@group(0) @binding(3) var<storage, read> beta: array<f32>; // [1]
@group(0) @binding(4) var<storage, read> iterates: array<f32>; // [T, R, D], outputs of the steps; implicit: [R, D]
@group(0) @binding(5) var<storage, read> record: array<u32>; // [R, 4 + L] slot steps entropy stopped lengths
// [T, blocks, 2 Mp + 2 Dp, QUADS]: rows of p, h, g, x; then [blocks, Dp, QUADS]: of dL/dx of step 0.
@group(0) @binding(6) var<storage, read_write> scratch: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> grad_query: array<f32>; // [R, D]
@group(0) @binding(8) var<uniform> p: Params;

// Element d of row `row` of the input of step t, which is the output of step t - 1; 0 where not taken.
fn iterate_of(row: u32, t: u32, d: u32, taken: bool) -> f32 {
    if (!taken || d >= p.features) {
        return 0.0;
    }
    let at = row * p.features + d;
    if (p.implicit != 0u) {
        return iterates[at];
    }
    if (t == 0u) {
        return query[at];
    }
    return iterates[(t - 1u) * p.rows * p.features + at];
}

// Of rows row .. row+4.
fn iterate(row: u32, t: u32, d: u32, taken: vec4<bool>) -> vec4<f32> {
    return vec4<f32>(
        iterate_of(row, t, d, taken.x), iterate_of(row + 1u, t, d, taken.y),
        iterate_of(row + 2u, t, d, taken.z), iterate_of(row + 3u, t, d, taken.w),
    );
}

// Loads the step's input of 4 queries to x, and takes g through the renormalisation.
fn enter(x: u32, g: u32, row: u32, t: u32, taken: vec4<bool>, lane: u32) {
    let own = p.features_padded / LANES;
    for (var n = 0u; n < own; n++) {
        let d = owned(n, lane);
        scratch[x + d * QUADS] = iterate(row, t, d, taken);
    }
    var length = vec4<f32>(1.0);
    var along = vec4<f32>(0.0);
    for (var i = 0u; i < 4u; i++) {
        if (taken[i] && p.renormalise != 0u) {
            length[i] = bitcast<f32>(record[(row + i) * p.record + min(4u + t, p.record - 1u)]);
        }
    }
    for (var n = 0u; n < own && p.renormalise != 0u; n++) {
        let d = owned(n, lane);
        along += scratch[g + d * QUADS] * iterate(row, t + 1u, d, taken);
    }
    // Below 1e-12 the forward pass divides by 1e-12, a constant.
    along = select(vec4<f32>(0.0), subgroupAdd(along), length > vec4<f32>(1e-12));
    for (var n = 0u; n < own && p.renormalise != 0u; n++) {
        let d = owned(n, lane);
        let inward = iterate(row, t + 1u, d, taken) * along;
        scratch[g + d * QUADS] = (scratch[g + d * QUADS] - inward) / max(length, vec4<f32>(1e-12));
    }
}

// Products x W^T of 4 queries at w become p, their dL/dp at h becomes h; both 0 where not taken and beyond M.
fn weigh(w: u32, h: u32, scale: f32, taken: vec4<bool>, lane: u32) {
    let own = p.slots_padded / LANES;
    var top = vec4<f32>(LOWEST);
    for (var n = 0u; n < own; n++) {
        let m = owned(n, lane);
        top = max(top, select(vec4<f32>(LOWEST), scale * scratch[w + m * QUADS], m < p.slots));
    }
    top = subgroupMax(top);
    var total = vec4<f32>(0.0);
    var mean = vec4<f32>(0.0);
    for (var n = 0u; n < own; n++) {
        let m = owned(n, lane);
        let e = select(vec4<f32>(0.0), exp(scale * scratch[w + m * QUADS] - top), m < p.slots);
        scratch[w + m * QUADS] = e;
        total += e;
        mean += e * scratch[h + m * QUADS];
    }
    total = subgroupAdd(total);
    mean = subgroupAdd(mean) / total;
    for (var n = 0u; n < own; n++) {
        let m = owned(n, lane);
        let weight = scratch[w + m * QUADS] / total;
        let grad = scale * weight * (scratch[h + m * QUADS] - mean);
        scratch[w + m * QUADS] = select(vec4<f32>(0.0), weight, taken);
        scratch[h + m * QUADS] = select(vec4<f32>(0.0), grad, taken);
    }
}

fn store_grad(row: u32, d: u32, v: f32) {
    if (row < p.rows && d < p.features) {
        grad_query[row * p.features + d] = v;
    }
}

// dL/dx of 4 queries, at `to` where taken, else g: stays there, or goes out after step 0.
fn leave(g: u32, row: u32, t: u32, to: u32, taken: vec4<bool>, lane: u32) {
    for (var n = 0u; n < p.features_padded / LANES; n++) {
        let d = owned(n, lane);
        let grad = select(scratch[g + d * QUADS], scratch[to + d * QUADS], taken);
        scratch[to + d * QUADS] = grad;
        if (t == 0u && p.implicit == 0u) {
            store_grad(row, d, grad.x);
            store_grad(row + 1u, d, grad.y);
            store_grad(row + 2u, d, grad.z);
            store_grad(row + 3u, d, grad.w);
        }
    }
}

fn grad_at(row: u32, d: u32) -> f32 {
    if (row < p.rows && d < p.features) {
        return grad_retrieved[row * p.features + d];
    }
    return 0.0;
}

// Steps that 4 queries walk back, 0 beyond R; loads their dL/d(retrieved) to g.
fn start(g: u32, row: u32, lane: u32) -> vec4<u32> {
    var steps = vec4<u32>(0u);
    for (var i = 0u; i < 4u; i++) {
        if (row + i < p.rows) {
            steps[i] = select(record[(row + i) * p.record + 1u], p.steps, p.implicit != 0u);
        }
    }
    for (var n = 0u; n < p.features_padded / LANES && p.end == p.steps; n++) {
        let d = owned(n, lane);
        scratch[g + d * QUADS] =
            vec4<f32>(grad_at(row, d), grad_at(row + 1u, d), grad_at(row + 2u, d), grad_at(row + 3u, d));
    }
    return steps;
}

// Of each four queries, the steps that they walk back.
var<private> steps: array<vec4<u32>, QUADS>;

@compute @workgroup_size(LANES)
fn backward_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = workgroup_index(group, groups);
    let row = p.first + block * QUERIES;
    let stride = (p.slots_padded + p.features_padded) * 2u * QUADS;
    let scale = beta[0];
    let panels = p.slots_padded / 4u * p.features_padded;
    let deepest = ((p.end - 1u) * p.blocks + block) * stride + p.slots_padded * 2u * QUADS;
    var most = vec4<u32>(0u);
    for (var q = 0u; q < QUADS; q++) {
        steps[q] = start(deepest + q, row + 4u * q, lane);
        most = max(most, steps[q]);
    }
    for (var t = p.end; t > p.begin;) {
        t--;
        let w = (t * p.blocks + block) * stride;
        let h = w + p.slots_padded * QUADS;
        let g = h + p.slots_padded * QUADS;
        let x = g + p.features_padded * QUADS;
        let spare = p.steps * p.blocks * stride + block * p.features_padded * QUADS;
        let to = select(spare, g - p.blocks * stride, t > 0u);
        for (var q = 0u; q < QUADS; q++) {
            enter(x + q, g + q, row + 4u * q, t, steps[q] > vec4<u32>(t), lane);
        }
        // Scores from x, dL/dp from g, dL/dx from h: a loop, so that the product is compiled once.
        for (var third = 0u; third < 3u; third++) {
            let last = third == 2u;
            if (any(most > vec4<u32>(t))) {
                product(
                    select(select(x, g, third == 1u), h, last), select(0u, panels, last),
                    select(p.features_padded, p.slots_padded, last),
                    select(select(w, h, third == 1u), to, last),
                    select(p.slots_padded, p.features_padded, last), lane,
                );
            }
            for (var q = 0u; q < QUADS && third == 1u; q++) {
                weigh(w + q, h + q, scale, steps[q] > vec4<u32>(t), lane);
            }
        }
        for (var q = 0u; q < QUADS; q++) {
            leave(g + q, row + 4u * q, t, to + q, steps[q] > vec4<u32>(t), lane);
        }
    }
}
