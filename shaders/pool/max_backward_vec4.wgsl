// max_backward.wgsl with four neighbouring channels per invocation, for channels a multiple of 4.
// One invocation per four elements of x. Reference and tests: kernels-tests/pool.rs.
#import grid
#import pool/window

const WG: u32 = 64u;

#texels grad_y
#half grad_y, grad_x
@group(0) @binding(0) var<storage, read> grad_y: array<vec4<f32>>; // [N, out_height, out_width, C]
@group(0) @binding(1) var<storage, read> place: array<vec4<u32>>;  // as grad_y, from the forward pass
@group(0) @binding(2) var<storage, read_write> grad_x: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn max_backward_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let channels = p.channels / 4u;
        let c = i % channels;
        let h = holders_of(i, channels);
        var sum = vec4<f32>();
        for (var r = h.row_start; r < h.row_end; r++) {
            for (var k = h.column_start; k < h.column_end; k++) {
                let at = ((h.image * p.out_height + r) * p.out_width + k) * channels + c;
                let here = (h.row - r * p.stride) * p.kernel_width + h.column - k * p.stride;
                sum += select(vec4<f32>(), grad_y[at], place[at] == vec4<u32>(here));
            }
        }
        grad_x[i] = sum;
    }
}
