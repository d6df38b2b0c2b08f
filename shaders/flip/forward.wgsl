// Maps flipped: y(n, r, c, k) = x(n, H-1-r or r, W-1-c or c, k). Its own inverse, and its own gradient.
// x, y: [N, H, W, C]. One invocation per element. Reference and tests: kernels-tests/flip.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
    height: u32,
    width: u32,
    channels: u32,
    rows: u32,    // 1: the first row becomes the last
    columns: u32, // 1: the first column becomes the last
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let channel = i % p.channels;
        let pixel = i / p.channels;
        let column = pixel % p.width;
        let row = pixel / p.width % p.height;
        let image = pixel / p.width / p.height;
        let from_row = select(row, p.height - 1u - row, p.rows != 0u);
        let from_column = select(column, p.width - 1u - column, p.columns != 0u);
        y[i] = x[((image * p.height + from_row) * p.width + from_column) * p.channels + channel];
    }
}
