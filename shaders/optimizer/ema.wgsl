// Exponential moving average: running += momentum (batch - running), as batch norm keeps its
// statistics (Ioffe and Szegedy 2015; momentum in PyTorch's sense, the weight of the new batch).
// Changes nothing where non_finite is not 0, as sgd.wgsl.
// batch, running: [len], non_finite: [1]. One invocation per element, in place.
// Reference and tests: kernels-tests/optimizer.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
    momentum: f32,
}

@group(0) @binding(0) var<storage, read> batch: array<f32>;
@group(0) @binding(1) var<storage, read> non_finite: array<u32>;
@group(0) @binding(2) var<storage, read_write> running: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn ema(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len && non_finite[0] == 0u) {
        let old = running[i];
        running[i] = old + p.momentum * (batch[i] - old);
    }
}
