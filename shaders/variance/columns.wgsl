// Stage 2 of the variance term of VICReg (Bardes, Ponce and LeCun 2022, eq. 1): joins the runs of
// each column (Chan, Golub and LeVeque 1983), var = the unbiased variance over the n rows that count,
// spread = sqrt(var + 1e-4), hinge = max(0, target - spread). For backward it leaves the mean and
// slope = d loss / d z per unit of z - mean: -1 / (cols (n - 1) spread) below the target, else 0.
// Fewer than two rows have no variance, and cost nothing.
// means, deviations: [runs, cols], sizes: [runs] from partial.wgsl; mean, variance, slope, hinge: [cols].
// One invocation per column. Reference and tests: kernels-tests/variance.rs.
#import grid

const WG: u32 = 64u;
const EPS: f32 = 1e-4; // added to the variance

struct Params {
    cols: u32,
    runs: u32,
    goal: f32, // the target: that word is reserved in WGSL
}

@group(0) @binding(0) var<storage, read> means: array<f32>;
@group(0) @binding(1) var<storage, read> deviations: array<f32>;
@group(0) @binding(2) var<storage, read> sizes: array<u32>;
@group(0) @binding(3) var<storage, read_write> mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> variance: array<f32>;
@group(0) @binding(5) var<storage, read_write> slope: array<f32>;
@group(0) @binding(6) var<storage, read_write> hinge: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn columns(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let d = workgroup_index(group, groups) * WG + lane;
    if (d < p.cols) {
        var sum = 0.0;
        var rows = 0u;
        for (var c = 0u; c < p.runs; c++) {
            sum += f32(sizes[c]) * means[c * p.cols + d];
            rows += sizes[c];
        }
        let of_column = sum / f32(max(rows, 1u));
        var squares = 0.0;
        for (var c = 0u; c < p.runs; c++) {
            let off = means[c * p.cols + d] - of_column;
            squares += deviations[c * p.cols + d] + f32(sizes[c]) * off * off;
        }
        let free = f32(max(rows, 2u) - 1u);
        let of_rows = squares / free;
        let spread = sqrt(of_rows + EPS);
        // Asked this way, a spread that is NaN is not hidden.
        let above = rows < 2u || spread >= p.goal;
        mean[d] = of_column;
        variance[d] = of_rows;
        slope[d] = select(-1.0 / (f32(p.cols) * free * spread), 0.0, above);
        hinge[d] = select(p.goal - spread, 0.0, above);
    }
}
