// y = mean of each window of x: [N, H, W, C]. Windows as PyTorch's adaptive_avg_pool2d: row i of a grid of G
// takes the rows from floor(i H / G) to below ceil((i + 1) H / G); neighbours share a row that both touch.
// One invocation per element of y. Reference and tests: kernels-tests/pool.rs.
#import grid
#import pool/grid_cell

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [N, grid_height, grid_width, C]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn adaptive_forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let c = i % p.channels;
        let column = i / p.channels % p.grid_width;
        let row = i / p.channels / p.grid_width % p.grid_height;
        let image = i / p.channels / p.grid_width / p.grid_height;
        let top = first(row, p.grid_height, p.height);
        let bottom = past(row, p.grid_height, p.height);
        let left = first(column, p.grid_width, p.width);
        let right = past(column, p.grid_width, p.width);
        var sum = 0.0;
        for (var r = top; r < bottom; r++) {
            for (var k = left; k < right; k++) {
                sum += x[((image * p.height + r) * p.width + k) * p.channels + c];
            }
        }
        y[i] = sum / f32((bottom - top) * (right - left));
    }
}
