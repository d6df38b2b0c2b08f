// Mean, and sum of squared differences from it, of the values (0..1, all channels) of each row of each
// stored image. The byte sum is exact; differences from the row's own mean lose no digits.
// pixels: bytes [N, H, row_len]; rows: [N*H, 2].
// One invocation per row. Reference and tests: kernels-tests/augment.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32,    // N * H
    row_len: u32, // W * C values
}

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read_write> rows: array<vec2<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

fn value(index: u32) -> u32 {
    return (pixels[index >> 2u] >> ((index & 3u) * 8u)) & 255u;
}

@compute @workgroup_size(WG)
fn statistics_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups) * WG + lane;
    if (row < p.rows) {
        let first = row * p.row_len;
        var sum = 0u;
        for (var i = 0u; i < p.row_len; i++) {
            sum += value(first + i);
        }
        let mean = f32(sum) / (255.0 * f32(p.row_len));
        var squares = 0.0;
        for (var i = 0u; i < p.row_len; i++) {
            let difference = f32(value(first + i)) / 255.0 - mean;
            squares += difference * difference;
        }
        rows[row] = vec2<f32>(mean, squares);
    }
}
