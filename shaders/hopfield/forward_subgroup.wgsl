// The retrieval, xi <- softmax(beta xi W^T) W (Ramsauer et al. 2021, eq. 5; AnoMem eq. 1), optionally put back
// to unit length: steps `begin` .. `end`, per query until none of its coordinates changes by more than
// `tolerance` (0: never stop). Without barriers or workgroup memory: one subgroup takes 8 queries. Lane l owns
// columns l*8 .. l*8+8 of every tile of TILE features or slots: it computes them, stores them and alone reads
// them back; others get them by broadcast. A column is 2 vec4 of 4 queries each.
// Per row of `packed` two vec4 loads and 2 broadcasts feed 64 multiply-adds per lane. 16 queries are no faster
// on lavapipe and take seven times as long to compile.
// The iterate stays in scratch between the dispatches of one retrieval: lavapipe ends all loops of an
// invocation after 65,535 iterations together, so the host splits the steps.
// Backward needs iterates and record (save = 1). Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import numeric

const LANES: u32 = 8u; // per subgroup, and per workgroup

const TILE: u32 = 8u * LANES;
const QUADS: u32 = TILE / 4u;

struct Params {
    rows: u32,            // R, queries
    first: u32,           // first row of this dispatch
    slots: u32,           // M
    features: u32,        // D
    slots_padded: u32,    // Mp, a multiple of TILE
    features_padded: u32, // Dp, a multiple of TILE
    begin: u32,           // first step of this dispatch
    end: u32,             // one beyond its last
    renormalise: u32,     // 1: every iterate has unit length
    save: u32,            // 1: write iterates and lengths
    record: u32,          // words per row of record
    tolerance: f32,
}

@group(0) @binding(0) var<storage, read> query: array<f32>; // [R, D]
@group(0) @binding(1) var<storage, read> packed: array<vec4<f32>>; // [2, Mp * Dp / 4], see pack.wgsl
@group(0) @binding(2) var<storage, read> beta: array<f32>; // [1]
// [workgroups, Mp + 2 Dp, 2]: columns of weights, iterate, sum.
@group(0) @binding(3) var<storage, read_write> scratch: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> iterates: array<f32>; // [T, R, D], outputs of the steps
@group(0) @binding(5) var<storage, read_write> record: array<u32>; // [R, 4 + T] slot steps entropy stopped lengths
@group(0) @binding(6) var<storage, read_write> retrieved: array<f32>; // [R, D]
@group(0) @binding(7) var<uniform> p: Params;

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

struct Weighed {
    total: vec4<f32>, // sum of exp(score - top)
    slot: vec4<u32>,
    entropy: vec4<f32>,
}

// The scores of 4 queries at s become exp(score - top), 0 beyond M.
fn weigh(s: u32, lane: u32) -> Weighed {
    let own = p.slots_padded / LANES;
    var top = vec4<f32>(LOWEST);
    var slot = vec4<u32>(0u);
    for (var n = 0u; n < own; n++) {
        let m = owned(n, lane);
        let score = select(vec4<f32>(LOWEST), scratch[s + m * 2u], m < p.slots);
        slot = select(slot, vec4<u32>(m), score > top);
        top = max(top, score);
    }
    let highest = subgroupMax(top);
    var total = vec4<f32>(0.0);
    var mean = vec4<f32>(0.0);
    for (var n = 0u; n < own; n++) {
        let m = owned(n, lane);
        let below = scratch[s + m * 2u] - highest;
        let e = select(vec4<f32>(0.0), exp(below), m < p.slots);
        mean += e * below;
        total += e;
        scratch[s + m * 2u] = e;
    }
    total = subgroupAdd(total);
    // -sum p ln p = ln total - sum p (score - top), in units of ln M; 0 for a single slot.
    let nats = log(total) - subgroupAdd(mean) / total;
    let entropy = max(nats / log(f32(max(p.slots, 2u))), vec4<f32>(0.0));
    // The first of equal slots.
    return Weighed(total, subgroupMin(select(vec4<u32>(p.slots), slot, top == highest)), entropy);
}

