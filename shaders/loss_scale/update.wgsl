// The loss scale after a step: halved where gradients were not finite, doubled after so many steps without such.
// One invocation. Reference and tests: kernels-tests/loss_scale.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    interval: f32, // steps until it grows
    least: f32,
    most: f32,
}

@group(0) @binding(0) var<storage, read> non_finite: array<u32>; // [1]
@group(0) @binding(1) var<storage, read_write> state: array<f32>; // [2]: scale, steps since it changed or was cut
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn update(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    if (workgroup_index(group, groups) == 0u && lane == 0u) {
        let steps = state[1] + 1.0;
        if (non_finite[0] != 0u) {
            state[0] = max(0.5 * state[0], p.least);
            state[1] = 0.0;
        } else if (steps >= p.interval) {
            state[0] = min(2.0 * state[0], p.most);
            state[1] = 0.0;
        } else {
            state[1] = steps;
        }
    }
}
