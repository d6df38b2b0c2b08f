// grad_gamma and grad_beta: the chunks' sums added in a fixed order.
// LANES invocations per channel. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params
#import lanes

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> partial_gamma: array<f32>; // [channels, chunks]
@group(0) @binding(1) var<storage, read> partial_beta: array<f32>;  // [channels, chunks]
@group(0) @binding(2) var<storage, read> gamma: array<f32>;         // [channels]
@group(0) @binding(3) var<storage, read> variance: array<f32>;      // [channels], biased
@group(0) @binding(4) var<storage, read_write> grad_gamma: array<f32>; // [channels]
@group(0) @binding(5) var<storage, read_write> grad_beta: array<f32>;  // [channels]
// [3, channels]: gamma / s, grad_beta / n, grad_gamma / (n s), with s = sqrt(variance + eps) and n rows: what
// dL/dx needs.
@group(0) @binding(6) var<storage, read_write> slopes: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_final(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = (workgroup_index(group, groups) * WG + lane) / LANES;
    // Surplus invocations repeat the last channel: all must reach the barriers.
    let c = min(channel, p.channels - 1u);
    var of_gamma = 0.0;
    var of_beta = 0.0;
    for (var k = lane % LANES; k < p.chunks; k += LANES) {
        of_gamma += partial_gamma[c * p.chunks + k];
        of_beta += partial_beta[c * p.chunks + k];
    }
    of_gamma = lanes_sum(lane, of_gamma);
    of_beta = lanes_sum(lane, of_beta);
    if (channel < p.channels && lane % LANES == 0u) {
        grad_gamma[c] = of_gamma;
        grad_beta[c] = of_beta;
        let n = f32(p.rows);
        let s = sqrt(variance[c] + p.eps);
        slopes[c] = gamma[c] / s;
        slopes[p.channels + c] = of_beta / n;
        slopes[2u * p.channels + c] = of_gamma / (n * s);
    }
}
