// What a tile of implicit_gemm.wgsl is made of: quads of source and weight, fetched from memory.

// A quad of k: its tap and the quad within the tap.
struct Quad {
    down: u32,
    across: u32,
    quad: u32,
}

fn normalised(start: Quad) -> Quad {
    var q = start;
    while (q.quad >= p.k_quads) {
        q.quad -= p.k_quads;
        q.across++;
        if (q.across == p.taps_across) {
            q.across = 0u;
            q.down++;
        }
    }
    return q;
}

// A pixel's place under tap (0, 0); wraps to huge numbers above and left of the image.
struct Pixel {
    image: u32,
    row: u32,
    column: u32,
}

fn pixel_of(i: u32) -> Pixel {
    let pixel = min(i, p.images * p.rows * p.columns - 1u);
    let line = pixel / p.columns;
    return Pixel(
        line / p.rows, line % p.rows * p.stride + u32(p.row0), pixel % p.columns * p.stride + u32(p.column0),
    );
}

fn load_left(pixel: Pixel, q: Quad) -> vec4<f32> {
    let row = pixel.row + u32(i32(q.down) * p.step);
    let column = pixel.column + u32(i32(q.across) * p.step);
    let inside = q.down < p.taps_down && row < p.height && column < p.width;
    let at = ((pixel.image * p.height + row) * p.width + column) * p.k_quads + q.quad;
    return select(vec4<f32>(0.0), source[select(0u, at, inside)], inside);
}

// Past the last tap the left-hand side is 0, and any weight will do. With strides a pixel may have no tap at all.
fn load_right(q: Quad, k: u32, n: u32) -> vec4<f32> {
    let tap = weight_row(q.down, q.across);
    let column = min(n, 4u * p.n_quads - 1u);
    let by_k = ((tap * p.k_quads + q.quad) * 4u + k) * p.n_quads + column / 4u;
    let by_column = (tap * 4u * p.n_quads + column) * p.k_quads + q.quad;
    let is_tap = q.down < p.taps_down && q.across < p.taps_across;
    return weight[select(0u, select(by_k, by_column, BY_COLUMN == 1u), is_tap)];
}
