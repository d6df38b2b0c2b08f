// partials[s] (+)= the s-th share of sum over the steps and queries of a chunk of p^T g + h^T x, from the columns
// that backward_tiled.wgsl leaves; sum_splits.wgsl adds the shares. The first chunk writes, the others add.
// One workgroup computes 64 slots by 64 features of one share, 4 by 4 per invocation; the steps' blocks of a
// share are neighbours, walked in order. Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/backward_params

const WG: u32 = 256u;

const ROWS: u32 = 32u;   // queries of a block
const SIDE: u32 = 64u;   // of a tile
const DEPTH: u32 = 16u;  // queries staged at a time
const STRIDE: u32 = 68u; // of staged columns: 4 apart in the banks

// [T, blocks, 2 M + 2 D, 32]: columns of p, h, g, x, each 32 queries.
@group(0) @binding(0) var<storage, read> chunk: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>; // [S, M, D]
@group(0) @binding(2) var<uniform> p: Params;

var<workgroup> staged_a: array<f32, DEPTH * STRIDE>;
var<workgroup> staged_b: array<f32, DEPTH * STRIDE>;

// Adds 32 queries' products of 64 columns at a with 64 columns at b; `slots` and `features` of them exist.
fn accumulate(tile: ptr<function, array<vec4<f32>, 4>>, a: u32, slots: u32, b: u32, features: u32, lane: u32) {
    for (var k = 0u; k < ROWS; k += DEPTH) {
        workgroupBarrier();
        for (var i = lane; i < SIDE * DEPTH; i += WG) {
            let column = i / DEPTH;
            let at = i % DEPTH * STRIDE + column;
            staged_a[at] = 0.0;
            staged_b[at] = 0.0;
            if (column < slots) {
                staged_a[at] = chunk[a + column * ROWS + k + i % DEPTH];
            }
            if (column < features) {
                staged_b[at] = chunk[b + column * ROWS + k + i % DEPTH];
            }
        }
        workgroupBarrier();
        for (var i = 0u; i < DEPTH; i++) {
            let x = i * STRIDE + lane / 16u * 4u;
            let y = i * STRIDE + lane % 16u * 4u;
            let four = vec4<f32>(staged_b[y], staged_b[y + 1u], staged_b[y + 2u], staged_b[y + 3u]);
            for (var c = 0u; c < 4u; c++) {
                (*tile)[c] += staged_a[x + c] * four;
            }
        }
    }
}

@compute @workgroup_size(WG)
fn backward_patterns_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tiles = vec2<u32>((p.slots + SIDE - 1u) / SIDE, (p.features + SIDE - 1u) / SIDE);
    let index = workgroup_index(group, groups);
    let split = index / (tiles.x * tiles.y);
    let slot = index / tiles.y % tiles.x * SIDE;
    let feature = index % tiles.y * SIDE;
    let each = (p.steps * p.blocks + p.splits - 1u) / p.splits;
    let end = min(p.steps * p.blocks, (split + 1u) * each);
    var tile: array<vec4<f32>, 4>;
    for (var block = split * each; block < end; block++) {
        let w = block * (p.slots + p.features) * 2u * ROWS;
        let g = w + (2u * p.slots + feature) * ROWS;
        accumulate(&tile, w + slot * ROWS, p.slots - slot, g, p.features - feature, lane);
        let h = w + (p.slots + slot) * ROWS;
        accumulate(&tile, h, p.slots - slot, g + p.features * ROWS, p.features - feature, lane);
    }
    for (var i = 0u; i < 16u && split < p.splits; i++) {
        let m = slot + lane / 16u * 4u + i / 4u;
        let d = feature + lane % 16u * 4u + i % 4u;
        if (m < p.slots && d < p.features) {
            let at = (split * p.slots + m) * p.features + d;
            var sum = tile[i / 4u][i % 4u];
            if (p.accumulate != 0u) {
                sum += partials[at];
            }
            partials[at] = sum;
        }
    }
}
