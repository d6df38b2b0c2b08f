// Stage 1 of the variances of columns: mean and sum of squared deviations from it, of those of `run` rows of
// one column that count, and how many do. Two passes over a run that a cache holds: no difference of large
// sums is taken. z: [rows, cols], valid: [rows / per], means, deviations: [runs, cols], sizes: [runs].
// One invocation per run and column. Stage 2 is columns.wgsl. Reference and tests: kernels-tests/variance.rs.
#import grid
#import variance/counts

const WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    run: u32, // rows per run; the last run may have fewer
    runs: u32,
    per: u32, // rows per value of valid; 0: there is none, every row counts
}

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> valid: array<f32>;
@group(0) @binding(2) var<storage, read_write> means: array<f32>;
@group(0) @binding(3) var<storage, read_write> deviations: array<f32>;
@group(0) @binding(4) var<storage, read_write> sizes: array<u32>;
@group(0) @binding(5) var<uniform> p: Params;

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
        var size = 0u;
        for (var r = first; r < last; r++) {
            if (counts(r)) {
                sum += z[r * p.cols + d];
                size++;
            }
        }
        // A run without a row that counts has a mean all the same, of no weight.
        let mean = sum / f32(max(size, 1u));
        var squares = 0.0;
        for (var r = first; r < last; r++) {
            if (counts(r)) {
                let off = z[r * p.cols + d] - mean;
                squares += off * off;
            }
        }
        means[i] = mean;
        deviations[i] = squares;
        if (d == 0u) {
            sizes[i / p.cols] = size;
        }
    }
}
