// loss = sum of the rows' terms / anchors, anchors = 2 x the kept pairs; 0 without any.
// 1 / anchors is saved for backward. One workgroup: each invocation sums every REDUCE_SIZE-th row,
// then a tree. Reference and tests: kernels-tests/nt_xent.rs.
#import reduce

struct Params {
    rows: u32, // of `term`; those that are no anchors hold 0
    pairs: u32, // n
    has_valid: u32, // 0: `valid` is bound to something else
}

@group(0) @binding(0) var<storage, read> term: array<f32>; // [rows]
@group(0) @binding(1) var<storage, read> valid: array<f32>; // [pairs]
@group(0) @binding(2) var<storage, read_write> loss: array<f32>; // [1]
@group(0) @binding(3) var<storage, read_write> inverse_anchors: array<f32>; // [1]
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(REDUCE_SIZE)
fn mean(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < p.rows; i += REDUCE_SIZE) {
        sum += term[i];
    }
    var kept = 0.0;
    for (var i = lane; i < p.pairs; i += REDUCE_SIZE) {
        if (p.has_valid == 0u || valid[i] != 0.0) {
            kept += 1.0;
        }
    }
    sum = workgroup_sum(lane, sum);
    kept = workgroup_sum(lane, kept);
    if (lane == 0u) {
        let inverse = 0.5 / max(kept, 1.0);
        loss[0] = sum * inverse;
        inverse_anchors[0] = inverse;
    }
}
