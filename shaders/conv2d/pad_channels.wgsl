// padded[b, r, c] = v[b, r, c] inside, 0 in the added rows and columns. The tiled kernels load four channels at once;
// channel counts that are no multiple of 4 (the first layer's 3) pass through here.
// One invocation per element of padded. Tests: kernels-tests/conv2d.rs, with every kernel behind it.
#import grid

const WG: u32 = 64u;

struct Params {
    batches: u32,
    rows: u32,
    columns: u32,
    padded_rows: u32,
    padded_columns: u32,
}

@group(0) @binding(0) var<storage, read> v: array<f32>; // [batches, rows, columns]
@group(0) @binding(1) var<storage, read_write> padded: array<f32>; // [batches, padded_rows, padded_columns]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn pad_channels(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i >= p.batches * p.padded_rows * p.padded_columns) {
        return;
    }
    let column = i % p.padded_columns;
    let row = i / p.padded_columns % p.padded_rows;
    let batch = i / (p.padded_columns * p.padded_rows);
    let inside = row < p.rows && column < p.columns;
    let at = select(0u, (batch * p.rows + row) * p.columns + column, inside);
    padded[i] = select(0.0, v[at], inside);
}
