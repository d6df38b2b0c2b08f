// y = factor * x + offset, elementwise. Its own backward pass, with offset 0.
// One invocation per element. Reference and tests: kernels-tests/affine.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
    factor: f32,
    offset: f32,
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
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        y[i] = p.factor * x[i] + p.offset;
    }
}
