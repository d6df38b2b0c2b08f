// backward_sums.wgsl with four neighbouring channels per invocation, for channels a multiple of 4.
// One invocation per four channels and chunk. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params

const WG: u32 = 64u;
const RELU: u32 = 0u; // 1: grad_y is that of the ReLU of y

#texels grad_y, x, mean, variance, gamma, beta
#half grad_y, x
@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;   // [rows, channels]
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;        // [rows, channels]
@group(0) @binding(2) var<storage, read> mean: array<vec4<f32>>;     // [channels]
@group(0) @binding(3) var<storage, read> variance: array<vec4<f32>>; // [channels], biased
@group(0) @binding(4) var<storage, read> gamma: array<vec4<f32>>;    // [channels]
@group(0) @binding(5) var<storage, read> beta: array<vec4<f32>>;     // [channels]
@group(0) @binding(6) var<storage, read_write> partial_gamma: array<f32>; // [channels, chunks]
@group(0) @binding(7) var<storage, read_write> partial_beta: array<f32>;  // [channels, chunks]
@group(0) @binding(8) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_sums_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let quads = p.channels / 4u;
    if (i < quads * p.chunks) {
        let c = i % quads;
        let chunk = i / quads;
        let first = chunk * p.chunk_stride;
        let count = rows_of_chunk(first);
        let m = mean[c];
        let s = sqrt(variance[c] + p.eps);
        let scale = gamma[c] / s;
        let b = beta[c];
        var products = vec4<f32>();
        var sum = vec4<f32>();
        for (var k = 0u; k < count; k++) {
            let at = (first + k * p.row_stride) * quads + c;
            let centred = x[at] - m;
            var g = grad_y[at];
            if (RELU == 1u) {
                g = select(g, vec4<f32>(), centred * scale + b <= vec4<f32>());
            }
            products += g * centred;
            sum += g;
        }
        products /= s;
        let at = 4u * c * p.chunks + chunk;
        partial_gamma[at] = products.x;
        partial_gamma[at + p.chunks] = products.y;
        partial_gamma[at + 2u * p.chunks] = products.z;
        partial_gamma[at + 3u * p.chunks] = products.w;
        partial_beta[at] = sum.x;
        partial_beta[at + p.chunks] = sum.y;
        partial_beta[at + 2u * p.chunks] = sum.z;
        partial_beta[at + 3u * p.chunks] = sum.w;
    }
}
