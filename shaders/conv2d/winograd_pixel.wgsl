// Four channels of a pixel of `tensor`, [images, height, width, quads]; 0 outside.
fn pixel(image: u32, row: u32, column: u32, quad: u32) -> vec4<f32> {
    // Unsigned: above and left of the image wraps to a huge number.
    let inside = image < p.images && row < p.height && column < p.width;
    let at = select(0u, ((image * p.height + row) * p.width + column) * p.quads + quad, inside);
    return select(vec4<f32>(0.0), tensor[at], inside);
}
