// dL/dx of average pooling: every window spreads its gradient evenly over the kernel's area. Gathered:
// an element of x sums over the windows that hold it, in a fixed order.
// One invocation per element of x. Reference and tests: kernels-tests/pool.rs.
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

@group(0) @binding(0) var<storage, read> grad_y: array<f32>; // [N, out_height, out_width, C]
@group(0) @binding(1) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn average_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let channels = p.channels;
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
        var sum = 0.0;
        for (var r = y_start; r < y_end; r++) {
            for (var k = x_start; k < x_end; k++) {
                sum += grad_y[((image * p.out_height + r) * p.out_width + k) * channels + c];
            }
        }
        grad_x[i] = sum / f32(p.kernel_height * p.kernel_width);
    }
}
