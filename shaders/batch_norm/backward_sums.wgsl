// Sums of grad_y xhat (towards grad_gamma) and of grad_y (towards grad_beta) of one channel over one
// chunk of rows, xhat = (x - mean) / sqrt(variance + eps). backward_final adds the chunks.
// One invocation per channel and chunk. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params

const WG: u32 = 64u;
const RELU: u32 = 0u; // 1: grad_y is that of the ReLU of y

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;   // [rows, channels]
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [rows, channels]
@group(0) @binding(2) var<storage, read> mean: array<f32>;     // [channels]
@group(0) @binding(3) var<storage, read> variance: array<f32>; // [channels], biased
@group(0) @binding(4) var<storage, read> gamma: array<f32>;    // [channels]
@group(0) @binding(5) var<storage, read> beta: array<f32>;     // [channels]
@group(0) @binding(6) var<storage, read_write> partial_gamma: array<f32>; // [channels, chunks]
@group(0) @binding(7) var<storage, read_write> partial_beta: array<f32>;  // [channels, chunks]
@group(0) @binding(8) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_sums(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.channels * p.chunks) {
        let c = i % p.channels;
        let chunk = i / p.channels;
        let first = chunk * p.chunk_stride;
        let count = rows_of_chunk(first);
        let m = mean[c];
        let s = sqrt(variance[c] + p.eps);
        let scale = gamma[c] / s;
        let b = beta[c];
        var products = 0.0;
        var sum = 0.0;
        for (var k = 0u; k < count; k++) {
            let at = (first + k * p.row_stride) * p.channels + c;
            let centred = x[at] - m;
            var g = grad_y[at];
            if (RELU == 1u) {
                g = select(g, 0.0, centred * scale + b <= 0.0);
            }
            products += g * centred;
            sum += g;
        }
        partial_gamma[c * p.chunks + chunk] = products / s;
        partial_beta[c * p.chunks + chunk] = sum;
    }
}
