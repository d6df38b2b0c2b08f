// grad = GT points G of each pair of channels: the adjoint of winograd_weight.wgsl. One
// invocation per channel of x and four of y. Reference and tests: kernels-tests/conv2d.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    pairs: u32, // C O / 4
}

@group(0) @binding(0) var<storage, read> points: array<vec4<f32>>; // [4, 4, C, O / 4]
@group(0) @binding(1) var<storage, read_write> grad: array<vec4<f32>>; // [3, 3, C, O / 4]
@group(0) @binding(2) var<uniform> p: Params;

fn load(line: u32, pair: u32) -> mat4x4<f32> {
    let at = line * 4u * p.pairs + pair;
    return mat4x4<f32>(points[at], points[at + p.pairs], points[at + 2u * p.pairs], points[at + 3u * p.pairs]);
}

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
    let a = load(0u, pair);
    let b = load(1u, pair);
    let c = load(2u, pair);
    let d = load(3u, pair);
    let even = 0.5 * (b + c);
    store(0u, pair, a + even);
    store(1u, pair, 0.5 * (b - c));
    store(2u, pair, even + d);
}
