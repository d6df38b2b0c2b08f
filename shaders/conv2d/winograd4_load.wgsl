// Reads a column of six points: item `i` of points [6, 6, step].
fn load_column(column: u32, i: u32, step: u32) -> array<vec4<f32>, 6> {
    let at = column * step + i;
    let line = 6u * step;
    return array(
        points[at], points[at + line], points[at + 2u * line],
        points[at + 3u * line], points[at + 4u * line], points[at + 5u * line],
    );
}
