// Stage 2: joins the runs of each column (Chan, Golub and LeVeque 1983). factor: 1 / sqrt(sum of squared
// deviations + n eps) over the n rows that count, 0 for fewer than two; share: [1], 1 / n.
// means, deviations: [runs, cols], sizes: [runs]; mean, factor: [cols].
// One invocation per column. Reference and tests: kernels-tests/barlow.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    cols: u32,
    runs: u32,
    eps: f32, // added to the variance
}

@group(0) @binding(0) var<storage, read> means: array<f32>;
@group(0) @binding(1) var<storage, read> deviations: array<f32>;
@group(0) @binding(2) var<storage, read> sizes: array<u32>;
@group(0) @binding(3) var<storage, read_write> mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> factor: array<f32>;
@group(0) @binding(5) var<storage, read_write> share: array<f32>;
@group(0) @binding(6) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn columns(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.cols) {
        var sum = 0.0;
        var rows = 0u;
        for (var c = 0u; c < p.runs; c++) {
            sum += f32(sizes[c]) * means[c * p.cols + i];
            rows += sizes[c];
        }
        let n = f32(max(rows, 1u));
        let of_column = sum / n;
        var squares = 0.0;
        for (var c = 0u; c < p.runs; c++) {
            let off = means[c * p.cols + i] - of_column;
            squares += deviations[c * p.cols + i] + f32(sizes[c]) * off * off;
        }
        mean[i] = of_column;
        factor[i] = select(1.0 / sqrt(squares + n * p.eps), 0.0, rows < 2u);
        if (i == 0u) {
            share[0] = 1.0 / n;
        }
    }
}
