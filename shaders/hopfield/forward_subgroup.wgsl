// The retrieval, xi <- softmax(beta xi W^T) W (Ramsauer et al. 2021, eq. 5; AnoMem eq. 1), optionally put back
// to unit length: steps `begin` .. `end`, per query until none of its coordinates changes by more than
// `tolerance` (0: never stop). One subgroup takes QUERIES queries, four to a vector.
// The iterate stays in scratch between the dispatches of one retrieval: lavapipe ends all loops of an
// invocation after 65,535 iterations together, so the host splits the steps.
// Backward needs record, and iterates (save = 1) or the retrieved. Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import numeric
#import hopfield/forward_params
#import hopfield/subgroup_product

#texels packed
@group(0) @binding(0) var<storage, read> query: array<f32>; // [R, D]
@group(0) @binding(1) var<storage, read> packed: array<vec4<f32>>; // [2, Mp * Dp / 4], see pack.wgsl
@group(0) @binding(2) var<storage, read> beta: array<f32>; // [1]
// [workgroups, Mp + 2 Dp, QUADS]: rows of weights, iterate, sum.
@group(0) @binding(3) var<storage, read_write> scratch: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> iterates: array<f32>; // [T, R, D], outputs of the steps
@group(0) @binding(5) var<storage, read_write> record: array<u32>; // [R, 4 + L] slot steps entropy stopped lengths
@group(0) @binding(6) var<storage, read_write> retrieved: array<f32>; // [R, D]
@group(0) @binding(7) var<uniform> p: Params;

struct Weighed {
    total: vec4<f32>, // sum of exp(score - top)
    slot: vec4<u32>,
    entropy: vec4<f32>,
}

// Of each four queries.
var<private> weighed: array<Weighed, QUADS>;
var<private> stopped: array<vec4<bool>, QUADS>;

// The products of 4 queries at s become exp(score - top), 0 beyond M.
fn weigh(s: u32, lane: u32) -> Weighed {
    let own = p.slots_padded / LANES;
    let scale = beta[0];
    var top = vec4<f32>(LOWEST);
    var slot = vec4<u32>(0u);
    for (var n = 0u; n < own; n++) {
        let m = owned(n, lane);
        let score = select(vec4<f32>(LOWEST), scale * scratch[s + m * QUADS], m < p.slots);
        slot = select(slot, vec4<u32>(m), score > top);
        top = max(top, score);
    }
    let highest = subgroupMax(top);
    var total = vec4<f32>(0.0);
    var mean = vec4<f32>(0.0);
    for (var n = 0u; n < own; n++) {
        let m = owned(n, lane);
        let below = scale * scratch[s + m * QUADS] - highest;
        let e = select(vec4<f32>(0.0), exp(below), m < p.slots);
        mean += e * below;
        total += e;
        scratch[s + m * QUADS] = e;
    }
    total = subgroupAdd(total);
    // -sum p ln p = ln total - sum p (score - top), in units of ln M; 0 for a single slot.
    let nats = log(total) - subgroupAdd(mean) / total;
    let entropy = max(nats / log(f32(max(p.slots, 2u))), vec4<f32>(0.0));
    // The first of equal slots.
    return Weighed(total, subgroupMin(select(vec4<u32>(p.slots), slot, top == highest)), entropy);
}

fn save(t: u32, row: u32, d: u32, v: f32) {
    if (row < p.rows && d < p.features) {
        iterates[(t * p.rows + row) * p.features + d] = v;
    }
}

