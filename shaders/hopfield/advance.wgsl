// next = sum (flag = 1: sum / |sum|), unless the query has stopped: then next = x. It stops with the step that
// changes none of its coordinates by more than the tolerance. The simple kernel: one invocation per query.
// Reference and tests: kernels-tests/hopfield.rs.
#import grid
#import hopfield/step_params

const WG: u32 = 64u;

@group(0) @binding(0) var<storage, read> x: array<f32>; // [R, D]
@group(0) @binding(1) var<storage, read> sum: array<f32>; // [R, D], weights times patterns
@group(0) @binding(2) var<storage, read_write> next: array<f32>; // [R, D]
@group(0) @binding(3) var<storage, read_write> record: array<u32>; // [R, 4 + L] slot steps entropy stopped norms
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn advance(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let r = workgroup_index(group, groups) * WG + lane;
    if (r < p.rows) {
        let row = r * p.features;
        let at = r * p.record;
        let stopped = p.step > 0u && record[at + 3u] != 0u;
        var squares = 0.0;
        for (var d = 0u; d < p.features; d++) {
            squares += sum[row + d] * sum[row + d];
        }
        let length = sqrt(squares);
        let over = select(1.0, max(length, 1e-12), p.flag != 0u);
        var change = 0.0;
        for (var d = 0u; d < p.features; d++) {
            let value = select(sum[row + d] / over, x[row + d], stopped);
            change = max(change, abs(value - x[row + d]));
            next[row + d] = value;
        }
        if (!stopped) {
            record[at + 1u] = p.step + 1u;
            record[at + 3u] = u32(p.tolerance > 0.0 && change <= p.tolerance);
            record[at + min(4u + p.step, p.record - 1u)] = bitcast<u32>(length);
        }
    }
}
