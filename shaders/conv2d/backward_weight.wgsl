// grad_weight[kh, kw, c, o] = sum over n, i, j of x[n, i s - padding + kh, j s - padding + kw, c] grad_y[n, i, j, o];
// x counts as 0 outside.
// One invocation per weight and split of the pixels: the rung below the faster kernels and their oracle;
// sum_partials.wgsl adds the splits.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    images: u32,
    height: u32, // of x
    width: u32,
    channels: u32,
    rows: u32, // of y
    columns: u32,
    out_channels: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32, // zeros on each side
    split: u32, // pixels per split
    splits: u32,
}

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
    if (i >= p.splits * weights) {
        return;
    }
    let first = i / weights * p.split;
    let end = min(first + p.split, p.images * p.rows * p.columns);
    let o = i % p.out_channels;
    let c = i / p.out_channels % p.channels;
    let tap = i % weights / (p.out_channels * p.channels);
    let kw = tap % p.kernel_width;
    let kh = tap / p.kernel_width;
    var out_column = first % p.columns;
    var out_row = first / p.columns % p.rows;
    var image = first / (p.columns * p.rows);
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
        if (out_column == p.columns) {
            out_column = 0u;
            out_row++;
        }
        if (out_row == p.rows) {
            out_row = 0u;
            image++;
        }
    }
    grad_weight[i] = sum;
}
