// average_forward.wgsl with four neighbouring channels per invocation, for channels a multiple of 4.
// One invocation per four elements of y. Reference and tests: kernels-tests/pool.rs.
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
        let column = i / channels % p.out_width * p.stride;
        let row = i / channels / p.out_width % p.out_height * p.stride;
        let image = i / channels / p.out_width / p.out_height;
        // Rows and columns are counted in the padded map; the padding is left out of the loops.
        let row_end = min(row + p.kernel_height, p.height + p.padding);
        let column_end = min(column + p.kernel_width, p.width + p.padding);
        var sum = vec4<f32>();
        for (var r = max(row, p.padding); r < row_end; r++) {
            let start = (image * p.height + r - p.padding) * p.width - p.padding;
            for (var k = max(column, p.padding); k < column_end; k++) {
                sum += x[(start + k) * channels + c];
            }
        }
        y[i] = sum / f32(p.kernel_height * p.kernel_width);
    }
}
