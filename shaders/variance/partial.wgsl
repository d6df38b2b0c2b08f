// Stage 1 of the variances of columns: mean and sum of squared deviations from it, of `run` rows of
// one column. Two passes over a run that a cache holds: no difference of large sums is taken.
// z: [rows, cols], means, deviations: [runs, cols]. One invocation per run and column.
// Stage 2 is columns.wgsl. Reference and tests: kernels-tests/variance.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    run: u32, // rows per run; the last run may have fewer
    runs: u32,
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read_write> means: array<f32>;
@group(0) @binding(2) var<storage, read_write> deviations: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.runs * p.cols) {
        let first = i / p.cols * p.run;
        let last = min(first + p.run, p.rows);
        let d = i % p.cols;
        var sum = 0.0;
        for (var r = first; r < last; r++) {
            sum += z[r * p.cols + d];
        }
        let mean = sum / f32(last - first);
        var squares = 0.0;
        for (var r = first; r < last; r++) {
            let off = z[r * p.cols + d] - mean;
            squares += off * off;
        }
        means[i] = mean;
        deviations[i] = squares;
    }
}
