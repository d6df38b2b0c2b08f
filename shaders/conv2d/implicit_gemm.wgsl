// out[pixel, n] = sum over taps t and k of source[pixel's place under t, k] weight[t, k, n]; source counts as 0
// outside. The forward pass of a convolution (k = c, n = o), and the gradient of its input for one class of pixels
// (k = o, n = c): with stride s, the pixels (row0 + s i, column0 + s j) are reached by every s-th tap, from the rows
// i + const - t of grad_y. Also a matrix product, as a convolution with a 1 x 1 kernel.

// 0: weight is [taps, K, N]. 1: [taps, N, K]. K and N are filled up with zeros to multiples of 4.
const BY_COLUMN: u32 = 0u;

struct Params {
    images: u32,
    height: u32, // of source
    width: u32,
    k_quads: u32, // K / 4, rounded up
    rows: u32, // of the grid of pixels that are computed
    columns: u32,
    n_quads: u32, // N / 4, rounded up
    stride: u32, // pixel (i, j) under tap (a, b) sees source row i stride + row0 + a step
    row0: i32,
    column0: i32,
    step: i32,
    taps_down: u32,
    taps_across: u32,
    tap_row0: u32, // tap (a, b) is weight row tap_row0 + a tap_step of the kernel
    tap_column0: u32,
    tap_step: u32,
    kernel_width: u32,
    out_height: u32,
    out_width: u32,
    out_stride: u32, // pixel (i, j) is row out_row0 + i out_stride of out
    out_row0: u32,
    out_column0: u32,
}

#texels source, weight
#half source, out
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>; // [images, height, width, K / 4]
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [images, out_height, out_width, n_quads]
@group(0) @binding(3) var<uniform> p: Params;

// Row of the kernel that tap (down, across) takes.
fn weight_row(down: u32, across: u32) -> u32 {
    return (p.tap_row0 + down * p.tap_step) * p.kernel_width + p.tap_column0 + across * p.tap_step;
}

// Where a pixel's first quad lies in out.
fn out_place(pixel: u32) -> u32 {
    let line = pixel / p.columns;
    let row = p.out_row0 + line % p.rows * p.out_stride;
    let column = p.out_column0 + pixel % p.columns * p.out_stride;
    return ((line / p.rows * p.out_height + row) * p.out_width + column) * p.n_quads;
}
