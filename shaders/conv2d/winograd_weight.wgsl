// points = G w GT of each pair of channels: winograd.wgsl. `turned`: of w turned by 180 degrees, as the gradient of the
// input takes it. One invocation per channel of x and four of y. Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/winograd_store

const WG: u32 = 64u;

struct Params {
    pairs: u32, // C O / 4
    turned: u32,
}

#more_texels weight
@group(0) @binding(0) var<storage, read> weight: array<vec4<f32>>; // [3, 3, C, O / 4]
@group(0) @binding(1) var<storage, read_write> points: array<vec4<f32>>; // [4, 4, C, O / 4]
@group(0) @binding(2) var<uniform> p: Params;

// Row `down` of w, times GT.
fn row(down: u32, pair: u32) -> mat4x4<f32> {
    let tap = select(3u * down, 8u - 3u * down, p.turned == 1u);
    let step = select(1u, 0xffffffffu, p.turned == 1u);
    let a = weight[tap * p.pairs + pair];
    let b = weight[(tap + step) * p.pairs + pair];
    let c = weight[(tap + 2u * step) * p.pairs + pair];
    return mat4x4<f32>(a, 0.5 * (a + b + c), 0.5 * (a - b + c), c);
}

@compute @workgroup_size(WG)
fn winograd_weight(
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
    store_points(0u, pair, p.pairs, a);
    store_points(1u, pair, p.pairs, 0.5 * (a + b + c));
    store_points(2u, pair, p.pairs, 0.5 * (a - b + c));
    store_points(3u, pair, p.pairs, c);
}
