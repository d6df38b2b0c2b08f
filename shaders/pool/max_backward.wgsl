// dL/dx of max pooling: each window's gradient goes to the place of its greatest value. Gathered: an
// element of x asks every window that holds it, in a fixed order.
// One invocation per element of x. Reference and tests: kernels-tests/pool.rs.
#import grid
#import pool/window

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> grad_y: array<f32>; // [N, out_height, out_width, C]
@group(0) @binding(1) var<storage, read> place: array<u32>;  // as grad_y, from the forward pass
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn max_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let channels = p.channels;
        let c = i % channels;
        let h = holders_of(i, channels);
        var sum = 0.0;
        for (var r = h.row_start; r < h.row_end; r++) {
            for (var k = h.column_start; k < h.column_end; k++) {
                let at = ((h.image * p.out_height + r) * p.out_width + k) * channels + c;
                let here = (h.row - r * p.stride) * p.kernel_width + h.column - k * p.stride;
                sum += select(0.0, grad_y[at], place[at] == here);
            }
        }
        grad_x[i] = sum;
    }
}
