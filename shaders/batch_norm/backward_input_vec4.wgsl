// backward_input.wgsl with four neighbouring channels per invocation, for channels a multiple of 4.
// One invocation per four channels and chunk of rows. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params

const WG: u32 = 64u;
const RELU: u32 = 0u; // 1: grad_y is that of the ReLU of y

#texels grad_y, x, mean, beta, slopes
#half grad_y, x, grad_x
@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> mean: array<vec4<f32>>; // [channels]
@group(0) @binding(3) var<storage, read> beta: array<vec4<f32>>; // [channels]
@group(0) @binding(4) var<storage, read> slopes: array<vec4<f32>>; // [3, channels], see backward_final.wgsl
@group(0) @binding(5) var<storage, read_write> grad_x: array<vec4<f32>>;
@group(0) @binding(6) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_input_vec4(
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
        let k = slopes[c];
        let mean_grad = slopes[quads + c];
        let slope = slopes[2u * quads + c];
        let m = mean[c];
        let b = beta[c];
        for (var r = 0u; r < count; r++) {
            let at = (first + r * p.row_stride) * quads + c;
            let centred = x[at] - m;
            var g = grad_y[at];
            if (RELU == 1u) {
                g = select(g, vec4<f32>(), centred * k + b <= vec4<f32>());
            }
            grad_x[at] = k * (g - mean_grad - centred * slope);
        }
    }
}
