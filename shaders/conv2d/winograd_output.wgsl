// y = AT points A of each tile's 4 x 4 points. One invocation per tile and four channels.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/winograd
#import conv2d/winograd_load

const WG: u32 = 64u;

#more_texels points
#half y
@group(0) @binding(0) var<storage, read> points: array<vec4<f32>>; // [4, 4, tiles, quads]
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>; // [images, height, width, quads]
@group(0) @binding(2) var<uniform> p: Params;

// One row of the tile: its two pixels, as far as they lie in the image.
fn store(image: u32, row: u32, column: u32, quad: u32, v: Four) {
    if (image < p.images && row < p.height) {
        let at = ((image * p.height + row) * p.width + column) * p.quads + quad;
        y[at] = v[0] + v[1] + v[2];
        if (column + 1u < p.width) {
            y[at + p.quads] = v[1] - v[2] - v[3];
        }
    }
}

@compute @workgroup_size(WG)
fn winograd_output(
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
    let a = load_points(0u, i, step);
    let b = load_points(1u, i, step);
    let c = load_points(2u, i, step);
    let d = load_points(3u, i, step);
    store(place.x, 2u * place.y, 2u * place.z, quad, a + b + c);
    store(place.x, 2u * place.y + 1u, 2u * place.z, quad, b - c - d);
}
