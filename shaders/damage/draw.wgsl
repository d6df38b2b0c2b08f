// The random numbers of every damage: what kind, where, what it is filled with. Philox keyed by the seed,
// counting (image id, 0, step, purpose): a row depends on nothing else, so not on the batch.
// Lengths are in units of half the square root of the image's area; a change of brightness is for an image
// of deviation 0.2, with full scale at 1.
// counters: [4]: seed low, seed high, step, unused; ids: [B]; draws: [B, 16], as four vec4:
//   kind, soft edge 0 or 1, centre x, y (-1..1 over the image) | two sizes, cos, sin of the angle |
//   offset x, y (shares of the sides), from the next entry 0 or 1, contrast |
//   brightness, opacity, two integers below 2^24 that key the noise.
// One invocation per row. Reference and tests: kernels-tests/damage.rs.
#import grid
#import rng
#import damage/kinds

const WG: u32 = 64u;
const PURPOSE: u32 = 0x444D4700u; // "DMG" and the number of the block of four words

const CENTRE: f32 = 0.85; // greatest distance of a rectangle, scar or spot from the middle
const BLOB_CENTRE: f32 = 0.8;
const SOFT: f32 = 0.5;    // probability of a soft edge; spots are soft anyway

// Low and high end of uniform draws. "Log": of the logarithm, which is then uniform.
const RECTANGLE_AREA = vec2<f32>(0.02, 0.15);                 // share of the image
const RECTANGLE_LOG_ASPECT = vec2<f32>(-1.2039728, 1.1939225); // 0.3 to 3.3
const SCAR_LENGTH = vec2<f32>(0.12, 0.5);                     // half of it
const SCAR_LOG_WIDTH = vec2<f32>(-4.6051702, -2.5257286);     // half of it, 0.01 to 0.08
const SCAR_FLAT: f32 = 0.5;                                   // probability of no texture
const BLOB_SHARE = vec2<f32>(0.01, 0.12);                     // of the image's pixels
const BLOB_SIDES = vec4<f32>(3.0, 5.0, 8.0, 12.0);            // nodes of the lattice along a side
const BLOB_OTHER: f32 = 0.5;                                  // probability of the next entry's pixels
const SPOT_SIGMA = vec2<f32>(0.03, 0.15);
const SPOT_ASPECT = vec2<f32>(1.0, 3.0);

const OFFSET = vec2<f32>(0.2, 0.8);
const PATCH_CONTRAST = vec2<f32>(0.7, 1.3); // of rectangles and scars
const BLOB_CONTRAST = vec2<f32>(0.3, 1.5);
const BLOB_OPACITY = vec2<f32>(0.4, 1.0);
// Size of the change of brightness; its sign is drawn apart.
const PATCH_BRIGHTNESS = vec2<f32>(0.0, 0.15);
const FLAT_BRIGHTNESS = vec2<f32>(0.1, 0.5);
const BLOB_BRIGHTNESS = vec2<f32>(0.05, 0.3);
const SPOT_BRIGHTNESS = vec2<f32>(0.15, 0.6);

struct Params {
    batch: u32,
    kinds: u32, // bit k: kind k may be drawn
}

@group(0) @binding(0) var<storage, read> counters: array<u32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> draws: array<vec4<f32>>;
@group(0) @binding(3) var<uniform> p: Params;

fn between(range: vec2<f32>, word: u32) -> f32 {
    return mix(range.x, range.y, uniform01(word));
}

// One of the bits of `kinds`, all equally likely.
fn drawn_kind(kinds: u32, word: u32) -> u32 {
    var bits = kinds;
    for (var drop = u32(uniform01(word) * f32(countOneBits(kinds))); drop > 0u; drop--) {
        bits &= bits - 1u;
    }
    return firstTrailingBit(bits);
}

@compute @workgroup_size(WG)
fn draw(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.batch) {
        let seed = vec2<u32>(counters[0], counters[1]);
        let counter = vec4<u32>(ids[i], 0u, counters[2], PURPOSE);
        let a = philox(seed, counter);
        let b = philox(seed, counter + vec4<u32>(0u, 0u, 0u, 1u));
        let c = philox(seed, counter + vec4<u32>(0u, 0u, 0u, 2u));
        let d = philox(seed, counter + vec4<u32>(0u, 0u, 0u, 3u));

        let kind = drawn_kind(p.kinds, a.x);
        var soft = uniform01(a.y) < SOFT;
        var centre = CENTRE * (2.0 * vec2<f32>(uniform01(a.z), uniform01(a.w)) - 1.0);
        var sizes = vec2<f32>(0.0);
        var angle = 3.1415927 * (uniform01(b.z) - 0.5);
        var offset = vec2<f32>(between(OFFSET, c.x), between(OFFSET, c.y));
        var other = false;
        var contrast = between(PATCH_CONTRAST, c.z);
        var brightness = between(PATCH_BRIGHTNESS, c.w);
        var opacity = 1.0;
        if (kind == RECTANGLE) {
            let area = between(RECTANGLE_AREA, b.x);
            let aspect = exp(between(RECTANGLE_LOG_ASPECT, b.y));
            sizes = sqrt(vec2<f32>(area * aspect, area / aspect));
            angle = 0.0;
        } else if (kind == SCAR) {
            sizes = vec2<f32>(between(SCAR_LENGTH, b.x), exp(between(SCAR_LOG_WIDTH, b.y)));
            if (uniform01(b.w) < SCAR_FLAT) {
                contrast = 0.0;
                brightness = between(FLAT_BRIGHTNESS, c.w);
            }
        } else if (kind == BLOB) {
            centre *= BLOB_CENTRE / CENTRE;
            sizes = vec2<f32>(BLOB_SIDES[b.x >> 30u], between(BLOB_SHARE, b.y));
            angle = 0.0;
            other = uniform01(b.w) < BLOB_OTHER;
            if (!other) {
                offset = vec2<f32>(0.0);
            }
            contrast = between(BLOB_CONTRAST, c.z);
            brightness = between(BLOB_BRIGHTNESS, c.w);
            opacity = between(BLOB_OPACITY, d.y);
        } else {
            let sigma = between(SPOT_SIGMA, b.x);
            let aspect = sqrt(between(SPOT_ASPECT, b.y));
            sizes = vec2<f32>(sigma * aspect, sigma / aspect);
            soft = false;
            offset = vec2<f32>(0.0);
            contrast = 1.0;
            brightness = between(SPOT_BRIGHTNESS, c.w);
        }
        brightness *= select(1.0, -1.0, uniform01(d.x) < 0.5);

        let key = vec2<f32>(d.zw >> vec2<u32>(8u));
        draws[i * 4u] = vec4<f32>(f32(kind), select(0.0, 1.0, soft), centre);
        draws[i * 4u + 1u] = vec4<f32>(sizes, cos(angle), sin(angle));
        draws[i * 4u + 2u] = vec4<f32>(offset, select(0.0, 1.0, other), contrast);
        draws[i * 4u + 3u] = vec4<f32>(brightness, opacity, key);
    }
}
