// Squared length of every row of b [S, D]: squares [S].
// One invocation per row. Reference and tests: kernels-tests/nearest.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    others: u32, // S
    dim: u32, // D
}

@group(0) @binding(0) var<storage, read> b: array<f32>;
@group(0) @binding(1) var<storage, read_write> squares: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn lengths(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let s = workgroup_index(group, groups) * WG + lane;
    if (s < p.others) {
        var sum = 0.0;
        for (var d = 0u; d < p.dim; d++) {
            sum += b[s * p.dim + d] * b[s * p.dim + d];
        }
        squares[s] = sum;
    }
}
