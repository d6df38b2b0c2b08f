// out[pixel, k] = what pixel (row, column) of y sees of x under weight k = (down, across, channel), and 0 beyond the
// last: with few channels, a product with these reads four weights at once, where four channels of one tap would be
// zeros for the most part. One invocation per pixel. Tests: kernels-tests/conv2d.rs, with every kernel around it.
#import grid

const WG: u32 = 64u;

struct Params {
    pixels: u32, // of this launch
    first: u32, // pixel of y that is its first
    height: u32, // of x
    width: u32,
    channels: u32,
    rows: u32, // of y
    columns: u32,
    stride: u32,
    padding: u32,
    kernel_width: u32,
    values: u32, // weights of one channel of y
    quads: u32, // values / 4, rounded up
}

@group(0) @binding(0) var<storage, read> x: array<f32>; // [images, height, width, channels]
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>; // [pixels, quads]
@group(0) @binding(2) var<uniform> p: Params;

// The next weight: its number, channel and place in x.
struct Place {
    k: u32,
    channel: u32,
    across: u32,
    row: u32, // above and left of the image wrapped to huge numbers
    column: u32,
}

fn next(place: ptr<function, Place>, line: u32) -> f32 {
    let at = *place;
    let inside = at.k < p.values && at.row < p.height && at.column < p.width;
    let element = ((line + at.row) * p.width + at.column) * p.channels + at.channel;
    let v = select(0.0, x[select(0u, element, inside)], inside);
    let next_tap = at.channel + 1u == p.channels;
    let next_row = next_tap && at.across + 1u == p.kernel_width;
    (*place).k = at.k + 1u;
    (*place).channel = select(at.channel + 1u, 0u, next_tap);
    (*place).across = select(select(at.across, at.across + 1u, next_tap), 0u, next_row);
    (*place).row = select(at.row, at.row + 1u, next_row);
    (*place).column = select(select(at.column, at.column + 1u, next_tap), at.column + 1u - p.kernel_width, next_row);
    return v;
}

@compute @workgroup_size(WG)
fn patches(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i >= p.pixels) {
        return;
    }
    let pixel = p.first + i;
    let row = pixel / p.columns;
    let line = row / p.rows * p.height;
    var place =
        Place(0u, 0u, 0u, row % p.rows * p.stride - p.padding, pixel % p.columns * p.stride - p.padding);
    for (var quad = 0u; quad < p.quads; quad++) {
        let a = next(&place, line);
        let b = next(&place, line);
        let c = next(&place, line);
        let d = next(&place, line);
        out[i * p.quads + quad] = vec4<f32>(a, b, c, d);
    }
}
