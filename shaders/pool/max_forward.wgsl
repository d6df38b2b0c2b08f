// y = the greatest value of each window of x: [N, H, W, C], the first of equals; padding is never it.
// Backward needs its place in the window, counted row by row.
// One invocation per element of y. Reference and tests: kernels-tests/pool.rs.
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

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;     // [N, out_height, out_width, C]
@group(0) @binding(2) var<storage, read_write> place: array<u32>; // as y
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn max_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let channels = p.channels;
        let c = i % channels;
        let column = i / channels % p.out_width * p.stride;
        let row = i / channels / p.out_width % p.out_height * p.stride;
        let image = i / channels / p.out_width / p.out_height;
        // Rows and columns are counted in the padded map; the padding is left out of the loops.
        let row_end = min(row + p.kernel_height, p.height + p.padding);
        let column_end = min(column + p.kernel_width, p.width + p.padding);
        let row_start = max(row, p.padding);
        let column_start = max(column, p.padding);
        let rows = image * p.height - p.padding;
        var best = x[((rows + row_start) * p.width + column_start - p.padding) * channels + c];
        var found = (row_start - row) * p.kernel_width + column_start - column;
        for (var r = row_start; r < row_end; r++) {
            for (var k = column_start; k < column_end; k++) {
                let value = x[((rows + r) * p.width + k - p.padding) * channels + c];
                if (value > best) {
                    best = value;
                    found = (r - row) * p.kernel_width + k - column;
                }
            }
        }
        y[i] = best;
        place[i] = found;
    }
}
