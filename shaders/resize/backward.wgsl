// dL/dx of bilinear resizing along one axis: its transpose. Gathered: an element of grad_x sums the
// gradients of the outputs that read it, times the weights they read it with, in a fixed order.
// Both axes are two launches, which costs far less than one over the pairs of outputs.
// One invocation per element of grad_x. Reference and tests: kernels-tests/resize.rs.
#import grid
#import resize/taps

const WG: u32 = 64u;

struct Params {
    len: u32,      // elements of grad_x
    from_len: u32, // of x along the axis
    to_len: u32,   // of y along the axis
    inner: u32,    // elements between neighbours along the axis
}

@group(0) @binding(0) var<storage, read> grad_y: array<f32>; // [.., to_len, inner]
@group(0) @binding(1) var<storage, read_write> grad_x: array<f32>; // [.., from_len, inner]
@group(0) @binding(2) var<uniform> p: Params;

// The weight with which output place i reads input place `at`.
fn weight_of(at: u32, i: u32, from_len: u32, to_len: u32) -> f32 {
    let t = taps(i, from_len, to_len);
    return select(0.0, 1.0 - t.weight, t.low == at) + select(0.0, t.weight, t.high == at);
}

// The first output place that may read input place `at`, and one past the last.
fn first_of(at: u32, from_len: u32, to_len: u32) -> u32 {
    return (max(2u * at, 1u) - 1u) * to_len / from_len / 2u;
}

fn end_of(at: u32, from_len: u32, to_len: u32) -> u32 {
    return min(to_len, (2u * at + 3u) * to_len / from_len / 2u + 1u);
}

@compute @workgroup_size(WG)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let at = i / p.inner % p.from_len;
        let start = i / p.inner / p.from_len * p.to_len * p.inner + i % p.inner;
        let end = end_of(at, p.from_len, p.to_len);
        var sum = 0.0;
        for (var k = first_of(at, p.from_len, p.to_len); k < end; k++) {
            sum += grad_y[start + k * p.inner] * weight_of(at, k, p.from_len, p.to_len);
        }
        grad_x[i] = sum;
    }
}
