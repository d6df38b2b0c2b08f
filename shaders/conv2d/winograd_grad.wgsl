// points = A grad AT of each tile's 2 x 2 pixels of grad: the adjoint of winograd_output.wgsl. One invocation per tile
// and four channels. Reference and tests: kernels-tests/conv2d.rs.
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

// One row of the tile, times AT.
fn row(image: u32, y: u32, column: u32, quad: u32) -> Four {
    let a = pixel(image, y, column, quad);
    let b = pixel(image, y, column + 1u, quad);
    return Four(a, a + b, a - b, -b);
}

@compute @workgroup_size(WG)
fn winograd_grad(
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
    let a = row(place.x, 2u * place.y, 2u * place.z, quad);
    let b = row(place.x, 2u * place.y + 1u, 2u * place.z, quad);
    store_points(0u, i, step, a);
    store_points(1u, i, step, a + b);
    store_points(2u, i, step, a - b);
    store_points(3u, i, step, -1.0 * b);
}
