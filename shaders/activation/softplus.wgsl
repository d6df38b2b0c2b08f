// y = ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), elementwise: no exponential overflows, and what is far
// below 0 keeps its digits. Backward needs x only.
// One invocation per element. Reference and tests: kernels-tests/activation.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

// ln(1 + t) for t in 0..1, as 2 artanh(s) with s = t / (2 + t) <= 1/3 by its series, whose terms from s^15
// on are lost in rounding. log(1 + t) drops a small t, and WGSL lets log be off by 2^-21 near 1.
fn ln_1p(t: f32) -> f32 {
    let s = t / (2.0 + t);
    var sum = 0.0;
    for (var power = 13.0; power >= 1.0; power -= 2.0) {
        sum = sum * s * s + 1.0 / power;
    }
    return 2.0 * s * sum;
}

@compute @workgroup_size(WG)
fn softplus(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        // Not max: see relu.wgsl.
        y[i] = select(x[i], 0.0, x[i] < 0.0) + ln_1p(exp(-abs(x[i])));
    }
}
