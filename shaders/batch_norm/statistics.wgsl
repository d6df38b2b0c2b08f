// Mean and sum of squared deviations of one channel over one chunk of rows, of x: [rows, channels].
// The values are shifted by the chunk's first one, so that the subtraction of squares loses nothing
// when the mean is far from 0 (Chan, Golub and LeVeque 1983). statistics_final joins the chunks.
// One invocation per channel and chunk. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial_mean: array<f32>;    // [channels, chunks]
@group(0) @binding(2) var<storage, read_write> partial_squares: array<f32>; // [channels, chunks]
@group(0) @binding(3) var<storage, read_write> row0: array<f32>;            // [channels]: x's first row
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn statistics(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.channels * p.chunks) {
        let c = i % p.channels;
        let chunk = i / p.channels;
        let first = chunk * p.chunk_stride;
        let count = rows_of_chunk(first);
        let shift = x[first * p.channels + c];
        var sum = 0.0;
        var squares = 0.0;
        for (var k = 1u; k < count; k++) {
            let d = x[(first + k * p.row_stride) * p.channels + c] - shift;
            sum += d;
            squares += d * d;
        }
        let offset = sum / f32(count);
        // Counted from row 0's value: the chunks' means differ by little, and that must not be lost.
        partial_mean[c * p.chunks + chunk] = (shift - x[c]) + offset;
        partial_squares[c * p.chunks + chunk] = max(squares - sum * offset, 0.0);
        if (chunk == 0u) {
            row0[c] = x[c];
        }
    }
}
