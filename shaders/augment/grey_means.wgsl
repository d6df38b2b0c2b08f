// Mean grey level of each view from the sums of its rows, added in order.
// sums: [V*B, OH]; means: [V*B]. One invocation per view.
// Reference and tests: kernels-tests/augment.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    views: u32,      // V*B
    out_height: u32, // rows
    out_width: u32,
}

@group(0) @binding(0) var<storage, read> sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> means: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn grey_means(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let view = workgroup_index(group, groups) * WG + lane;
    if (view < p.views) {
        var sum = 0.0;
        for (var row = 0u; row < p.out_height; row++) {
            sum += sums[view * p.out_height + row];
        }
        means[view] = sum / f32(p.out_height * p.out_width);
    }
}
