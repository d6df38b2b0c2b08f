// grad_z = grad slope (z - mean): the gradient of the variance term, with what columns.wgsl left.
// grad: [1], z, grad_z: [rows, cols], mean, slope: [cols]. One invocation per element.
// Reference and tests: kernels-tests/variance.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
    cols: u32,
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> slope: array<f32>;
@group(0) @binding(4) var<storage, read_write> grad_z: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let d = i % p.cols;
        grad_z[i] = grad[0] * slope[d] * (z[i] - mean[d]);
    }
}
