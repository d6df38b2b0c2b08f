// grad_weight[kh, kw, c, o] = sum over n, i, j of x[n, i s - padding + kh, j s - padding + kw, c] grad_y[n, i, j, o];
// x counts as 0 outside.
// One invocation per weight and split of the pixels: the rung below the faster kernels and their oracle;
// sum_partials.wgsl adds the splits.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/params

const WG: u32 = 64u;
const MOST_PIXELS: u32 = 60000u; // of a split: software drivers end longer loops

@group(0) @binding(0) var<storage, read> x: array<f32>; // [N, H, W, C]
@group(0) @binding(1) var<storage, read> grad_y: array<f32>; // [N, Ho, Wo, O]
@group(0) @binding(2) var<storage, read_write> grad_weight: array<f32>; // [splits, KH, KW, C, O]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_weight(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let weights = p.kernel_height * p.kernel_width * p.channels * p.out_channels;
    let pixels = p.images * p.out_height * p.out_width;
    let splits = (pixels + MOST_PIXELS - 1u) / MOST_PIXELS;
    if (i >= splits * weights) {
        return;
    }
    let split = (pixels + splits - 1u) / splits;
    let first = i / weights * split;
    let end = min(first + split, pixels);
    let o = i % p.out_channels;
    let c = i / p.out_channels % p.channels;
    let tap = i % weights / (p.out_channels * p.channels);
    let kw = tap % p.kernel_width;
    let kh = tap / p.kernel_width;
    var out_column = first % p.out_width;
    var out_row = first / p.out_width % p.out_height;
    var image = first / (p.out_width * p.out_height);
    var sum = 0.0;
    // One loop over all pixels: software drivers count the rounds of inner ones too.
    for (var pixel = first; pixel < end; pixel++) {
        // Unsigned: above and left of the image wraps to a huge number, so one comparison finds both sides.
        let row = out_row * p.stride + kh - p.padding;
        let column = out_column * p.stride + kw - p.padding;
        if (row < p.height && column < p.width) {
            sum += x[((image * p.height + row) * p.width + column) * p.channels + c]
                * grad_y[pixel * p.out_channels + o];
        }
        out_column++;
        if (out_column == p.out_width) {
            out_column = 0u;
            out_row++;
        }
        if (out_row == p.out_height) {
            out_row = 0u;
            image++;
        }
    }
    grad_weight[i] = sum;
}
