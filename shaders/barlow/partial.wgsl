// Stage 1 of standardising the columns of x: mean and sum of squared deviations from it, of those of `run` rows
// of one column that count, and how many do. x: [rows, cols], valid: [rows], means, deviations: [runs, cols],
// sizes: [runs]. One invocation per run and column, twice over it. Stage 2 is columns.wgsl.
// Reference and tests: kernels-tests/barlow.rs.
#import grid
#import barlow/counts

const WG: u32 = 64u;

struct Params {
    rows: u32,
    cols: u32,
    run: u32, // rows per run; the last run may have fewer
    runs: u32,
    has_valid: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
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
                sum += x[r * p.cols + d];
                size++;
            }
        }
        // A run without a row that counts has a mean all the same, of no weight.
        let mean = sum / f32(max(size, 1u));
        var squares = 0.0;
        for (var r = first; r < last; r++) {
            if (counts(r)) {
                let off = x[r * p.cols + d] - mean;
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
