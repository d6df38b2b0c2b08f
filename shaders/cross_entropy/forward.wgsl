// loss = log sum_j exp(x_j) - x_label of each row, the row's maximum subtracted before exp; 0 for a row whose
// label is no column. For backward it leaves each row's maximum and its sum of exponentials.
// x: [rows, cols]; labels: [rows]; loss: [rows]; parts: [rows, 2].
// One invocation per row. Reference and tests: kernels-tests/cross_entropy.rs.
#import grid
#import numeric

const WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32, // classes
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups) * WG + lane;
    if (row >= p.rows) {
        return;
    }
    let start = row * p.cols;
    let end = start + p.cols;
    var top = LOWEST;
    for (var i = start; i < end; i++) {
        top = max(top, x[i]);
    }
    var sum = 0.0;
    for (var i = start; i < end; i++) {
        sum += exp(x[i] - top);
    }
    var of_row = 0.0;
    if (labels[row] < p.cols) {
        // Not top + log(sum) - x: of large logits nothing of the logarithm would be left.
        of_row = log(sum) - (x[start + labels[row]] - top);
    }
    loss[row] = of_row;
    parts[2u * row] = top;
    parts[2u * row + 1u] = sum;
}
