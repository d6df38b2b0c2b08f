// Writes one line of four points: item `i` of points [4, 4, step].
fn store_points(line: u32, i: u32, step: u32, v: mat4x4<f32>) {
    let at = line * 4u * step + i;
    points[at] = v[0];
    points[at + step] = v[1];
    points[at + 2u * step] = v[2];
    points[at + 3u * step] = v[3];
}
