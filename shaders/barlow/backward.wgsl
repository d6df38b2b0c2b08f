// grad_x = (grad_y - mean - y dot) factor in rows that count, else 0: the gradient of standardise.wgsl.
// grad_y, y, grad_x: [rows, cols], valid: [rows]; mean, dot: [cols], from backward_columns.wgsl; factor: [cols].
// One invocation per element. Reference and tests: kernels-tests/barlow.rs.
#import grid
#import barlow/counts

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
    cols: u32,
    has_valid: u32,
}

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> valid: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> dot: array<f32>;
@group(0) @binding(5) var<storage, read> factor: array<f32>;
@group(0) @binding(6) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let d = i % p.cols;
        let here = (grad_y[i] - mean[d] - y[i] * dot[d]) * factor[d];
        grad_x[i] = select(0.0, here, counts(i / p.cols));
    }
}