// The iterate of 4 queries at x becomes sum / total (or of unit length), unless stopped. Records the step.
fn advance(u: u32, x: u32, row: u32, t: u32, w: Weighed, stopped: vec4<bool>, lane: u32) -> vec4<bool> {
    let own = p.features_padded / LANES;
    var squares = vec4<f32>(0.0);
    for (var n = 0u; n < own; n++) {
        let sum = scratch[u + owned(n, lane) * 2u] / w.total;
        squares += sum * sum;
    }
    let length = sqrt(subgroupAdd(squares));
    let over = w.total * select(vec4<f32>(1.0), max(length, vec4<f32>(1e-12)), p.renormalise != 0u);
    var change = vec4<f32>(0.0);
    for (var n = 0u; n < own; n++) {
        let d = owned(n, lane);
        let old = scratch[x + d * 2u];
        let next = select(scratch[u + d * 2u] / over, old, stopped);
        change = max(change, abs(next - old));
        scratch[x + d * 2u] = next;
        for (var i = 0u; i < 4u && p.save != 0u; i++) {
            if (row + i < p.rows && d < p.features) {
                iterates[(t * p.rows + row + i) * p.features + d] = next[i];
            }
        }
    }
    let small = subgroupMax(change) <= vec4<f32>(p.tolerance);
    let stops = small & vec4<bool>(p.tolerance > 0.0);
    for (var i = 0u; i < 4u; i++) {
        if (lane == 0u && !stopped[i]) {
            let at = (row + i) * p.record;
            record[at] = w.slot[i];
            record[at + 1u] = t + 1u;
            record[at + 2u] = bitcast<u32>(w.entropy[i]);
            record[at + 3u] = u32(stops[i]);
            if (p.save != 0u) {
                record[at + 4u + t] = bitcast<u32>(length[i]);
            }
        }
    }
    return stopped | stops;
}

// Loads 4 queries, or finds which of them have stopped in an earlier dispatch.
fn enter(x: u32, row: u32, lane: u32) -> vec4<bool> {
    var stopped = vec4<bool>(true);
    for (var i = 0u; i < 4u; i++) {
        if (row + i < p.rows) {
            stopped[i] = p.begin > 0u && record[(row + i) * p.record + 3u] != 0u;
        }
    }
    for (var n = 0u; n < p.features_padded / LANES && p.begin == 0u; n++) {
        let d = owned(n, lane);
        var column = vec4<f32>(0.0);
        for (var i = 0u; i < 4u; i++) {
            if (row + i < p.rows && d < p.features) {
                column[i] = query[(row + i) * p.features + d];
            }
        }
        scratch[x + d * 2u] = column;
    }
    return stopped;
}

@compute @workgroup_size(LANES)
fn forward_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = workgroup_index(group, groups);
    let s = block * (p.slots_padded + 2u * p.features_padded) * 2u;
    let x = s + p.slots_padded * 2u;
    let u = x + p.features_padded * 2u;
    let row = p.first + block * 8u;
    let panels = p.slots_padded / TILE * p.features_padded;
    var stopped0 = enter(x, row, lane);
    var stopped1 = enter(x + 1u, row + 4u, lane);
    for (var t = p.begin; t < p.end && !(all(stopped0) && all(stopped1)); t++) {
        var w0: Weighed;
        var w1: Weighed;
        // Scores from x, then sums from the weights: a loop, so that the product is compiled once.
        for (var half = 0u; half < 2u; half++) {
            let first = half == 0u;
            product(
                select(s, x, first), select(panels, 0u, first),
                select(p.slots_padded, p.features_padded, first), select(1.0, beta[0], first),
                select(u, s, first), select(p.features_padded, p.slots_padded, first), lane,
            );
            if (first) {
                w0 = weigh(s, lane);
                w1 = weigh(s + 1u, lane);
            }
        }
        stopped0 = advance(u, x, row, t, w0, stopped0, lane);
        stopped1 = advance(u + 1u, x + 1u, row + 4u, t, w1, stopped1, lane);
    }
    for (var n = 0u; n < p.features_padded / LANES; n++) {
        let d = owned(n, lane);
        for (var i = 0u; i < 8u; i++) {
            if (row + i < p.rows && d < p.features) {
                retrieved[(row + i) * p.features + d] = scratch[x + d * 2u + i / 4u][i % 4u];
            }
        }
    }
}
