// backward.wgsl where the columns are a multiple of 4: a vector holds four neighbouring columns.
// One invocation per vector. Reference and tests: kernels-tests/variance.rs.
#import grid
#import variance/counts

const WG: u32 = 64u;

struct Params {
    len: u32, // vectors
    cols: u32, // in vectors
    per: u32, // rows per value of valid; 0: there is none, every row counts
}

@group(0) @binding(0) var<storage, read> grad: array<f32>;
@group(0) @binding(1) var<storage, read> z: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> valid: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> slope: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> grad_z: array<vec4<f32>>;
@group(0) @binding(6) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let d = i % p.cols;
        let here = grad[0] * slope[d] * (z[i] - mean[d]);
        grad_z[i] = select(vec4<f32>(0.0), here, counts(i / p.cols));
    }
}
