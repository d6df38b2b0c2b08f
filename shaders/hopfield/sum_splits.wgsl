// grad_patterns = sum over s of partials[s], in order. One invocation per element. Tests:
// kernels-tests/hopfield.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    length: u32, // M D
    splits: u32, // S
}

@group(0) @binding(0) var<storage, read> partials: array<f32>; // [S, M, D]
@group(0) @binding(1) var<storage, read_write> grad_patterns: array<f32>; // [M, D]
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn sum_splits(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.length) {
        var sum = 0.0;
        for (var s = 0u; s < p.splits; s++) {
            sum += partials[s * p.length + i];
        }
        grad_patterns[i] = sum;
    }
}
