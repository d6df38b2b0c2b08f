// implicit_gemm.wgsl for GPUs, with tiles in workgroup memory.
// A workgroup of 256 computes 128 pixels x 4 QUADS channels, 16 k at a time.
// Values of the next 16 k are on their way from memory while these are multiplied.
// Simple twins: forward.wgsl, backward_input.wgsl. Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/implicit_gemm
#import conv2d/implicit_gemm_gather
#import conv2d/workgroup_tile

fn store_row(pixel: u32, quad: u32, v: vec4<f32>) {
    if (pixel < p.images * p.rows * p.columns && quad < p.n_quads) {
        out[out_place(pixel) + quad] = v;
    }
}

@compute @workgroup_size(256)
fn implicit_gemm_tiled(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column_tiles = (p.n_quads + QUADS - 1u) / QUADS;
    let index = workgroup_index(id, ids);
    let quad0 = index % column_tiles * QUADS;
    let pixel0 = index / column_tiles * 128u;
    let share = share_of(lane);
    let near = pixel_of(pixel0 + share.left_row);
    let far = pixel_of(pixel0 + 64u + share.left_row);
    let column = 4u * quad0 + share.right_column;
    var left_quad = normalised(Quad(0u, 0u, share.left_quad));
    var right_quad = normalised(Quad(0u, 0u, share.right_quad));
    var a = load_left(near, left_quad);
    var b = load_left(far, left_quad);
    var w = load_right(right_quad, share.right_k, column);
    let steps = (p.taps_down * p.taps_across * p.k_quads + 3u) / 4u;
    for (var step = 0u; step < steps; step++) {
        exchange(share, lane, a, b, w);
        left_quad = normalised(Quad(left_quad.down, left_quad.across, left_quad.quad + 4u));
        right_quad = normalised(Quad(right_quad.down, right_quad.across, right_quad.quad + 4u));
        a = load_left(near, left_quad);
        b = load_left(far, left_quad);
        w = load_right(right_quad, share.right_k, column);
        multiply(share);
    }
    store_tile(pixel0 + share.row, quad0 + share.column);
}
