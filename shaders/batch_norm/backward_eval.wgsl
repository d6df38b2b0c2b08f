// dL/dx of batch normalisation with given statistics, which are constants:
// grad_x = grad_y gamma / sqrt(variance + eps).
// One invocation per channel and chunk of rows. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;   // [rows, channels]
@group(0) @binding(1) var<storage, read> gamma: array<f32>;    // [channels]
@group(0) @binding(2) var<storage, read> variance: array<f32>; // [channels]
@group(0) @binding(3) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_eval(
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
        for (var r = 0u; r < count; r++) {
            let at = (first + r * p.row_stride) * p.channels + c;
            grad_x[at] = grad_y[at] * k;
        }
    }
}
