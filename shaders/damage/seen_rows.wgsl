// Of the damaged pixels in each row of each entry: the sum of how much they changed, full scale 1, each the mean
// over its channels; and their number.
// pixels: bytes [N, H, W, C], before; slots: [B]; damaged: bytes [B, H, W, C]; mask: [B, H, W];
// rows: [B, H] of both.
// One invocation per row. Reference and tests: kernels-tests/damage.rs.
#import grid
#import damage/bytes

const WG: u32 = 64u;

struct Params {
    batch: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read> damaged: array<u32>;
@group(0) @binding(3) var<storage, read> mask: array<f32>;
@group(0) @binding(4) var<storage, read_write> rows: array<vec2<f32>>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn seen_rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = workgroup_index(group, groups) * WG + lane;
    if (row < p.batch * p.height) {
        let image = row / p.height;
        let before = (slots[image] * p.height + row - image * p.height) * p.width * CHANNELS;
        let after = row * p.width * CHANNELS;
        var sum = 0u; // bytes: exact
        var count = 0u;
        for (var x = 0u; x < p.width; x++) {
            if (mask[row * p.width + x] > 0.5) {
                for (var k = x * CHANNELS; k < x * CHANNELS + CHANNELS; k++) {
                    let old = byte_of(pixels[(before + k) >> 2u], before + k);
                    let new_one = byte_of(damaged[(after + k) >> 2u], after + k);
                    sum += max(old, new_one) - min(old, new_one);
                }
                count++;
            }
        }
        rows[row] = vec2<f32>(f32(sum) / (255.0 * f32(CHANNELS)), f32(count));
    }
}
