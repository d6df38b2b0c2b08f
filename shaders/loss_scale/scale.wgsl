// scaled = x state[0]. x, scaled: [len]; state: [2], see update.wgsl. One invocation per element.
// Reference and tests: kernels-tests/loss_scale.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> state: array<f32>;
@group(0) @binding(2) var<storage, read_write> scaled: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn scale(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        scaled[i] = x[i] * state[0];
    }
}
