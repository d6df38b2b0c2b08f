// weight_gemm.wgsl in the registers of subgroups.
// A workgroup is one subgroup; it computes 8 LANES rows (t, c) x COLUMNS channels o: each lane two quads of c, each
// under a tap of its own, 4 pixels at a time.
// Simple twin: backward_weight.wgsl. Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import subgroup_tile
#import conv2d/weight_gemm

// A lane's quad of channels and its tap.
struct Row {
    quad: u32,
    down: u32,
    across: u32,
    tap: u32,
}

fn row_of(i: u32) -> Row {
    let tap = min(i / p.c_quads, p.taps - 1u);
    return Row(i % p.c_quads, tap / p.kernel_width - p.padding, tap % p.kernel_width - p.padding, tap);
}

// The quad under its tap for four pixels: column j holds the four pixels of channel j.
fn load(lane_row: Row, image: vec4<u32>, row: vec4<u32>, column: vec4<u32>, valid: vec4<bool>) -> mat4x4<f32> {
    // Unsigned: above and left of the image wraps to a huge number, so one comparison finds both sides.
    let y = row * p.stride + lane_row.down;
    let x = column * p.stride + lane_row.across;
    let inside = valid & (y < vec4<u32>(p.height)) & (x < vec4<u32>(p.width));
    let at = ((image * p.height + y) * p.width + x) * p.c_quads + lane_row.quad;
    let safe = select(vec4<u32>(0u), at, inside);
    let zero = vec4<f32>(0.0);
    return transpose(mat4x4<f32>(
        select(zero, source[safe.x], inside.x),
        select(zero, source[safe.y], inside.y),
        select(zero, source[safe.z], inside.z),
        select(zero, source[safe.w], inside.w),
    ));
}

fn store_quad(at: u32, quad: u32, v: vec4<f32>) {
    if (quad < p.o_quads) {
        out[at + quad] = v;
    }
}

fn store_row(split: u32, row: u32, quad: u32, v: array<vec4<f32>, 4>) {
    let rows = 4u * p.taps * p.c_quads;
    if (row < rows) {
        let at = ((p.part + split) * rows + row) * p.o_quads;
        store_quad(at, quad, v[0]);
        store_quad(at, quad + 1u, v[1]);
        store_quad(at, quad + 2u, v[2]);
        store_quad(at, quad + 3u, v[3]);
    }
}

@compute @workgroup_size(LANES)
fn weight_gemm_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column_tiles = (p.o_quads + QUADS - 1u) / QUADS;
    let row_tiles = (p.taps * p.c_quads + 2u * LANES - 1u) / (2u * LANES);
    let index = workgroup_index(group, groups);
    let quad0 = index % column_tiles * QUADS;
    let low_row = index / column_tiles % row_tiles * (2u * LANES) + lane;
    let split = index / (column_tiles * row_tiles);
    let low = row_of(low_row);
    let high = row_of(low_row + LANES);
    // This lane's share of grad: one pixel of four, quads of channels, clamped where surplus.
    let right = min(quad0 + (lane + LANES * vec4<u32>(0u, 1u, 2u, 3u)) / 4u, vec4<u32>(p.o_quads - 1u));
    let end = min((split + 1u) * p.split, p.pixels);
    var pixel = split * p.split + vec4<u32>(0u, 1u, 2u, 3u);
    var column = pixel % p.columns;
    var row = pixel / p.columns % p.rows;
    var image = pixel / (p.columns * p.rows);
    for (; pixel.x < end; pixel += vec4<u32>(4u)) {
        let valid = pixel < vec4<u32>(end);
        let at = (p.first + min(pixel.x + lane % 4u, p.pixels - 1u)) * p.o_quads + right;
        let g = array(grad[at.x], grad[at.y], grad[at.z], grad[at.w]);
        let left_low = load(low, image, row, column, valid);
        multiply(left_low, load(high, image, row, column, valid), g, false);
        // Four pixels on, without a division.
        column += vec4<u32>(4u);
        while (any(column >= vec4<u32>(p.columns))) {
            let wraps = column >= vec4<u32>(p.columns);
            column -= select(vec4<u32>(0u), vec4<u32>(p.columns), wraps);
            row += select(vec4<u32>(0u), vec4<u32>(1u), wraps);
            let next_image = row == vec4<u32>(p.rows);
            row = select(row, vec4<u32>(0u), next_image);
            image += select(vec4<u32>(0u), vec4<u32>(1u), next_image);
        }
    }
    store_tile(split, 4u * low_row, 4u * (low_row + LANES), quad0);
}
