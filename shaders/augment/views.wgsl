// Augmented views: crop resampled to the view's size, flip, brightness, contrast, saturation in this
// order, cut to 0..1; then, unless a blur follows (BLURRED), noise, cut to 0..1, (v - mean) / std.
//   x <- b x;  x <- c x + (1 - c) m, m the view's mean grey level;  x <- s x + (1 - s) grey(x)
// pixels: bytes [N, H, W, C]; slots: [B]; statistics: [N, 2]; draws: [V*B, 16], see draw.wgsl;
// grey_means: [V*B], before brightness; y: [V*B, OH, OW, C].
// One invocation per `run` neighbouring pixels of a row. Reference and tests: kernels-tests/augment.rs.
#import grid
#import rng
#import sample

const WG: u32 = 64u;
const CONTRAST: u32 = 1u; // 0: no view changes its contrast, grey_means is not read
const NOISE_PURPOSE: u32 = 0x4E4F4953u; // "NOIS"; the same in views.wgsl and blur.wgsl
const NOISE: u32 = 1u;    // 0: no view has noise
const BLURRED: u32 = 0u;  // 1: the kernel of the blur adds the noise and normalises

struct Params {
    batch: u32,      // B
    views: u32,      // V*B
    height: u32,     // of the stored images
    width: u32,
    out_height: u32, // of the views
    out_width: u32,
    scale_y: f32,    // height / out_height
    scale_x: f32,
    run: u32,        // pixels per invocation
    runs: u32,       // per row
    mean_r: f32,
    mean_g: f32,
    mean_b: f32,
    std_r: f32,
    std_g: f32,
    std_b: f32,
}

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read> statistics: array<f32>;
@group(0) @binding(3) var<storage, read> draws: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> grey_means: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<uniform> p: Params;

fn jittered(x: vec3<f32>, factors: vec3<f32>, grey_mean: f32) -> vec3<f32> {
    // Written so that a factor of 1 changes no bit.
    var v = x * factors.x;
    if (CONTRAST == 1u) {
        v = v * factors.y + grey_mean * factors.x * (1.0 - factors.y);
    }
    if (CHANNELS == 3u) {
        v = v * factors.z + grey_level(v) * (1.0 - factors.z);
    }
    return clamp(v, vec3<f32>(0.0), vec3<f32>(1.0));
}

@compute @workgroup_size(WG)
fn views(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.views * p.out_height * p.runs) {
        let line = i / p.runs;
        let row = line % p.out_height;
        let view = line / p.out_height;
        let crop = draws[view * 4u];
        let flip = draws[view * 4u + 1u].x;
        let factors = draws[view * 4u + 2u];
        let noise = draws[view * 4u + 3u];
        let slot = slots[view % p.batch];
        var of_image = vec2<f32>(0.0, 1.0);
        if (STANDARDISE == 1u) {
            of_image = vec2<f32>(statistics[slot * 2u], statistics[slot * 2u + 1u]);
        }
        var grey_mean = 0.0;
        if (CONTRAST == 1u) {
            grey_mean = grey_means[view];
        }
        let step = crop.zw * vec2<f32>(p.scale_x, p.scale_y);
        let origin = crop.xy * vec2<f32>(f32(p.width), f32(p.height));
        let start = i % p.runs * p.run;
        let end = min(start + p.run, p.out_width);
        for (var column = start; column < end; column++) {
            let source = select(column, p.out_width - 1u - column, flip > 0.5);
            let centre = origin + (vec2<f32>(f32(source), f32(row)) + 0.5) * step;
            let first = slot * p.height * p.width;
            let radius = max(step, vec2<f32>(1.0));
            var v = sample_image(first, p.width, p.height, centre, radius, of_image);
            v = jittered(v, factors.xyz, grey_mean);
            if (BLURRED == 0u) {
                if (NOISE == 1u) {
                    let position = row * p.out_width + column;
                    let counter = vec4<u32>(position, u32(noise.w), 0u, NOISE_PURPOSE);
                    v += noise.x * normals(vec2<u32>(noise.yz), counter).xyz;
                }
                v = clamp(v, vec3<f32>(0.0), vec3<f32>(1.0));
                v = (v - vec3<f32>(p.mean_r, p.mean_g, p.mean_b))
                    / vec3<f32>(p.std_r, p.std_g, p.std_b);
            }
            let at = (line * p.out_width + column) * CHANNELS;
            y[at] = v.x;
            if (CHANNELS == 3u) {
                y[at + 1u] = v.y;
                y[at + 2u] = v.z;
            }
        }
    }
}
