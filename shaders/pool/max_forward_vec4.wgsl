// max_forward.wgsl with four neighbouring channels per invocation, for channels a multiple of 4.
// One invocation per four elements of y. Reference and tests: kernels-tests/pool.rs.
#import grid
#import pool/window

const WG: u32 = 64u;

#texels x
#half x, y
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;     // [N, out_height, out_width, C]
@group(0) @binding(2) var<storage, read_write> place: array<vec4<u32>>; // as y
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn max_forward_vec4(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let channels = p.channels / 4u;
        let c = i % channels;
        let w = window_of(i, channels);
        let rows = w.image * p.height - p.padding;
        var best = x[((rows + w.row_start) * p.width + w.column_start - p.padding) * channels + c];
        var found = vec4<u32>((w.row_start - w.row) * p.kernel_width + w.column_start - w.column);
        for (var r = w.row_start; r < w.row_end; r++) {
            for (var k = w.column_start; k < w.column_end; k++) {
                let value = x[((rows + r) * p.width + k - p.padding) * channels + c];
                let better = value > best;
                best = select(best, value, better);
                found = select(found, vec4<u32>((r - w.row) * p.kernel_width + k - w.column), better);
            }
        }
        y[i] = best;
        place[i] = found;
    }
}
