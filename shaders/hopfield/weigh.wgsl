// weights = softmax(scores) by row, with its largest slot and its entropy -sum p ln p / ln M in the record of
// rows that have not stopped (flag = 1). The simple kernel: one invocation per query. Reference and tests:
// kernels-tests/hopfield.rs.
#import grid
#import hopfield/step_params
#import numeric

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> scores: array<f32>; // [R, M]
@group(0) @binding(1) var<storage, read_write> weights: array<f32>; // [R, M]
@group(0) @binding(2) var<storage, read_write> record: array<u32>; // [R, 4 + L] slot steps entropy stopped norms
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn weigh(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = workgroup_index(group, groups) * WG + lane;
    if (r < p.rows) {
        let row = r * p.slots;
        var top = LOWEST;
        var slot = 0u;
        for (var m = 0u; m < p.slots; m++) {
            let score = scores[row + m];
            slot = select(slot, m, score > top);
            top = max(top, score);
        }
        var total = 0.0;
        var mean = 0.0;
        for (var m = 0u; m < p.slots; m++) {
            let below = scores[row + m] - top;
            let e = exp(below);
            weights[row + m] = e;
            total += e;
            mean += e * below;
        }
        for (var m = 0u; m < p.slots; m++) {
            weights[row + m] /= total;
        }
        let at = r * p.record;
        if (p.flag != 0u && (p.step == 0u || record[at + 3u] == 0u)) {
            // ln total - sum p (score - top); 0 for a single slot.
            let entropy = (log(total) - mean / total) / log(f32(max(p.slots, 2u)));
            record[at] = slot;
            record[at + 2u] = bitcast<u32>(max(entropy, 0.0));
        }
    }
}
