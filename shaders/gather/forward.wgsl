// y[b*n + j, d] = x[view*B + b, index[b, j], d]: the sampled rows of one view. An index that is not below P
// gives a row of zeros. Backward needs the index only.
// One invocation per element of y. Reference and tests: kernels-tests/gather.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    view: u32,      // v
    images: u32,    // B
    positions: u32, // P
    count: u32,     // n, rows per image
    features: u32,  // D
    has_grad: u32,  // not used here
}

@group(0) @binding(0) var<storage, read> x: array<f32>; // [V*B, P, D]
@group(0) @binding(1) var<storage, read> index: array<u32>; // [B, n]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [B*n, D]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.images * p.count * p.features) {
        let row = i / p.features;
        let image = p.view * p.images + row / p.count;
        let at = index[row];
        var value = 0.0;
        if (at < p.positions) {
            value = x[(image * p.positions + at) * p.features + i % p.features];
        }
        y[i] = value;
    }
}
