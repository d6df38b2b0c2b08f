// grad_patterns (+)= sum over the steps and queries of a chunk of p^T g + h^T x, from the columns that
// backward_subgroup.wgsl leaves. The first chunk writes, the others add; steps, blocks and queries in order.
// One subgroup computes LANES slots by TILE features; lane l owns 8 features, and loads slot l for all.
// Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/backward_params

const LANES: u32 = 8u; // per subgroup, and per workgroup

const TILE: u32 = 8u * LANES;

// [T, blocks, 2 Mp + 2 Dp, 2]: columns of p, h, g, x, each 8 queries.
@group(0) @binding(0) var<storage, read> chunk: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> grad_patterns: array<f32>; // [M, D]
@group(0) @binding(2) var<uniform> p: Params;

struct Columns {
    low: mat4x4<f32>,  // 4 queries of features 0..4 of the lane's 8
    high: mat4x4<f32>, // and of features 4..8
}

fn columns(at: u32) -> Columns {
    return Columns(
        mat4x4<f32>(chunk[at], chunk[at + 2u], chunk[at + 4u], chunk[at + 6u]),
        mat4x4<f32>(chunk[at + 8u], chunk[at + 10u], chunk[at + 12u], chunk[at + 14u]),
    );
}

// Slot l of the tile: sums over 4 queries, one per vector component.
fn gather_row(tile: ptr<function, array<vec4<f32>, 16>>, l: u32, weights: vec4<f32>, scores: vec4<f32>, g: Columns, x: Columns) {
    (*tile)[2u * l] += weights * g.low + scores * x.low;
    (*tile)[2u * l + 1u] += weights * g.high + scores * x.high;
}

@compute @workgroup_size(LANES)
fn backward_patterns_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group, groups);
    let tiles = p.features_padded / TILE;
    let slot = index / tiles * LANES;
    let feature = index % tiles * TILE + lane * 8u;
    let stride = (p.slots_padded + p.features_padded) * 4u;
    var tile: array<vec4<f32>, 16>;
    for (var block = 0u; block < p.steps * p.blocks && slot < p.slots; block++) {
        for (var q = 0u; q < 2u; q++) {
            let own = block * stride + (slot + lane) * 2u + q;
            let weights = chunk[own];
            let scores = chunk[own + p.slots_padded * 2u];
            let at = block * stride + p.slots_padded * 4u + feature * 2u + q;
            let g = columns(at);
            let x = columns(at + p.features_padded * 2u);
            gather_row(&tile, 0u, subgroupBroadcast(weights, 0u), subgroupBroadcast(scores, 0u), g, x);
            gather_row(&tile, 1u, subgroupBroadcast(weights, 1u), subgroupBroadcast(scores, 1u), g, x);
            gather_row(&tile, 2u, subgroupBroadcast(weights, 2u), subgroupBroadcast(scores, 2u), g, x);
            gather_row(&tile, 3u, subgroupBroadcast(weights, 3u), subgroupBroadcast(scores, 3u), g, x);
            if (LANES > 4u) {
                gather_row(&tile, 4u, subgroupBroadcast(weights, 4u), subgroupBroadcast(scores, 4u), g, x);
                gather_row(&tile, 5u, subgroupBroadcast(weights, 5u), subgroupBroadcast(scores, 5u), g, x);
                gather_row(&tile, 6u, subgroupBroadcast(weights, 6u), subgroupBroadcast(scores, 6u), g, x);
                gather_row(&tile, 7u, subgroupBroadcast(weights, 7u), subgroupBroadcast(scores, 7u), g, x);
            }
        }
    }
    for (var l = 0u; l < LANES; l++) {
        for (var c = 0u; c < 8u; c++) {
            if (slot + l < p.slots && feature + c < p.features) {
                let at = (slot + l) * p.features + feature + c;
                var sum = tile[2u * l + c / 4u][c % 4u];
                if (p.accumulate != 0u) {
                    sum += grad_patterns[at];
                }
                grad_patterns[at] = sum;
            }
        }
    }
}
