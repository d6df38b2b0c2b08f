// out[split, t, c, o] = sum over the pixels of one split of source[pixel's place under tap t, c] grad[pixel, o]; source
// counts as 0 outside. The gradient of a convolution's weights; sum_partials.wgsl adds the splits. Also aT b of two
// matrices, as a convolution with a 1 x 1 kernel.

struct Params {
    pixels: u32, // of grad: images rows columns
    height: u32, // of source
    width: u32,
    c_quads: u32, // C / 4, rounded up
    rows: u32, // of grad
    columns: u32,
    o_quads: u32, // O / 4, rounded up
    stride: u32,
    padding: u32,
    taps: u32, // kernel_height kernel_width
    kernel_width: u32,
    split: u32, // pixels per split
    first: u32, // pixel of all of grad that is this launch's first
    part: u32, // of out, that its first split writes
}

#texels source, grad
#half source, grad
@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>; // [images, height, width, c_quads]
@group(0) @binding(1) var<storage, read> grad: array<vec4<f32>>; // [images, rows, columns, o_quads]
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [splits, taps, 4 c_quads, o_quads]
@group(0) @binding(3) var<uniform> p: Params;
