// y = AT points A of each tile's 6 x 6 points: 4 x 4 pixels. One invocation per tile and four channels.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/winograd
#import conv2d/winograd4_load

const WG: u32 = 64u;

#more_texels points
#half y
@group(0) @binding(0) var<storage, read> points: array<vec4<f32>>; // [6, 6, tiles, quads]
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>; // [images, height, width, quads]
@group(0) @binding(2) var<uniform> p: Params;

// AT v.
fn pixels_of(v: array<vec4<f32>, 6>) -> Four {
    let sum = v[1] + v[2];
    let difference = v[1] - v[2];
    let far_sum = v[3] + v[4];
    let far_difference = v[3] - v[4];
    return Four(
        v[0] + sum + far_sum, difference + 2.0 * far_difference,
        sum + 4.0 * far_sum, difference + 8.0 * far_difference + v[5],
    );
}

fn store_pixel(at: u32, column: u32, v: vec4<f32>) {
    if (column < p.width) {
        y[at] = v;
    }
}

// One row of the tile: its four pixels, as far as they lie in the image.
fn store(image: u32, row: u32, column: u32, quad: u32, v: Four) {
    if (image < p.images && row < p.height) {
        let at = ((image * p.height + row) * p.width + column) * p.quads + quad;
        store_pixel(at, column, v[0]);
        store_pixel(at + p.quads, column + 1u, v[1]);
        store_pixel(at + 2u * p.quads, column + 2u, v[2]);
        store_pixel(at + 3u * p.quads, column + 3u, v[3]);
    }
}

@compute @workgroup_size(WG)
fn winograd4_output(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let step = p.tiles * p.quads;
    if (i >= step) {
        return;
    }
    let quad = i % p.quads;
    let place = tile_place(p.first + i / p.quads);
    let a = pixels_of(load_column(0u, i, step));
    let b = pixels_of(load_column(1u, i, step));
    let c = pixels_of(load_column(2u, i, step));
    let d = pixels_of(load_column(3u, i, step));
    let e = pixels_of(load_column(4u, i, step));
    let f = pixels_of(load_column(5u, i, step));
    let row = 4u * place.y;
    let column = 4u * place.z;
    store(place.x, row, column, quad, pixels_of(array(a[0], b[0], c[0], d[0], e[0], f[0])));
    store(place.x, row + 1u, column, quad, pixels_of(array(a[1], b[1], c[1], d[1], e[1], f[1])));
    store(place.x, row + 2u, column, quad, pixels_of(array(a[2], b[2], c[2], d[2], e[2], f[2])));
    store(place.x, row + 3u, column, quad, pixels_of(array(a[3], b[3], c[3], d[3], e[3], f[3])));
}
