// statistics.wgsl with four neighbouring channels per invocation, for channels a multiple of 4.
// One invocation per four channels and chunk. Reference and tests: kernels-tests/batch_norm.rs.
#import grid
#import batch_norm/params

const WG: u32 = 64u;

#texels x
#half x
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partial_mean: array<f32>;    // [channels, chunks]
@group(0) @binding(2) var<storage, read_write> partial_squares: array<f32>; // [channels, chunks]
@group(0) @binding(3) var<storage, read_write> row0: array<vec4<f32>>;      // [channels]: x's first row
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn statistics_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let quads = p.channels / 4u;
    if (i < quads * p.chunks) {
        let c = i % quads;
        let chunk = i / quads;
        let first = chunk * p.chunk_stride;
        let count = rows_of_chunk(first);
        let shift = x[first * quads + c];
        var sum = vec4<f32>();
        var squares = vec4<f32>();
        for (var k = 1u; k < count; k++) {
            let d = x[(first + k * p.row_stride) * quads + c] - shift;
            sum += d;
            squares += d * d;
        }
        let offset = sum / f32(count);
        // Counted from row 0's value: the chunks' means differ by little, and that must not be lost.
        let mean = (shift - x[c]) + offset;
        let deviations = max(squares - sum * offset, vec4<f32>());
        let at = 4u * c * p.chunks + chunk;
        partial_mean[at] = mean.x;
        partial_mean[at + p.chunks] = mean.y;
        partial_mean[at + 2u * p.chunks] = mean.z;
        partial_mean[at + 3u * p.chunks] = mean.w;
        partial_squares[at] = deviations.x;
        partial_squares[at + p.chunks] = deviations.y;
        partial_squares[at + 2u * p.chunks] = deviations.z;
        partial_squares[at + 3u * p.chunks] = deviations.w;
        if (chunk == 0u) {
            row0[c] = x[c];
        }
    }
}
