// Whether an entry's damage can be seen: 1 where its pixels changed by more than LEAST of the image's deviation
// on average, and where no damage was asked for; else 0.
// rows: [B, H], see seen_rows.wgsl; statistics: [N, 2], mean and deviation; slots, chosen, seen: [B].
// One invocation per entry, which adds its rows in order. Reference and tests: kernels-tests/damage.rs.
#import grid

const WG: u32 = 64u;
const LEAST: f32 = 0.4;

struct Params {
    batch: u32,
    height: u32,
}

@group(0) @binding(0) var<storage, read> rows: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> chosen: array<f32>;
@group(0) @binding(4) var<storage, read_write> seen_of: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn seen(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.batch) {
        var total = vec2<f32>(0.0);
        for (var row = i * p.height; row < (i + 1u) * p.height; row++) {
            total += rows[row];
        }
        // Not `>=`: an image of one value changes by 0.
        let shows = total.x > LEAST * statistics[slots[i]].y * total.y;
        seen_of[i] = select(0.0, 1.0, shows || chosen[i] <= 0.5);
    }
}
