// loss = sum w l / sum w, 0 if the weights sum to 0, with l = max(0, a - 1/eta) for normal scores and
// max(0, eta - a) for those of anomalies (AnoMem eqs. 11-12). For backward it leaves 1 / sum w, or 0.
// One workgroup: lane l adds the scores l, l + REDUCE_SIZE, ... in order, then a tree joins the lanes.
// Reference and tests: kernels-tests/hinge.rs.
#import grid
#import hinge/excess
#import reduce

@group(0) @binding(0) var<storage, read> a: array<f32>; // [N]
@group(0) @binding(1) var<storage, read> normal: array<f32>; // [N], 0: an anomaly
@group(0) @binding(2) var<storage, read> weights: array<f32>; // [N], read if has_weights
@group(0) @binding(3) var<storage, read_write> loss: array<f32>; // [1]
@group(0) @binding(4) var<storage, read_write> share: array<f32>; // [1]
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(REDUCE_SIZE)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
    var total = 0.0;
    for (var i = lane; i < p.len; i += REDUCE_SIZE) {
        let off = excess(i);
        let w = weight_of(i);
        // max(0, NaN) may be 0 and would hide a score that is none.
        sum += w * select(off, 0.0, off <= 0.0);
        total += w;
    }
    sum = workgroup_sum(lane, sum);
    total = workgroup_sum(lane, total);
    if (lane == 0u && workgroup_index(group, groups) == 0u) {
        var of_one = 0.0;
        if (total != 0.0) {
            of_one = 1.0 / total;
        }
        loss[0] = sum * of_one;
        share[0] = of_one;
    }
}
