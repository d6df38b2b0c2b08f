// The cell of view b's map nearest to the image point at the centre of view a's cell index[b, j].
// A view shows the crop (x0, y0, width, height, in shares of the image), mirrored in x where flip = 1; cell
// (i, j) of an HxW map has its centre at ((j + 0.5) / W, (i + 0.5) / H) of the view.
// valid = 1 where that centre lies at most `tolerance` cells from the point along both axes: 0.5 accepts
// just the points inside view b. No gradient. One invocation per row. Reference and tests:
// kernels-tests/gather.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    images: u32,    // B
    count: u32,     // n, rows per image
    height: u32,    // H, cells
    width: u32,     // W, cells
    stride: u32,    // G, values per row of geometry, at least 5
    tolerance: f32, // cells
}

@group(0) @binding(0) var<storage, read> index: array<u32>; // [B, n], cells of a
@group(0) @binding(1) var<storage, read> geometry: array<f32>; // [2B, G] x0 y0 width height flip ...
@group(0) @binding(2) var<storage, read_write> index_b: array<u32>; // [B, n], cells of b
@group(0) @binding(3) var<storage, read_write> valid: array<f32>; // [B*n], 1 or 0
@group(0) @binding(4) var<uniform> p: Params;

fn mirrored(x: f32, flip: f32) -> f32 {
    return select(x, 1.0 - x, flip > 0.5);
}

fn nearest(at: f32, cells: u32) -> u32 {
    return min(u32(max(at, 0.0)), cells - 1u);
}

@compute @workgroup_size(WG)
fn matched(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.images * p.count) {
        let a = i / p.count * p.stride;
        let b = (p.images + i / p.count) * p.stride;
        let size = vec2<f32>(f32(p.width), f32(p.height));
        let cell = vec2<u32>(index[i] % p.width, index[i] / p.width);
        var point = (vec2<f32>(cell) + 0.5) / size;
        point.x = mirrored(point.x, geometry[a + 4u]);
        point = vec2<f32>(geometry[a], geometry[a + 1u])
            + point * vec2<f32>(geometry[a + 2u], geometry[a + 3u]);
        point = (point - vec2<f32>(geometry[b], geometry[b + 1u]))
            / vec2<f32>(geometry[b + 2u], geometry[b + 3u]);
        point.x = mirrored(point.x, geometry[b + 4u]);
        // In cells of b, where cell k reaches from k to k + 1.
        let at = point * size;
        let found = vec2<u32>(nearest(at.x, p.width), nearest(at.y, p.height));
        let away = abs(at - (vec2<f32>(found) + 0.5));
        index_b[i] = found.y * p.width + found.x;
        valid[i] = select(0.0, 1.0, max(away.x, away.y) <= p.tolerance);
    }
}
