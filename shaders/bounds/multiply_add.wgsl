// Multiply-adds in registers: how fast arithmetic is. Twelve chains to an invocation, enough to hide their latency and
// few enough for the sixteen registers of AVX2, from a = x[i], b = x[i] + 1 and c = x[i] + 2, 16 times a round
//   a, b, c <- a factor + b.yzwx, b factor + c.yzwx, c factor + a.yzwx
// Each step of a chain waits for that of another, so no compiler can put one whole chain after the other, of which a
// processor overlaps too few. y[i]: a + b + c. x, y: [len] vectors. One invocation per vector.
// Reference and tests: kernels-tests/bounds.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // vectors
    rounds: u32,
    factor: f32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

struct Chains {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
}

fn step(v: Chains, factor: vec4<f32>) -> Chains {
    return Chains(v.a * factor + v.b.yzwx, v.b * factor + v.c.yzwx, v.c * factor + v.a.yzwx);
}

fn four(v: Chains, factor: vec4<f32>) -> Chains {
    return step(step(step(step(v, factor), factor), factor), factor);
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
        var v = Chains(x[i], x[i] + 1.0, x[i] + 2.0);
        for (var round = 0u; round < p.rounds; round++) {
            v = four(four(four(four(v, factor), factor), factor), factor);
        }
        y[i] = v.a + v.b + v.c;
    }
}
