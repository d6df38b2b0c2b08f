// partials[s] (+)= the s-th share of sum over the steps and queries of a chunk of p^T g + h^T x, from the rows that
// backward_subgroup.wgsl leaves; sum_splits.wgsl adds the shares. The first chunk writes, the others add.
// One subgroup computes 8 LANES slots by COLUMNS features of one share, each lane 8 slots, from 4 queries at a time;
// the steps' blocks of a share are neighbours, walked in order. Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import subgroup_tile
#import hopfield/backward_params

#texels chunk
// [T, blocks, 2 Mp + 2 Dp, QUADS]: rows of p, h, g, x, each QUADS times 4 queries.
@group(0) @binding(0) var<storage, read> chunk: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>; // [S, M, D]
@group(0) @binding(2) var<uniform> p: Params;

// 4 queries of 4 neighbouring slots.
fn slots_at(at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(chunk[at], chunk[at + QUADS], chunk[at + 2u * QUADS], chunk[at + 3u * QUADS]);
}

fn store_row(split: u32, slot: u32, quad: u32, v: array<vec4<f32>, 4>) {
    var row = v;
    for (var i = 0u; i < 16u; i++) {
        let feature = 4u * quad + i;
        if (slot < p.slots && feature < p.features) {
            let at = (split * p.slots + slot) * p.features + feature;
            var sum = row[i / 4u][i % 4u];
            if (p.accumulate != 0u) {
                sum += partials[at];
            }
            partials[at] = sum;
        }
    }
}

@compute @workgroup_size(LANES)
fn backward_patterns_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tiles = vec2<u32>(p.slots_padded / (8u * LANES), p.features_padded / COLUMNS);
    let index = workgroup_index(group, groups);
    let split = index / (tiles.x * tiles.y);
    let slot = (index / tiles.y % tiles.x * LANES + lane) * 8u;
    let feature = index % tiles.y * COLUMNS;
    let stride = (p.slots_padded + p.features_padded) * 2u * QUADS;
    let each = (p.steps * p.blocks + p.splits - 1u) / p.splits;
    let end = min(p.steps * p.blocks, (split + 1u) * each);
    for (var block = split * each; block < end; block++) {
        for (var i = 0u; i < 2u * QUADS; i++) {
            // p and g, then h and x.
            let second = i >= QUADS;
            let at = block * stride + i % QUADS;
            let low = at + (select(0u, p.slots_padded, second) + slot) * QUADS;
            let row = 2u * p.slots_padded + select(0u, p.features_padded, second) + feature + lane;
            let right = at + row * QUADS;
            multiply(slots_at(low), slots_at(low + 4u * QUADS), array(
                chunk[right], chunk[right + LANES * QUADS],
                chunk[right + 2u * LANES * QUADS], chunk[right + 3u * LANES * QUADS],
            ), true);
        }
    }
    if (split < p.splits) {
        store_tile(split, slot, slot + 4u, feature / 4u);
    }
}
