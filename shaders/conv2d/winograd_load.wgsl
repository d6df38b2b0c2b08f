// Reads one line of four points: item `i` of points [4, 4, step].
fn load_points(line: u32, i: u32, step: u32) -> mat4x4<f32> {
    let at = line * 4u * step + i;
    return mat4x4<f32>(points[at], points[at + step], points[at + 2u * step], points[at + 3u * step]);
}
