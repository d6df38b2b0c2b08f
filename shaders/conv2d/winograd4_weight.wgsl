// points = G w GT of each pair of channels, for tiles of 4 x 4 pixels. `turned`: of w turned by 180 degrees, as the
// gradient of the input takes it. One invocation per channel of x and four of y.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/winograd4_store

const WG: u32 = 64u;

struct Params {
    pairs: u32, // C O / 4
    turned: u32,
}

#more_texels weight
@group(0) @binding(0) var<storage, read> weight: array<vec4<f32>>; // [3, 3, C, O / 4]
@group(0) @binding(1) var<storage, read_write> points: array<vec4<f32>>; // [6, 6, C, O / 4]
@group(0) @binding(2) var<uniform> p: Params;

// G (a, b, c).
fn points_of(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>) -> array<vec4<f32>, 6> {
    let even = -(a + c) / 6.0;
    let far = a / 24.0 + c / 6.0;
    return array(0.25 * a, even - b / 6.0, even + b / 6.0, far + b / 12.0, far - b / 12.0, c);
}

// Row `down` of w, times GT.
fn row(down: u32, pair: u32) -> array<vec4<f32>, 6> {
    let tap = select(3u * down, 8u - 3u * down, p.turned == 1u);
    let step = select(1u, 0xffffffffu, p.turned == 1u);
    return points_of(
        weight[tap * p.pairs + pair], weight[(tap + step) * p.pairs + pair], weight[(tap + 2u * step) * p.pairs + pair],
    );
}

@compute @workgroup_size(WG)
fn winograd4_weight(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pair = workgroup_index(group, groups) * WG + lane;
    if (pair >= p.pairs) {
        return;
    }
    let a = row(0u, pair);
    let b = row(1u, pair);
    let c = row(2u, pair);
    store_column(0u, pair, p.pairs, points_of(a[0], b[0], c[0]));
    store_column(1u, pair, p.pairs, points_of(a[1], b[1], c[1]));
    store_column(2u, pair, p.pairs, points_of(a[2], b[2], c[2]));
    store_column(3u, pair, p.pairs, points_of(a[3], b[3], c[3]));
    store_column(4u, pair, p.pairs, points_of(a[4], b[4], c[4]));
    store_column(5u, pair, p.pairs, points_of(a[5], b[5], c[5]));
}
