// Fixed-order tree reductions over one workgroup of REDUCE_SIZE invocations, a power of two.
// Every invocation must call, and every invocation gets the result.
const REDUCE_SIZE: u32 = 64u;
var<workgroup> reduce_scratch: array<f32, REDUCE_SIZE>;

fn workgroup_sum(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    reduce_scratch[lane] = value;
    workgroupBarrier();
    for (var half = REDUCE_SIZE / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            reduce_scratch[lane] += reduce_scratch[lane + half];
        }
        workgroupBarrier();
    }
    return reduce_scratch[0];
}

fn workgroup_max(lane: u32, value: f32) -> f32 {
    workgroupBarrier();
    reduce_scratch[lane] = value;
    workgroupBarrier();
    for (var half = REDUCE_SIZE / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            reduce_scratch[lane] = max(reduce_scratch[lane], reduce_scratch[lane + half]);
        }
        workgroupBarrier();
    }
    return reduce_scratch[0];
}
