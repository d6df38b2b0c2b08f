// Writes a column of six points: item `i` of points [6, 6, step].
fn store_column(column: u32, i: u32, step: u32, v: array<vec4<f32>, 6>) {
    let at = column * step + i;
    let line = 6u * step;
    points[at] = v[0];
    points[at + line] = v[1];
    points[at + 2u * line] = v[2];
    points[at + 3u * line] = v[3];
    points[at + 4u * line] = v[4];
    points[at + 5u * line] = v[5];
}
