// Reductions over the LANES invocations of a workgroup that share a row, in a fixed order.
// LANES = 64: a whole workgroup of 64 per row, summed by a tree; every invocation must call, and
// each gets the result. LANES = 1: one invocation per row, and no barrier is left.
const LANES: u32 = 64u;
var<workgroup> lanes_scratch: array<f32, 64>;

fn lanes_sum(lane: u32, value: f32) -> f32 {
    if (LANES == 1u) {
        return value;
    }
    workgroupBarrier();
    lanes_scratch[lane] = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) {
            lanes_scratch[lane] += lanes_scratch[lane + half];
        }
        workgroupBarrier();
    }
    return lanes_scratch[0];
}
