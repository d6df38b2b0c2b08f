// y = (x - mean) factor in rows that count, else 0: columns of mean 0 and unit length.
// x, y: [rows, cols], valid: [rows], mean, factor: [cols], from columns.wgsl. Backward needs y and factor.
// One invocation per element. Reference and tests: kernels-tests/barlow.rs.
#import grid
#import barlow/counts

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
    cols: u32,
    has_valid: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> valid: array<f32>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> factor: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn standardise(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let d = i % p.cols;
        y[i] = select(0.0, (x[i] - mean[d]) * factor[d], counts(i / p.cols));
    }
}
