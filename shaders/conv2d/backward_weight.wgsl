// grad_weight[kh, kw, c, o] = sum over n, i, j of x[n, i s - padding + kh, j s - padding + kw, c] grad_y[n, i, j, o];
// x counts as 0 outside.
// One invocation per weight: the rung below the faster kernels and their oracle.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>; // [N, H, W, C]
@group(0) @binding(1) var<storage, read> grad_y: array<f32>; // [N, Ho, Wo, O]
@group(0) @binding(2) var<storage, read_write> grad_weight: array<f32>; // [KH, KW, C, O]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_weight(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i >= p.kernel_height * p.kernel_width * p.channels * p.out_channels) {
        return;
    }
    let o = i % p.out_channels;
    let c = i / p.out_channels % p.channels;
    let tap = i / (p.out_channels * p.channels);
    let kw = tap % p.kernel_width;
    let kh = tap / p.kernel_width;
    var sum = 0.0;
    for (var image = 0u; image < p.images; image++) {
        for (var out_row = 0u; out_row < p.out_height; out_row++) {
            // Unsigned: a row above the image wraps to a huge number, so one comparison finds both sides.
            let row = out_row * p.stride + kh - p.padding;
            if (row >= p.height) {
                continue;
            }
            let source = (image * p.height + row) * p.width;
            let to = (image * p.out_height + out_row) * p.out_width;
            for (var out_column = 0u; out_column < p.out_width; out_column++) {
                let column = out_column * p.stride + kw - p.padding;
                if (column < p.width) {
                    sum += x[(source + column) * p.channels + c]
                        * grad_y[(to + out_column) * p.out_channels + o];
                }
            }
        }
    }
    grad_weight[i] = sum;
}
