// dL/dx of batch normalisation with the batch's own statistics (Ioffe and Szegedy 2015, section 3):
// grad_x = gamma / s (grad_y - grad_beta / n - xhat grad_gamma / n), s = sqrt(variance + eps),
// xhat = (x - mean) / s, n rows.
// One invocation per channel and chunk of rows. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params

const WG: u32 = 64u;
const RELU: u32 = 0u; // 1: grad_y is that of the ReLU of y

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> mean: array<f32>; // [channels]
@group(0) @binding(3) var<storage, read> beta: array<f32>; // [channels]
@group(0) @binding(4) var<storage, read> slopes: array<f32>; // [3, channels], see backward_final.wgsl
@group(0) @binding(5) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(6) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.channels * p.chunks) {
        let c = i % p.channels;
        let first = (i / p.channels) * p.chunk_stride;
        let count = rows_of_chunk(first);
        let k = slopes[c];
        let mean_grad = slopes[p.channels + c];
        let slope = slopes[2u * p.channels + c];
        let m = mean[c];
        let b = beta[c];
        for (var r = 0u; r < count; r++) {
            let at = (first + r * p.row_stride) * p.channels + c;
            let centred = x[at] - m;
            var g = grad_y[at];
            if (RELU == 1u) {
                g = select(g, 0.0, centred * k + b <= 0.0);
            }
            grad_x[at] = k * (g - mean_grad - centred * slope);
        }
    }
}
