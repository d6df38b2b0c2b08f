// Gradient of the cosine matrix with respect to one side's rows x, the other side's being o. With
// n = max(|.|, EPS): grad_x_i = (sum over j of grad_y_ij o_j / n(o_j) - x_i share_i / n(x_i)) / n(x_i),
// share from share.wgsl; the second term only where |x_i| > EPS, for below the norm is a constant.
// x, grad_x: [rows, dims], o: [others, dims], grad_y: [R, S] by strides as in share.wgsl.
// One invocation per element of grad_x. Reference and tests: kernels-tests/cosine.rs.
#import grid
#import cosine/backward_params

const WG: u32 = 64u;
const EPS: f32 = 1e-8;

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> o: array<f32>;
@group(0) @binding(3) var<storage, read> norm_x: array<f32>;
@group(0) @binding(4) var<storage, read> norm_o: array<f32>;
@group(0) @binding(5) var<storage, read> shares: array<f32>;
@group(0) @binding(6) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let e = workgroup_index(group, groups) * WG + lane;
    if (e < p.rows * p.dims) {
        let i = e / p.dims;
        let d = e % p.dims;
        var sum = 0.0;
        for (var j = 0u; j < p.others; j++) {
            let weight = grad_y[i * p.own_stride + j * p.other_stride] / max(norm_o[j], EPS);
            sum += weight * o[j * p.dims + d];
        }
        let n = norm_x[i];
        if (n > EPS) {
            sum -= x[e] * shares[i] / n;
        }
        grad_x[e] = sum / max(n, EPS);
    }
}
