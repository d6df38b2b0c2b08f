// grad_x[n, h, w, c] = sum over kh, kw, o of grad_y[n, i, j, o] weight[kh, kw, c, o], where i s - padding + kh = h
// and j s - padding + kw = w: the windows that saw the element.
// One invocation per element of x: the rung below the faster kernels and their oracle.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> weight: array<f32>; // [KH, KW, C, O]
@group(0) @binding(1) var<storage, read> grad_y: array<f32>; // [N, Ho, Wo, O]
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>; // [N, H, W, C]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_input(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i >= p.images * p.height * p.width * p.channels) {
        return;
    }
    let c = i % p.channels;
    let pixel = i / p.channels;
    let column = pixel % p.width + p.padding;
    let row = pixel / p.width % p.height + p.padding;
    let image = pixel / (p.width * p.height);
    var sum = 0.0;
    // The first tap that hits is the remainder; then every stride-th.
    for (var kh = row % p.stride; kh < p.kernel_height; kh += p.stride) {
        // Unsigned: a window above the image wraps to a huge number, so one comparison finds both sides.
        let out_row = (row - kh) / p.stride;
        if (out_row >= p.out_height) {
            continue;
        }
        for (var kw = column % p.stride; kw < p.kernel_width; kw += p.stride) {
            let out_column = (column - kw) / p.stride;
            if (out_column >= p.out_width) {
                continue;
            }
            let source = ((image * p.out_height + out_row) * p.out_width + out_column) * p.out_channels;
            let tap = ((kh * p.kernel_width + kw) * p.channels + c) * p.out_channels;
            for (var o = 0u; o < p.out_channels; o++) {
                sum += grad_y[source + o] * weight[tap + o];
            }
        }
    }
    grad_x[i] = sum;
}
