// out[b, r, c] = v[b, r, c], with rows and columns cut off, or added and 0. The faster kernels load and store four
// channels at once; channel counts that are no multiple of 4 (the first layer's 3) are filled up and cut back here.
// One invocation per element of out. Tests: kernels-tests/conv2d.rs, with every kernel around it.
#import grid

const WG: u32 = 64u;

struct Params {
    batches: u32,
    rows: u32,
    columns: u32,
    out_rows: u32,
    out_columns: u32,
}

@group(0) @binding(0) var<storage, read> v: array<f32>; // [batches, rows, columns]
@group(0) @binding(1) var<storage, read_write> out: array<f32>; // [batches, out_rows, out_columns]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn resize(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i >= p.batches * p.out_rows * p.out_columns) {
        return;
    }
    let column = i % p.out_columns;
    let row = i / p.out_columns % p.out_rows;
    let batch = i / (p.out_columns * p.out_rows);
    let inside = row < p.rows && column < p.columns;
    let at = select(0u, (batch * p.rows + row) * p.columns + column, inside);
    out[i] = select(0.0, v[at], inside);
}
