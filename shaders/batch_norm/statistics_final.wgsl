// Joins the chunks' means and sums of squared deviations (Chan, Golub and LeVeque 1983):
// mean = sum n_k mean_k / n; squares = sum squares_k + n_k (mean_k - mean)^2, with means counted from
// row 0's value. Gives the biased variance, by which the batch is normalised, and the unbiased one,
// which evaluation uses later.
// LANES invocations per channel. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params
#import lanes

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> row0: array<f32>;            // [channels]
@group(0) @binding(1) var<storage, read> partial_mean: array<f32>;    // [channels, chunks]
@group(0) @binding(2) var<storage, read> partial_squares: array<f32>; // [channels, chunks]
@group(0) @binding(3) var<storage, read_write> mean: array<f32>;      // [channels]
@group(0) @binding(4) var<storage, read_write> variance: array<f32>;  // [channels], biased
@group(0) @binding(5) var<storage, read_write> batch_mean: array<f32>; // [channels], mean again
@group(0) @binding(6) var<storage, read_write> batch_variance: array<f32>; // [channels], unbiased
@group(0) @binding(7) var<uniform> p: Params;

fn rows_of(chunk: u32) -> f32 {
    let left = p.rows - chunk * p.chunk_stride;
    return f32(min(p.chunk_rows, (left + p.row_stride - 1u) / p.row_stride));
}

@compute @workgroup_size(WG)
fn statistics_final(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = (workgroup_index(group, groups) * WG + lane) / LANES;
    // Surplus invocations repeat the last channel: all must reach the barriers.
    let c = min(channel, p.channels - 1u);
    let first = c * p.chunks;
    var sum = 0.0;
    for (var k = lane % LANES; k < p.chunks; k += LANES) {
        sum += rows_of(k) * partial_mean[first + k];
    }
    let n = f32(p.rows);
    let offset = lanes_sum(lane, sum) / n;
    var squares = 0.0;
    for (var k = lane % LANES; k < p.chunks; k += LANES) {
        let d = partial_mean[first + k] - offset;
        squares += partial_squares[first + k] + rows_of(k) * d * d;
    }
    squares = lanes_sum(lane, squares);
    if (channel < p.channels && lane % LANES == 0u) {
        let m = row0[c] + offset;
        mean[c] = m;
        variance[c] = squares / n;
        batch_mean[c] = m;
        batch_variance[c] = squares / f32(p.rows - 1u);
    }
}
