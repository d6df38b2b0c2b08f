// The random numbers of every view: crop, flip, jitter, blur, noise (after SimCLR, Chen et al. 2020,
// appendix A). Philox keyed by the seed, counting (image id, view, step, purpose): a row depends on
// nothing else, so not on the batch.
//   area uniform in crop_min..crop_max, aspect log-uniform in 3/4..4/3 as far as the crop then fits
//   into the image (both relative to the image's own), place uniform among those inside.
// counters: [4]: seed low, seed high, step, unused; ids: [B]; draws: [V*B, 16], as four vec4:
//   x0, y0, width, height (shares of the image) | flip 0 or 1, 0, 0, 0 |
//   factors of brightness, contrast, saturation, blur sigma in pixels (0 = none) |
//   noise amplitude, three integers below 2^24 that key the noise.
// One invocation per row. Reference and tests: kernels-tests/augment.rs.
#import grid
#import rng

const WG: u32 = 64u;
const PURPOSE: u32 = 0x41554700u; // "AUG" and the number of the block of four words

struct Params {
    batch: u32,
    views: u32,
    crop_min: f32,
    crop_max: f32,
    flip: f32,
    jitter_p: f32,
    brightness: f32,
    contrast: f32,
    saturation: f32,
    blur_p: f32,
    sigma_min: f32,
    sigma_max: f32,
    noise: f32,
}

@group(0) @binding(0) var<storage, read> counters: array<u32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> draws: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn draw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.batch * p.views) {
        let seed = vec2<u32>(counters[0], counters[1]);
        let counter = vec4<u32>(ids[i % p.batch], i / p.batch, counters[2], PURPOSE);
        let a = philox(seed, counter);
        let b = philox(seed, counter + vec4<u32>(0u, 0u, 0u, 1u));
        let c = philox(seed, counter + vec4<u32>(0u, 0u, 0u, 2u));
        let d = philox(seed, counter + vec4<u32>(0u, 0u, 0u, 3u));

        let area = mix(p.crop_min, p.crop_max, uniform01(a.x));
        let drawn = exp((2.0 * uniform01(a.y) - 1.0) * 0.28768207); // ln(4/3)
        let aspect = clamp(drawn, area, 1.0 / area);
        let side = min(sqrt(vec2<f32>(area * aspect, area / aspect)), vec2<f32>(1.0));
        let corner = vec2<f32>(uniform01(a.z), uniform01(a.w)) * (1.0 - side);
        draws[i * 4u] = vec4<f32>(corner, side);

        let flip = select(0.0, 1.0, uniform01(b.x) < p.flip);
        draws[i * 4u + 1u] = vec4<f32>(flip, 0.0, 0.0, 0.0);

        let drawn_factors = vec3<f32>(uniform01(b.z), uniform01(b.w), uniform01(c.x)) * 2.0 - 1.0;
        let change = vec3<f32>(p.brightness, p.contrast, p.saturation) * drawn_factors;
        let factors = 1.0 + select(vec3<f32>(0.0), change, uniform01(b.y) < p.jitter_p);
        let sigma = mix(p.sigma_min, p.sigma_max, uniform01(c.z));
        let blur = select(0.0, sigma, uniform01(c.y) < p.blur_p);
        draws[i * 4u + 2u] = vec4<f32>(factors, blur);

        let key = vec3<f32>(d.xyz >> vec3<u32>(8u));
        draws[i * 4u + 3u] = vec4<f32>(uniform01(c.w) * p.noise, key);
    }
}
