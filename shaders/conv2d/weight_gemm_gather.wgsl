// What a tile of weight_gemm.wgsl is made of: quads of source and grad, fetched from memory.

// A quad of channels and its tap.
struct Row {
    quad: u32,
    down: u32, // less the padding: wraps to huge numbers
    across: u32,
}

// A pixel of grad, and where it lies.
struct Place {
    pixel: u32,
    image: u32,
    row: u32,
    column: u32,
}

fn place_of(pixel: u32) -> Place {
    let line = pixel / p.columns;
    return Place(pixel, line / p.rows, line % p.rows, pixel % p.columns);
}

// The place as many pixels on as `by` is from the first, without a division.
fn moved(place: Place, by: Place) -> Place {
    var to = Place(place.pixel + by.pixel, place.image + by.image, place.row + by.row, place.column + by.column);
    if (to.column >= p.columns) {
        to.column -= p.columns;
        to.row++;
    }
    if (to.row >= p.rows) {
        to.row -= p.rows;
        to.image++;
    }
    return to;
}

fn load_left(row: Row, place: Place, end: u32) -> vec4<f32> {
    let y = place.row * p.stride + row.down;
    let x = place.column * p.stride + row.across;
    let inside = place.pixel < end && y < p.height && x < p.width;
    let at = ((place.image * p.height + y) * p.width + x) * p.c_quads + row.quad;
    return select(vec4<f32>(0.0), source[select(0u, at, inside)], inside);
}

// Past the end the left-hand side is 0, and any gradient will do.
fn load_right(pixel: u32, quad: u32) -> vec4<f32> {
    return grad[(p.first + min(pixel, p.pixels - 1u)) * p.o_quads + min(quad, p.o_quads - 1u)];
}
