// points = A grad AT of each tile's 4 x 4 pixels of grad: the adjoint of winograd4_output.wgsl. One invocation per tile
// and four channels. Reference and tests: kernels-tests/conv2d.rs.
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

// A v.
fn points_of(v: Four) -> array<vec4<f32>, 6> {
    let even = v[0] + v[2];
    let odd = v[1] + v[3];
    let far_even = v[0] + 4.0 * v[2];
    let far_odd = 2.0 * v[1] + 8.0 * v[3];
    return array(v[0], even + odd, even - odd, far_even + far_odd, far_even - far_odd, v[3]);
}

// One row of the tile, times AT.
fn row(image: u32, y: u32, column: u32, quad: u32) -> array<vec4<f32>, 6> {
    return points_of(Four(
        pixel(image, y, column, quad), pixel(image, y, column + 1u, quad),
        pixel(image, y, column + 2u, quad), pixel(image, y, column + 3u, quad),
    ));
}

@compute @workgroup_size(WG)
fn winograd4_grad(
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
    let y = 4u * place.y;
    let column = 4u * place.z;
    let a = row(place.x, y, column, quad);
    let b = row(place.x, y + 1u, column, quad);
    let c = row(place.x, y + 2u, column, quad);
    let d = row(place.x, y + 3u, column, quad);
    store_column(0u, i, step, points_of(Four(a[0], b[0], c[0], d[0])));
    store_column(1u, i, step, points_of(Four(a[1], b[1], c[1], d[1])));
    store_column(2u, i, step, points_of(Four(a[2], b[2], c[2], d[2])));
    store_column(3u, i, step, points_of(Four(a[3], b[3], c[3], d[3])));
    store_column(4u, i, step, points_of(Four(a[4], b[4], c[4], d[4])));
    store_column(5u, i, step, points_of(Four(a[5], b[5], c[5], d[5])));
}
