// points[i, j] = BT x B of each tile's 4 x 4 pixels of x. One invocation per tile and four channels.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/winograd

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>; // [images, height, width, quads]
@group(0) @binding(1) var<storage, read_write> points: array<vec4<f32>>; // [4, 4, tiles, quads]
@group(0) @binding(2) var<uniform> p: Params;

fn pixel(line: u32, inside: bool, column: u32, quad: u32) -> vec4<f32> {
    // Unsigned: left of the image wraps to a huge number.
    let here = inside && column < p.width;
    let at = select(0u, (line * p.width + column) * p.quads + quad, here);
    return select(vec4<f32>(0.0), x[at], here);
}

// One row of the tile, times B.
fn row(image: u32, y: u32, column: u32, quad: u32) -> Four {
    let inside = image < p.images && y < p.height;
    let line = image * p.height + y;
    let a = pixel(line, inside, column, quad);
    let b = pixel(line, inside, column + 1u, quad);
    let c = pixel(line, inside, column + 2u, quad);
    let d = pixel(line, inside, column + 3u, quad);
    return Four(a - c, b + c, c - b, b - d);
}

fn store(line: u32, tile: u32, quad: u32, v: Four) {
    let at = point_place(line, tile, quad);
    let step = point_step();
    points[at] = v[0];
    points[at + step] = v[1];
    points[at + 2u * step] = v[2];
    points[at + 3u * step] = v[3];
}

@compute @workgroup_size(WG)
fn winograd_source(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i >= p.tiles * p.quads) {
        return;
    }
    let tile = i / p.quads;
    let quad = i % p.quads;
    let place = tile_place(p.first + tile);
    let y = 2u * place.y - p.padding;
    let column = 2u * place.z - p.padding;
    let a = row(place.x, y, column, quad);
    let b = row(place.x, y + 1u, column, quad);
    let c = row(place.x, y + 2u, column, quad);
    let d = row(place.x, y + 3u, column, quad);
    store(0u, tile, quad, a - c);
    store(1u, tile, quad, b + c);
    store(2u, tile, quad, c - b);
    store(3u, tile, quad, b - d);
}
