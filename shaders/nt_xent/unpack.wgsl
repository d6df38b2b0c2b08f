// grad_a and grad_b from the packed sums of w_ij z_j (backward_tiled.wgsl, backward_subgroup.wgsl): times
// grad_loss / (tau anchors), in the order of a and b. One invocation per element of either.
// Reference and tests: kernels-tests/nt_xent.rs.
#import grid
#import nt_xent/tile

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> grad_loss: array<f32>; // [1]
@group(0) @binding(1) var<storage, read> grad_z: array<f32>; // [groups, tiles, padded_features, TILE]
@group(0) @binding(2) var<storage, read> inverse_anchors: array<f32>; // [1]
@group(0) @binding(3) var<storage, read_write> grad_a: array<f32>; // [pairs, features]
@group(0) @binding(4) var<storage, read_write> grad_b: array<f32>; // [pairs, features]
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn unpack(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(group_id, group_count) * WG + lane;
    let len = p.pairs * p.features;
    if (index >= 2u * len) {
        return;
    }
    let in_a = index < len;
    let element = select(index - len, index, in_a);
    let pair = element / p.features;
    let feature = element % p.features;
    let row = pair / p.groups + select(p.pairs / p.groups, 0u, in_a);
    let tile = pair % p.groups * p.tiles + row / TILE;
    let sum = grad_z[(tile * p.padded_features + feature) * TILE + row % TILE];
    let value = grad_loss[0] * inverse_anchors[0] * p.inverse_tau * sum;
    if (in_a) {
        grad_a[element] = value;
    } else {
        grad_b[element] = value;
    }
}
