// Stage 2 of Lloyd's update: the mean of each centre's rows, joined from the runs of partial.wgsl in their order;
// a centre without rows stays. sums: [runs, M, cols], sizes: [runs, M]; before, centres: [M, cols]; counts: [M].
// One invocation per element of the centres. Reference and tests: kernels-tests/kmeans.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    cols: u32,
    centres: u32, // M
    runs: u32,
}

@group(0) @binding(0) var<storage, read> sums: array<f32>;
@group(0) @binding(1) var<storage, read> sizes: array<u32>;
@group(0) @binding(2) var<storage, read> before: array<f32>;
@group(0) @binding(3) var<storage, read_write> centres: array<f32>;
@group(0) @binding(4) var<storage, read_write> counts: array<u32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn update(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.centres * p.cols) {
        let m = i / p.cols;
        var sum = 0.0;
        var rows = 0u;
        for (var run = 0u; run < p.runs; run++) {
            sum += sums[run * p.centres * p.cols + i];
            rows += sizes[run * p.centres + m];
        }
        centres[i] = select(sum / f32(max(rows, 1u)), before[i], rows == 0u);
        if (i % p.cols == 0u) {
            counts[m] = rows;
        }
    }
}
