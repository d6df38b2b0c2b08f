// Where labelled anomalies are anomalous: the mask that each entry of a batch came with, none elsewhere.
// masks: bytes [N, H, W], not 0 where marked, four to a word; slots: [B], the entry's mask, NONE without one;
// y: [B, H, W], 0 or 1.
// One invocation per pixel. Reference and tests: kernels-tests/damage.rs.
#import grid

const WG: u32 = 64u;
const NONE: u32 = 0xffffffffu;

struct Params {
    len: u32,  // B*H*W
    area: u32, // H*W
}

@group(0) @binding(0) var<storage, read> masks: array<u32>;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn marked(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let slot = slots[i / p.area];
        var mark = 0.0;
        if (slot != NONE) {
            let at = slot * p.area + i % p.area;
            mark = select(0.0, 1.0, (masks[at >> 2u] >> ((at & 3u) * 8u) & 255u) != 0u);
        }
        y[i] = mark;
    }
}
