// y = dot(a_r, b_s) / (max(|a_r|, EPS) max(|b_s|, EPS)) of all pairs of rows, with EPS as
// torch.nn.functional.cosine_similarity. a: [rows, dims], b: [others, dims], y: [rows, others].
// Backward needs a, b, y and the norms. One invocation per pair.
// Reference and tests: kernels-tests/cosine.rs.
#import grid

const WG: u32 = 64u;
const EPS: f32 = 1e-8;

struct Params {
    rows: u32,
    others: u32,
    dims: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> norm_a: array<f32>;
@group(0) @binding(3) var<storage, read> norm_b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.rows * p.others) {
        let r = i / p.others;
        let s = i % p.others;
        var dot = 0.0;
        for (var d = 0u; d < p.dims; d++) {
            dot += a[r * p.dims + d] * b[s * p.dims + d];
        }
        y[i] = dot / (max(norm_a[r], EPS) * max(norm_b[s], EPS));
    }
}
