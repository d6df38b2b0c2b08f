// share_i = sum over j of grad_y_ij y_ij: what backward.wgsl takes away along each row itself.
// Serves both sides: for a, i walks the rows of y (own_stride = S, other_stride = 1); for b, its
// columns (own_stride = 1, other_stride = S). grad_y, y: [R, S], share: [rows].
// One invocation per i. Reference and tests: kernels-tests/cosine.rs.
#import grid
#import cosine/backward_params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> shares: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn share(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.rows) {
        var sum = 0.0;
        for (var j = 0u; j < p.others; j++) {
            let at = i * p.own_stride + j * p.other_stride;
            sum += grad_y[at] * y[at];
        }
        shares[i] = sum;
    }
}
