// points[i, j] = BT x B of each tile's 6 x 6 pixels of x, for tiles of 4 x 4 pixels of y (Lavin and Gray 2016, section
// 4.3). One invocation per tile and four channels. Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/winograd
#import conv2d/winograd_pixel
#import conv2d/winograd4_store

const WG: u32 = 64u;

#texels tensor
#half tensor
@group(0) @binding(0) var<storage, read> tensor: array<vec4<f32>>; // [images, height, width, quads]
@group(0) @binding(1) var<storage, read_write> points: array<vec4<f32>>; // [6, 6, tiles, quads]
@group(0) @binding(2) var<uniform> p: Params;

// BT v.
fn points_of(v: array<vec4<f32>, 6>) -> array<vec4<f32>, 6> {
    let even = v[4] - 4.0 * v[2];
    let odd = v[3] - 4.0 * v[1];
    let near = v[4] - v[2];
    let far = 2.0 * (v[3] - v[1]);
    return array(
        4.0 * v[0] - 5.0 * v[2] + v[4], even + odd, even - odd,
        near + far, near - far, 4.0 * v[1] - 5.0 * v[3] + v[5],
    );
}

// One row of the tile, times B.
fn row(image: u32, y: u32, column: u32, quad: u32) -> array<vec4<f32>, 6> {
    return points_of(array(
        pixel(image, y, column, quad), pixel(image, y, column + 1u, quad),
        pixel(image, y, column + 2u, quad), pixel(image, y, column + 3u, quad),
        pixel(image, y, column + 4u, quad), pixel(image, y, column + 5u, quad),
    ));
}

@compute @workgroup_size(WG)
fn winograd4_source(
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
    let y = 4u * place.y - p.padding;
    let column = 4u * place.z - p.padding;
    let a = row(place.x, y, column, quad);
    let b = row(place.x, y + 1u, column, quad);
    let c = row(place.x, y + 2u, column, quad);
    let d = row(place.x, y + 3u, column, quad);
    let e = row(place.x, y + 4u, column, quad);
    let f = row(place.x, y + 5u, column, quad);
    store_column(0u, i, step, points_of(array(a[0], b[0], c[0], d[0], e[0], f[0])));
    store_column(1u, i, step, points_of(array(a[1], b[1], c[1], d[1], e[1], f[1])));
    store_column(2u, i, step, points_of(array(a[2], b[2], c[2], d[2], e[2], f[2])));
    store_column(3u, i, step, points_of(array(a[3], b[3], c[3], d[3], e[3], f[3])));
    store_column(4u, i, step, points_of(array(a[4], b[4], c[4], d[4], e[4], f[4])));
    store_column(5u, i, step, points_of(array(a[5], b[5], c[5], d[5], e[5], f[5])));
}
