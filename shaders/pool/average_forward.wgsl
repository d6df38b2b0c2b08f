// y = sum of each window of x: [N, H, W, C] over the kernel's area: padding counts as zeros, as
// PyTorch's count_include_pad = true.
// One invocation per element of y. Reference and tests: kernels-tests/pool.rs.
#import grid
#import pool/window

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [N, out_height, out_width, C]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn average_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let channels = p.channels;
        let c = i % channels;
        let w = window_of(i, channels);
        var sum = 0.0;
        for (var r = w.row_start; r < w.row_end; r++) {
            let start = (w.image * p.height + r - p.padding) * p.width - p.padding;
            for (var k = w.column_start; k < w.column_end; k++) {
                sum += x[(start + k) * channels + c];
            }
        }
        y[i] = sum / f32(p.kernel_height * p.kernel_width);
    }
}