// The iterate of 4 queries at x becomes sum / total (or of unit length), unless stopped. Records the step.
fn advance(q: u32, u: u32, x: u32, row: u32, t: u32, lane: u32) {
    let w = weighed[q];
    let stands = stopped[q];
    let own = p.features_padded / LANES;
    var squares = vec4<f32>(0.0);
    for (var n = 0u; n < own; n++) {
        let sum = scratch[u + owned(n, lane) * QUADS] / w.total;
        squares += sum * sum;
    }
    let length = sqrt(subgroupAdd(squares));
    let over = w.total * select(vec4<f32>(1.0), max(length, vec4<f32>(1e-12)), p.renormalise != 0u);
    var change = vec4<f32>(0.0);
    for (var n = 0u; n < own; n++) {
        let d = owned(n, lane);
        let old = scratch[x + d * QUADS];
        let next = select(scratch[u + d * QUADS] / over, old, stands);
        change = max(change, abs(next - old));
        scratch[x + d * QUADS] = next;
        if (p.save != 0u) {
            save(t, row, d, next.x);
            save(t, row + 1u, d, next.y);
            save(t, row + 2u, d, next.z);
            save(t, row + 3u, d, next.w);
        }
    }
    let small = subgroupMax(change) <= vec4<f32>(p.tolerance);
    let stops = small & vec4<bool>(p.tolerance > 0.0);
    for (var i = 0u; i < 4u; i++) {
        if (lane == 0u && !stands[i]) {
            let at = (row + i) * p.record;
            record[at] = w.slot[i];
            record[at + 1u] = t + 1u;
            record[at + 2u] = bitcast<u32>(w.entropy[i]);
            record[at + 3u] = u32(stops[i]);
            if (p.record > 4u) {
                record[at + min(4u + t, p.record - 1u)] = bitcast<u32>(length[i]);
            }
        }
    }
    stopped[q] = stands | stops;
}

fn query_at(row: u32, d: u32) -> f32 {
    if (row < p.rows && d < p.features) {
        return query[row * p.features + d];
    }
    return 0.0;
}

// Loads 4 queries, or finds which of them have stopped in an earlier dispatch.
fn enter(x: u32, row: u32, lane: u32) -> vec4<bool> {
    var stands = vec4<bool>(true);
    for (var i = 0u; i < 4u; i++) {
        if (row + i < p.rows) {
            stands[i] = p.begin > 0u && record[(row + i) * p.record + 3u] != 0u;
        }
    }
    for (var n = 0u; n < p.features_padded / LANES && p.begin == 0u; n++) {
        let d = owned(n, lane);
        scratch[x + d * QUADS] =
            vec4<f32>(query_at(row, d), query_at(row + 1u, d), query_at(row + 2u, d), query_at(row + 3u, d));
    }
    return stands;
}

fn retrieve(row: u32, d: u32, v: f32) {
    if (row < p.rows && d < p.features) {
        retrieved[row * p.features + d] = v;
    }
}

// Writes 4 queries' last iterate.
fn leave(x: u32, row: u32, lane: u32) {
    for (var n = 0u; n < p.features_padded / LANES; n++) {
        let d = owned(n, lane);
        let column = scratch[x + d * QUADS];
        retrieve(row, d, column.x);
        retrieve(row + 1u, d, column.y);
        retrieve(row + 2u, d, column.z);
        retrieve(row + 3u, d, column.w);
    }
}

fn all_stopped() -> bool {
    var all_stand = vec4<bool>(true);
    for (var q = 0u; q < QUADS; q++) {
        all_stand &= stopped[q];
    }
    return all(all_stand);
}

@compute @workgroup_size(LANES)
fn forward_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = workgroup_index(group, groups);
    let s = block * (p.slots_padded + 2u * p.features_padded) * QUADS;
    let x = s + p.slots_padded * QUADS;
    let u = x + p.features_padded * QUADS;
    let row = p.first + block * QUERIES;
    let panels = p.slots_padded / 4u * p.features_padded;
    for (var q = 0u; q < QUADS; q++) {
        stopped[q] = enter(x + q, row + 4u * q, lane);
    }
    for (var t = p.begin; t < p.end && !all_stopped(); t++) {
        // Scores from x, then sums from the weights: a loop, so that the product is compiled once.
        for (var half = 0u; half < 2u; half++) {
            let first = half == 0u;
            product(
                select(s, x, first), select(panels, 0u, first), select(p.slots_padded, p.features_padded, first),
                select(u, s, first), select(p.features_padded, p.slots_padded, first), lane,
            );
            for (var q = 0u; q < QUADS && first; q++) {
                weighed[q] = weigh(s + q, lane);
            }
        }
        for (var q = 0u; q < QUADS; q++) {
            advance(q, u + q, x + q, row + 4u * q, t, lane);
        }
    }
    for (var q = 0u; q < QUADS; q++) {
        leave(x + q, row + 4u * q, lane);
    }
}
