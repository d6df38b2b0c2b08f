// grad = GT points G of each pair of channels: the adjoint of winograd4_weight.wgsl. One invocation per channel of x and
// four of y. Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/winograd4_load

const WG: u32 = 64u;

struct Params {
    pairs: u32, // C O / 4
}

#more_texels points
@group(0) @binding(0) var<storage, read> points: array<vec4<f32>>; // [6, 6, C, O / 4]
@group(0) @binding(1) var<storage, read_write> grad: array<vec4<f32>>; // [3, 3, C, O / 4]
@group(0) @binding(2) var<uniform> p: Params;

// GT v.
fn taps_of(v: array<vec4<f32>, 6>) -> mat3x4<f32> {
    let near = (v[1] + v[2]) / 6.0;
    let far = v[3] + v[4];
    return mat3x4<f32>(
        0.25 * v[0] - near + far / 24.0, (v[2] - v[1]) / 6.0 + (v[3] - v[4]) / 12.0, far / 6.0 - near + v[5],
    );
}

// Row `down` of grad.
fn store(down: u32, pair: u32, v: mat3x4<f32>) {
    let at = 3u * down * p.pairs + pair;
    grad[at] = v[0];
    grad[at + p.pairs] = v[1];
    grad[at + 2u * p.pairs] = v[2];
}

@compute @workgroup_size(WG)
fn winograd4_weight_grad(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let pair = workgroup_index(group, groups) * WG + lane;
    if (pair >= p.pairs) {
        return;
    }
    let a = taps_of(load_column(0u, pair, p.pairs));
    let b = taps_of(load_column(1u, pair, p.pairs));
    let c = taps_of(load_column(2u, pair, p.pairs));
    let d = taps_of(load_column(3u, pair, p.pairs));
    let e = taps_of(load_column(4u, pair, p.pairs));
    let f = taps_of(load_column(5u, pair, p.pairs));
    store(0u, pair, taps_of(array(a[0], b[0], c[0], d[0], e[0], f[0])));
    store(1u, pair, taps_of(array(a[1], b[1], c[1], d[1], e[1], f[1])));
    store(2u, pair, taps_of(array(a[2], b[2], c[2], d[2], e[2], f[2])));
}
