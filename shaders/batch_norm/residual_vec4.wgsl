// residual.wgsl with four neighbouring channels per invocation, for channels a multiple of 4.
// One invocation per four channels and chunk of rows. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params

const WG: u32 = 64u;
const RELU: u32 = 0u; // 1: max(sum, 0), as activation/relu.wgsl

#texels x, gamma, beta, mean, variance, skip
#half x, skip, sum
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> gamma: array<vec4<f32>>;    // [channels]
@group(0) @binding(2) var<storage, read> beta: array<vec4<f32>>;     // [channels]
@group(0) @binding(3) var<storage, read> mean: array<vec4<f32>>;     // [channels]
@group(0) @binding(4) var<storage, read> variance: array<vec4<f32>>; // [channels], biased
@group(0) @binding(5) var<storage, read> skip: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> sum: array<vec4<f32>>;
@group(0) @binding(7) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn residual_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let quads = p.channels / 4u;
    if (i < quads * p.chunks) {
        let c = i % quads;
        let first = (i / quads) * p.chunk_stride;
        let count = rows_of_chunk(first);
        let k = gamma[c] / sqrt(variance[c] + p.eps);
        let m = mean[c];
        let b = beta[c];
        for (var r = 0u; r < count; r++) {
            let at = (first + r * p.row_stride) * quads + c;
            var both = (x[at] - m) * k + b + skip[at];
            if (RELU == 1u) {
                both = select(both, vec4<f32>(), both < vec4<f32>());
            }
            sum[at] = both;
        }
    }
}
