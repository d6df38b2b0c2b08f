// y[n, i, j, o] = sum over kh, kw, c of x[n, i s - padding + kh, j s - padding + kw, c] weight[kh, kw, c, o];
// x counts as 0 outside (cross-correlation, as in every deep-learning library). Backward needs x and weight.
// One invocation per element of y: the rung below the faster kernels and their oracle.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>; // [N, H, W, C]
@group(0) @binding(1) var<storage, read> weight: array<f32>; // [KH, KW, C, O]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [N, Ho, Wo, O]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i >= p.images * p.out_height * p.out_width * p.out_channels) {
        return;
    }
    let o = i % p.out_channels;
    let pixel = i / p.out_channels;
    let column0 = (pixel % p.out_width) * p.stride;
    let row0 = (pixel / p.out_width % p.out_height) * p.stride;
    let image = pixel / (p.out_width * p.out_height);
    var sum = 0.0;
    for (var kh = 0u; kh < p.kernel_height; kh++) {
        // Unsigned: a row above the image wraps to a huge number, so one comparison finds both sides.
        let row = row0 + kh - p.padding;
        if (row >= p.height) {
            continue;
        }
        for (var kw = 0u; kw < p.kernel_width; kw++) {
            let column = column0 + kw - p.padding;
            if (column >= p.width) {
                continue;
            }
            let source = ((image * p.height + row) * p.width + column) * p.channels;
            let tap = (kh * p.kernel_width + kw) * p.channels;
            for (var c = 0u; c < p.channels; c++) {
                sum += x[source + c] * weight[(tap + c) * p.out_channels + o];
            }
        }
    }
    y[i] = sum;
}
