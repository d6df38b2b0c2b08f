// implicit_gemm.wgsl in the registers of subgroups.
// A workgroup is one subgroup; it computes 8 LANES pixels x COLUMNS channels: each lane 8 pixels, 4 k at a time.
// Simple twins: forward.wgsl, backward_input.wgsl. Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import subgroup_tile
#import conv2d/implicit_gemm

// Four pixels of one lane.
struct Pixels {
    image: vec4<u32>,
    row: vec4<u32>, // in the grid
    column: vec4<u32>,
}

// Where four pixels find one tap, in units of vec4.
struct Places {
    at: vec4<u32>,
    inside: vec4<bool>,
}

fn pixels(first: u32) -> Pixels {
    let i = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.images * p.rows * p.columns - 1u));
    let line = i / p.columns;
    return Pixels(line / p.rows, line % p.rows, i % p.columns);
}

fn places(grid: Pixels, down: u32, across: u32) -> Places {
    // Unsigned: above and left of the image wraps to a huge number, so one comparison finds both sides.
    let row = grid.row * p.stride + u32(p.row0 + i32(down) * p.step);
    let column = grid.column * p.stride + u32(p.column0 + i32(across) * p.step);
    let inside = (row < vec4<u32>(p.height)) & (column < vec4<u32>(p.width));
    let at = ((grid.image * p.height + row) * p.width + column) * p.k_quads;
    return Places(select(vec4<u32>(0u), at, inside), inside);
}

// The four k from `quad` on of four pixels, one pixel per column.
fn load(place: Places, quad: u32) -> mat4x4<f32> {
    let zero = vec4<f32>(0.0);
    return mat4x4<f32>(
        select(zero, source[place.at.x + quad], place.inside.x),
        select(zero, source[place.at.y + quad], place.inside.y),
        select(zero, source[place.at.z + quad], place.inside.z),
        select(zero, source[place.at.w + quad], place.inside.w),
    );
}

fn store_quad(at: u32, quad: u32, v: vec4<f32>) {
    if (quad < p.n_quads) {
        out[at + quad] = v;
    }
}

fn store_row(part: u32, pixel: u32, quad: u32, v: array<vec4<f32>, 4>) {
    if (pixel < p.images * p.rows * p.columns) {
        let at = out_place(pixel);
        store_quad(at, quad, v[0]);
        store_quad(at, quad + 1u, v[1]);
        store_quad(at, quad + 2u, v[2]);
        store_quad(at, quad + 3u, v[3]);
    }
}

@compute @workgroup_size(LANES)
fn implicit_gemm_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column_tiles = (p.n_quads + QUADS - 1u) / QUADS;
    let index = workgroup_index(group, groups);
    let quad0 = index % column_tiles * QUADS;
    let pixel = index / column_tiles * (8u * LANES) + lane * 4u;
    let low = pixels(pixel);
    let high = pixels(pixel + 4u * LANES);
    let by_column = BY_COLUMN == 1u;
    // This lane's columns of the right-hand side, or quads of them; the surplus is clamped and not stored.
    let n = min(4u * quad0 + lane + LANES * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(4u * p.n_quads - 1u));
    let right = select(n / 4u, n, by_column);
    for (var down = 0u; down < p.taps_down; down++) {
        for (var across = 0u; across < p.taps_across; across++) {
            let low_at = places(low, down, across);
            let high_at = places(high, down, across);
            let tap = weight_row(down, across);
            for (var quad = 0u; quad < p.k_quads; quad++) {
                let k = (tap * p.k_quads + quad) * 4u + lane % 4u;
                let at = select(k * p.n_quads + right, (tap * 4u * p.n_quads + right) * p.k_quads + quad, by_column);
                let w = array(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
                multiply(load(low_at, quad), load(high_at, quad), w, by_column);
            }
        }
    }
    store_tile(0u, pixel, pixel + 4u * LANES, quad0);
}
