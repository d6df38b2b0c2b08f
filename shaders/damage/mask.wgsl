// Which pixels are damaged, and how much of the damage each of them shows: the mask, for soft edges its mean
// over 3x3 pixels (those of the border repeated), for spots and lines the field itself; times the opacity.
// draws: [B, 16], see draw.wgsl; field: [B, H, W]; thresholds: [B]; mask: [B, H, W], 0 or 1;
// alpha: [B, H, W], 0 to 1.
// One invocation per pixel. Reference and tests: kernels-tests/damage.rs.
#import grid
#import damage/kinds

const WG: u32 = 64u;

struct Params {
    batch: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> draws: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> field: array<f32>;
@group(0) @binding(2) var<storage, read> thresholds: array<f32>;
@group(0) @binding(3) var<storage, read_write> mask_of: array<f32>;
@group(0) @binding(4) var<storage, read_write> alpha_of: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn mask(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let area = p.height * p.width;
    if (i < p.batch * area) {
        let image = i / area;
        let about = draws[image * 4u];
        let threshold = thresholds[image];
        let hard = select(0.0, 1.0, field[i] >= threshold);
        var alpha = hard;
        if (fades(u32(about.x))) {
            alpha = field[i];
        } else if (about.y > 0.5) {
            let y = (i - image * area) / p.width;
            let x = i - image * area - y * p.width;
            let left = max(x, 1u) - 1u;
            let right = min(x + 1u, p.width - 1u);
            var sum = 0.0;
            for (var k = 0u; k < 3u; k++) {
                let row = image * area + clamp(y + k, 1u, p.height) * p.width - p.width;
                let three = vec3<f32>(field[row + left], field[row + x], field[row + right]);
                sum += dot(vec3<f32>(three >= vec3<f32>(threshold)), vec3<f32>(1.0));
            }
            alpha = sum / 9.0;
        }
        mask_of[i] = hard;
        alpha_of[i] = alpha * draws[image * 4u + 3u].y;
    }
}
