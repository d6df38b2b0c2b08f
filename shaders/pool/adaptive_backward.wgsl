// dL/dx of adaptive_forward.wgsl: every window spreads its gradient evenly over its area. Gathered: an
// element of x sums over the windows that hold it, at most two along each axis, in a fixed order.
// One invocation per element of x. Reference and tests: kernels-tests/pool.rs.
#import grid
#import pool/grid_cell

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> grad_y: array<f32>; // [N, grid_height, grid_width, C]
@group(0) @binding(1) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn adaptive_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let c = i % p.channels;
        let column = i / p.channels % p.width;
        let row = i / p.channels / p.width % p.height;
        let image = i / p.channels / p.width / p.height;
        let bottom = past(row, p.height, p.grid_height);
        let right = past(column, p.width, p.grid_width);
        var sum = 0.0;
        for (var r = first(row, p.height, p.grid_height); r < bottom; r++) {
            let rows = past(r, p.grid_height, p.height) - first(r, p.grid_height, p.height);
            for (var k = first(column, p.width, p.grid_width); k < right; k++) {
                let columns = past(k, p.grid_width, p.width) - first(k, p.grid_width, p.width);
                let at = ((image * p.grid_height + r) * p.grid_width + k) * p.channels + c;
                sum += grad_y[at] / f32(rows * columns);
            }
        }
        grad_x[i] = sum;
    }
}
