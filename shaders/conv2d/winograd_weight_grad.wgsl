// grad = GT points G of each pair of channels: the adjoint of winograd_weight.wgsl. One
// invocation per channel of x and four of y. Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/winograd_load

const WG: u32 = 64u;

struct Params {
    pairs: u32, // C O / 4
}

#more_texels points
@group(0) @binding(0) var<storage, read> points: array<vec4<f32>>; // [4, 4, C, O / 4]
@group(0) @binding(1) var<storage, read_write> grad: array<vec4<f32>>; // [3, 3, C, O / 4]
@group(0) @binding(2) var<uniform> p: Params;

// Row `down` of grad from v, the four points of its columns.
fn store(down: u32, pair: u32, v: mat4x4<f32>) {
    let at = 3u * down * p.pairs + pair;
    let even = 0.5 * (v[1] + v[2]);
    grad[at] = v[0] + even;
    grad[at + p.pairs] = 0.5 * (v[1] - v[2]);
    grad[at + 2u * p.pairs] = even + v[3];
}

@compute @workgroup_size(WG)
fn winograd_weight_grad(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pair = workgroup_index(group, groups) * WG + lane;
    if (pair >= p.pairs) {
        return;
    }
    let a = load_points(0u, pair, p.pairs);
    let b = load_points(1u, pair, p.pairs);
    let c = load_points(2u, pair, p.pairs);
    let d = load_points(3u, pair, p.pairs);
    let even = 0.5 * (b + c);
    store(0u, pair, a + even);
    store(1u, pair, 0.5 * (b - c));
    store(2u, pair, even + d);
}
