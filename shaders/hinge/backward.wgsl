// grad_a = grad w / sum w, negative for anomalies, where the score has a loss; 0 elsewhere and at the margin.
// One invocation per score. Reference and tests: kernels-tests/hinge.rs.
#import grid
#import hinge/excess

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> grad: array<f32>; // [1]
@group(0) @binding(1) var<storage, read> a: array<f32>; // [N]
@group(0) @binding(2) var<storage, read> normal: array<f32>; // [N], 0: an anomaly
@group(0) @binding(3) var<storage, read> weights: array<f32>; // [N], read if has_weights
@group(0) @binding(4) var<storage, read> share: array<f32>; // [1], from forward.wgsl
@group(0) @binding(5) var<storage, read_write> grad_a: array<f32>; // [N]
@group(0) @binding(6) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let slope = select(-1.0, 1.0, normal[i] != 0.0) * weight_of(i) * share[0];
        grad_a[i] = select(grad[0] * slope, 0.0, excess(i) <= 0.0);
    }
}
