// One direction of Gaussian smoothing: y_i = sum_k w_k x_(i + k) / sum_k w_k, |k| <= radius,
// w_k = exp(-k^2 / (2 sigma^2)); beyond an end lies its own value again.
// x: [.., length, stride], smoothed along length; y as x.
// One invocation per element. Reference and tests: kernels-tests/gaussian.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32,    // elements
    length: u32, // of a line
    stride: u32, // elements between neighbours of a line
    radius: u32,
    sigma: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let at = i / p.stride % p.length;
        let start = i - at * p.stride;
        var sum = x[i];
        var total = 1.0;
        for (var k = 1u; k <= p.radius; k++) {
            let t = f32(k) / p.sigma;
            let weight = exp(-0.5 * t * t);
            let before = x[start + (at - min(at, k)) * p.stride];
            let after = x[start + min(at + k, p.length - 1u) * p.stride];
            sum += weight * (before + after);
            total += 2.0 * weight;
        }
        y[i] = sum / total;
    }
}
