// NT-Xent (Chen et al. 2020, eq. 1), the plain rung: per row the log-sum-exp over its allowed others
// of s = <z_i, z_j> / tau, and its loss lse - s_pair. Rows 0..pairs are a, the rest b.
// Others of row i: rows j = i mod groups (positions when contrasted per position, else 1) that are
// kept and of another image (image_rows rows of a group each), or i's pair.
// A launch takes the columns begin..end of a group and goes on from the lse that the one before left.
// One invocation per row. Saved for backward: lse. Reference and tests: kernels-tests/nt_xent.rs.
#import grid
#import nt_xent/similarity

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> a: array<f32>; // [pairs, features]
@group(0) @binding(1) var<storage, read> b: array<f32>; // [pairs, features]
@group(0) @binding(2) var<storage, read> valid: array<f32>; // [pairs]
@group(0) @binding(3) var<storage, read_write> lse: array<f32>; // [2 pairs]
@group(0) @binding(4) var<storage, read_write> term: array<f32>; // [2 pairs], the row's loss
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group_id, group_count) * WG + lane;
    if (i >= 2u * p.pairs) {
        return;
    }
    if (!kept(i % p.pairs)) {
        lse[i] = 0.0;
        term[i] = 0.0;
        return;
    }
    let view = p.pairs / p.groups; // columns of either view in a group
    let group = i % p.groups;
    let own = i % p.pairs / p.groups / p.image_rows * p.image_rows; // first column of i's image
    let positive = similarity(i, (i + p.pairs) % (2u * p.pairs));
    // The pair is always allowed: it starts the running maximum and the sum relative to it.
    var top = positive;
    if (p.begin > 0u) {
        top = lse[i];
    }
    var sum = 1.0;
    for (var column = p.begin; column < p.end; column++) {
        let k = select(column, column - view, column >= view);
        let of_own_image = k >= own && k < own + p.image_rows;
        if (of_own_image || !kept(k * p.groups + group)) {
            continue;
        }
        let s = similarity(i, column * p.groups + group);
        let higher = max(top, s);
        sum = sum * exp(top - higher) + exp(s - higher);
        top = higher;
    }
    lse[i] = top + log(sum);
    // Not lse - positive: log(sum) keeps its digits when the pair is the maximum.
    term[i] = (top - positive) + log(sum);
}
