// y + skip in one pass, y as in forward.wgsl: the end of a residual block (He et al. 2016, arXiv 1512.03385).
// One invocation per channel and chunk of rows. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params

const WG: u32 = 64u;
const RELU: u32 = 0u; // 1: max(sum, 0), as activation/relu.wgsl

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;    // [channels]
@group(0) @binding(2) var<storage, read> beta: array<f32>;     // [channels]
@group(0) @binding(3) var<storage, read> mean: array<f32>;     // [channels]
@group(0) @binding(4) var<storage, read> variance: array<f32>; // [channels], biased
@group(0) @binding(5) var<storage, read> skip: array<f32>;
@group(0) @binding(6) var<storage, read_write> sum: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn residual(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.channels * p.chunks) {
        let c = i % p.channels;
        let first = (i / p.channels) * p.chunk_stride;
        let count = rows_of_chunk(first);
        let k = gamma[c] / sqrt(variance[c] + p.eps);
        let m = mean[c];
        let b = beta[c];
        for (var r = 0u; r < count; r++) {
            let at = (first + r * p.row_stride) * p.channels + c;
            var both = (x[at] - m) * k + b + skip[at];
            if (RELU == 1u) {
                both = select(both, 0.0, both < 0.0);
            }
            sum[at] = both;
        }
    }
}
