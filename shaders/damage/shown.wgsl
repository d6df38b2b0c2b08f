// Whether a view shows what its label says: 1 where its image's damage is seen and at least LEAST of the view is
// damaged, and where no damage was asked for; else 0.
// shares: [V*B], see cover.wgsl, of maps of one cell; seen, chosen: [B]; shown: [V*B].
// One invocation per view. Reference and tests: kernels-tests/damage.rs.
#import grid

const WG: u32 = 64u;
const LEAST: f32 = 0.002;

struct Params {
    views: u32, // V*B
    batch: u32, // B
}

@group(0) @binding(0) var<storage, read> shares: array<f32>;
@group(0) @binding(1) var<storage, read> seen: array<f32>;
@group(0) @binding(2) var<storage, read> chosen: array<f32>;
@group(0) @binding(3) var<storage, read_write> shown_in: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn shown(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.views) {
        let image = i % p.batch;
        let shows = shares[i] >= LEAST && seen[image] != 0.0;
        shown_in[i] = select(0.0, 1.0, shows || chosen[image] <= 0.5);
    }
}
