// points[i, j] = BT x B of each tile's 4 x 4 pixels of x. One invocation per tile and four channels.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/winograd
#import conv2d/winograd_pixel
#import conv2d/winograd_store

const WG: u32 = 64u;

#texels tensor
#half tensor
@group(0) @binding(0) var<storage, read> tensor: array<vec4<f32>>; // [images, height, width, quads]
@group(0) @binding(1) var<storage, read_write> points: array<vec4<f32>>; // [4, 4, tiles, quads]
@group(0) @binding(2) var<uniform> p: Params;

// One row of the tile, times B.
fn row(image: u32, y: u32, column: u32, quad: u32) -> Four {
    let a = pixel(image, y, column, quad);
    let b = pixel(image, y, column + 1u, quad);
    let c = pixel(image, y, column + 2u, quad);
    let d = pixel(image, y, column + 3u, quad);
    return Four(a - c, b + c, c - b, b - d);
}

@compute @workgroup_size(WG)
fn winograd_source(
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
    let y = 2u * place.y - p.padding;
    let column = 2u * place.z - p.padding;
    let a = row(place.x, y, column, quad);
    let b = row(place.x, y + 1u, column, quad);
    let c = row(place.x, y + 2u, column, quad);
    let d = row(place.x, y + 3u, column, quad);
    store_points(0u, i, step, a - c);
    store_points(1u, i, step, b + c);
    store_points(2u, i, step, c - b);
    store_points(3u, i, step, b - d);
}
