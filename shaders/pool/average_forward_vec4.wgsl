// average_forward.wgsl with four neighbouring channels per invocation, for channels a multiple of 4.
// One invocation per four elements of y. Reference and tests: kernels-tests/pool.rs.
#import grid
#import pool/window

const WG: u32 = 64u;

#texels x
#half x, y
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>; // [N, out_height, out_width, C]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn average_forward_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let channels = p.channels / 4u;
        let c = i % channels;
        let w = window_of(i, channels);
        var sum = vec4<f32>();
        for (var r = w.row_start; r < w.row_end; r++) {
            let start = (w.image * p.height + r - p.padding) * p.width - p.padding;
            for (var k = w.column_start; k < w.column_end; k++) {
                sum += x[(start + k) * channels + c];
            }
        }
        y[i] = sum / f32(p.kernel_height * p.kernel_width);
    }
}
