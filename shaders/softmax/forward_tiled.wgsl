// forward.wgsl with one workgroup per row: neighbouring lanes read neighbouring elements, and trees
// join the lanes' maxima and sums. x, y: [rows, cols].
// Reference and tests: kernels-tests/softmax.rs.
#import grid
#import numeric
#import reduce

struct Params {
    rows: u32,
    cols: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(REDUCE_SIZE)
fn forward_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups);
    // No early return above a barrier: a surplus workgroup walks an empty row.
    let cols = select(0u, p.cols, row < p.rows);
    let start = row * p.cols;
    var top = LOWEST;
    for (var c = lane; c < cols; c += REDUCE_SIZE) {
        top = max(top, p.scale * x[start + c]);
    }
    top = workgroup_max(lane, top);
    var sum = 0.0;
    for (var c = lane; c < cols; c += REDUCE_SIZE) {
        let e = exp(p.scale * x[start + c] - top);
        sum += e;
        y[start + c] = e;
    }
    sum = workgroup_sum(lane, sum);
    for (var c = lane; c < cols; c += REDUCE_SIZE) {
        y[start + c] = y[start + c] / sum;
    }
}
