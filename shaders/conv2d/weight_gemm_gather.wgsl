// What a tile of weight_gemm.wgsl is made of: quads of source and grad, fetched from memory.

// A quad of channels and its tap.
struct Row {
    quad: u32,
    down: u32, // less the padding: wraps to huge numbers
    across: u32,
}

fn load_left(row: Row, pixel: u32, end: u32) -> vec4<f32> {
    let line = pixel / p.columns;
    let y = line % p.rows * p.stride + row.down;
    let x = pixel % p.columns * p.stride + row.across;
    let inside = pixel < end && y < p.height && x < p.width;
    let at = ((line / p.rows * p.height + y) * p.width + x) * p.c_quads + row.quad;
    return select(vec4<f32>(0.0), source[select(0u, at, inside)], inside);
}

// Past the end the left-hand side is 0, and any gradient will do.
fn load_right(pixel: u32, quad: u32) -> vec4<f32> {
    return grad[(p.first + min(pixel, p.pixels - 1u)) * p.o_quads + min(quad, p.o_quads - 1u)];
}
