// y = the greatest value of each window of x: [N, H, W, C], the first of equals; padding is never it.
// Backward needs its place in the window, counted row by row.
// One invocation per element of y. Reference and tests: kernels-tests/pool.rs.
#import grid
#import pool/window

const WG: u32 = 64u;

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
        let w = window_of(i, channels);
        let rows = w.image * p.height - p.padding;
        var best = x[((rows + w.row_start) * p.width + w.column_start - p.padding) * channels + c];
        var found = (w.row_start - w.row) * p.kernel_width + w.column_start - w.column;
        for (var r = w.row_start; r < w.row_end; r++) {
            for (var k = w.column_start; k < w.column_end; k++) {
                let value = x[((rows + r) * p.width + k - p.padding) * channels + c];
                if (value > best) {
                    best = value;
                    found = (r - w.row) * p.kernel_width + k - w.column;
                }
            }
        }
        y[i] = best;
        place[i] = found;
    }
}
