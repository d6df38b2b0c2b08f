// Chains of multiply-adds in registers: how fast arithmetic is. Twelve chains to an invocation, enough to hide their
// latency and few enough for the sixteen registers of AVX2:
//   a <- a factor + term, 16 times a round, from x[i] + (0, 1, 2)
// y[i]: the sum of the three vectors. x, y: [len] vectors. One invocation per vector.
// Reference and tests: kernels-tests/bounds.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // vectors
    rounds: u32,
    factor: f32,
    term: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

fn four(a: vec4<f32>, factor: vec4<f32>, term: vec4<f32>) -> vec4<f32> {
    let b = a * factor + term;
    let c = b * factor + term;
    let d = c * factor + term;
    return d * factor + term;
}

@compute @workgroup_size(WG)
fn multiply_add(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let factor = vec4<f32>(p.factor);
        let term = vec4<f32>(p.term);
        var a = x[i];
        var b = a + 1.0;
        var c = a + 2.0;
        for (var round = 0u; round < p.rounds; round++) {
            a = four(a, factor, term);
            b = four(b, factor, term);
            c = four(c, factor, term);
            a = four(a, factor, term);
            b = four(b, factor, term);
            c = four(c, factor, term);
            a = four(a, factor, term);
            b = four(b, factor, term);
            c = four(c, factor, term);
            a = four(a, factor, term);
            b = four(b, factor, term);
            c = four(c, factor, term);
        }
        y[i] = a + b + c;
    }
}
