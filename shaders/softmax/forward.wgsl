// y = softmax(scale x) over each row, the row's maximum subtracted before exp. x, y: [rows, cols].
// Backward needs y only. One invocation per row: no barrier, and on software drivers, where a load
// is a gather whatever its address, nothing is lost.
// Reference and tests: kernels-tests/softmax.rs.
#import grid
#import numeric

const WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

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
        top = max(top, p.scale * x[i]);
    }
    var sum = 0.0;
    for (var i = start; i < end; i++) {
        let e = exp(p.scale * x[i] - top);
        sum += e;
        y[i] = e;
    }
    for (var i = start; i < end; i++) {
        y[i] = y[i] / sum;
    }
}
