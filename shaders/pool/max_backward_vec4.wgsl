// max_backward.wgsl with four neighbouring channels per invocation, for channels a multiple of 4.
// One invocation per four elements of x. Reference and tests: kernels-tests/pool.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32,        // invocations
    height: u32,     // of x
    width: u32,
    channels: u32,
    out_height: u32, // of y
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,    // rows and columns on every side
}

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
        // In the padded map.
        let column = i / channels % p.width + p.padding;
        let row = i / channels / p.width % p.height + p.padding;
        let image = i / channels / p.width / p.height;
        // The outputs whose windows hold this element.
        let y_start = select(0u, (row - p.kernel_height) / p.stride + 1u, row >= p.kernel_height);
        let y_end = min(row / p.stride + 1u, p.out_height);
        let x_start = select(0u, (column - p.kernel_width) / p.stride + 1u, column >= p.kernel_width);
        let x_end = min(column / p.stride + 1u, p.out_width);
        var sum = vec4<f32>();
        for (var r = y_start; r < y_end; r++) {
            for (var k = x_start; k < x_end; k++) {
                let at = ((image * p.out_height + r) * p.out_width + k) * channels + c;
                let here = (row - r * p.stride) * p.kernel_width + column - k * p.stride;
                sum += select(vec4<f32>(), grad_y[at], place[at] == vec4<u32>(here));
            }
        }
        grad_x[i] = sum;
    }
}
