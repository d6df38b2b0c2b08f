// Barlow Twins (Zbontar et al. 2021, eq. 1), per element of the cross-correlation c: (1 - c)^2 on the diagonal,
// lambda c^2 elsewhere. c, terms: [D, D].
// One invocation per element. Reference and tests: kernels-tests/barlow.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    dim: u32, // D
    lambda: f32,
}

@group(0) @binding(0) var<storage, read> c: array<f32>;
@group(0) @binding(1) var<storage, read_write> terms: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn penalty(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.dim * p.dim) {
        let off = 1.0 - c[i];
        terms[i] = select(p.lambda * c[i] * c[i], off * off, i / p.dim == i % p.dim);
    }
}
