// grad_x[view*B + b, p, d] = sum over j with index[b, j] = p of grad_y[b*n + j, d], in the order of j; zero
// for positions that were not sampled and for a view that the loss does not depend on (has_grad = 0).
// Writes the B*P*D elements of its view. One invocation per element. Reference and tests:
// kernels-tests/gather.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    view: u32,      // v
    images: u32,    // B
    positions: u32, // P
    count: u32,     // n, rows per image
    features: u32,  // D
    has_grad: u32,  // 0: write zeros
}

@group(0) @binding(0) var<storage, read> grad_y: array<f32>; // [B*n, D]
@group(0) @binding(1) var<storage, read> list: array<u32>; // [B, P + n], from links.wgsl
@group(0) @binding(2) var<storage, read_write> grad_x: array<f32>; // [V*B, P, D]
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let size = p.images * p.positions * p.features;
    if (i < size) {
        let at = i / p.features;
        let image = at / p.positions;
        let links = image * (p.positions + p.count);
        var sum = 0.0;
        if (p.has_grad != 0u) {
            var j = list[links + at % p.positions];
            while (j < p.count) {
                sum += grad_y[(image * p.count + j) * p.features + i % p.features];
                j = list[links + p.positions + j];
            }
        }
        grad_x[p.view * size + i] = sum;
    }
}
