// Gradient of NT-Xent (forward.wgsl), the plain rung. With p_ij = exp(s_ij - lse_i) over the allowed
// pairs, grad_z_i = grad_loss / (tau anchors) * sum_j w_ij z_j, w_ij = p_ij + p_ji, less 2 at the pair.
// A launch takes the columns begin..end of a group and adds to what the one before left. One invocation
// per row, which alone writes that row; similarities are computed again.
// Reference and tests: kernels-tests/nt_xent.rs.
#import grid
#import nt_xent/similarity

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> grad_loss: array<f32>; // [1]
@group(0) @binding(1) var<storage, read> a: array<f32>; // [pairs, features]
@group(0) @binding(2) var<storage, read> b: array<f32>; // [pairs, features]
@group(0) @binding(3) var<storage, read> valid: array<f32>; // [pairs]
@group(0) @binding(4) var<storage, read> lse: array<f32>; // [2 pairs]
@group(0) @binding(5) var<storage, read> inverse_anchors: array<f32>; // [1]
@group(0) @binding(6) var<storage, read_write> grad_a: array<f32>; // [pairs, features]
@group(0) @binding(7) var<storage, read_write> grad_b: array<f32>; // [pairs, features]
@group(0) @binding(8) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group_id, group_count) * WG + lane;
    if (i >= 2u * p.pairs) {
        return;
    }
    let in_a = i < p.pairs;
    let row = i % p.pairs * p.features;
    for (var c = 0u; c < p.features && p.begin == 0u; c++) {
        if (in_a) {
            grad_a[row + c] = 0.0;
        } else {
            grad_b[row + c] = 0.0;
        }
    }
    if (!kept(i % p.pairs)) {
        return;
    }
    let scale = grad_loss[0] * inverse_anchors[0] * p.inverse_tau;
    let view = p.pairs / p.groups; // columns of either view in a group
    let group = i % p.groups;
    let own = i % p.pairs / p.groups / p.image_rows * p.image_rows; // first column of i's image
    let pair = (i + p.pairs) % (2u * p.pairs);
    for (var column = p.begin; column < p.end; column++) {
        let j = column * p.groups + group;
        let k = select(column, column - view, column >= view);
        let of_own_image = k >= own && k < own + p.image_rows;
        if ((of_own_image && j != pair) || !kept(k * p.groups + group)) {
            continue;
        }
        let s = similarity(i, j);
        let positive = select(0.0, 1.0, j == pair);
        let w = scale * ((exp(s - lse[i]) - positive) + (exp(s - lse[j]) - positive));
        for (var c = 0u; c < p.features; c++) {
            if (in_a) {
                grad_a[row + c] += w * z(j, c);
            } else {
                grad_b[row + c] += w * z(j, c);
            }
        }
    }
}
