// y = max(x, 0), elementwise. Backward needs y only.
// One invocation per element. Reference and tests: kernels-tests/activation.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn relu(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        // max(NaN, 0) may be 0 and would hide a diverged layer from the count of non-finite values.
        y[i] = select(x[i], 0.0, x[i] < 0.0);
    }
}
