// The random numbers of every damage: what kind, where, what it is filled with. Philox keyed by the seed,
// counting (image id, 0, step, purpose): a row depends on nothing else, so not on the batch.
// Lengths are in units of half the square root of the image's area; a change of brightness is for an image
// of deviation 0.2, with full scale at 1.
// counters: [4]: seed low, seed high, step, unused; ids: [B]; draws: [B, 16], as four vec4:
//   kind, edge, centre x, y (-1..1 over the image) | two sizes, cos, sin of the angle |
//   offset x, y (shares of the sides) or reach of a smear, from the next entry 0 or 1, contrast |
//   brightness, opacity, two integers below 2^24 that key the noise, or for lines the segments and the second.
// One invocation per row. Reference and tests: kernels-tests/damage.rs.
#import grid
#import rng
#import damage/kinds

const WG: u32 = 64u;
const PURPOSE: u32 = 0x444D4700u; // "DMG" and the number of the block of four words

const CENTRE: f32 = 0.85; // greatest distance of all but blobs from the middle
const BLOB_CENTRE: f32 = 0.8;
const SOFT: f32 = 0.5;    // probability of a soft edge, but of spots and lines, which are soft anyway

// Low and high end of uniform draws. "Log": of the logarithm, which is then uniform.
const RECTANGLE_LOG_AREA = vec2<f32>(-5.2983174, -1.8971200); // share of the image, 0.005 to 0.15
const RECTANGLE_LOG_ASPECT = vec2<f32>(-1.2039728, 1.1939225); // 0.3 to 3.3
const SCAR_LENGTH = vec2<f32>(0.12, 0.5);                     // half of it
const SCAR_LOG_WIDTH = vec2<f32>(-3.9120230, -2.5257286);     // half of it, 0.02 to 0.08
const BLOB_LOG_SHARE = vec2<f32>(-5.5214609, -2.1202635);     // of the image's pixels, 0.004 to 0.12
const BLOB_SIDES = vec4<f32>(3.0, 5.0, 8.0, 12.0);            // nodes of the lattice along a side
const BLOB_OTHER: f32 = 0.5;                                  // probability of the next entry's pixels
const SPOT_LOG_RADIUS = vec2<f32>(-2.9957323, -0.2231436);    // 0.05 to 0.8
const SPOT_LOG_ASPECT = vec2<f32>(0.0, 0.9162907);            // 1 to 2.5
const SPOT_LOG_EDGE = vec2<f32>(-3.5065579, -0.9162907);      // its width, 0.03 to 0.4 radii
const SPOT_DULL: f32 = 0.5;                                   // probability of less contrast
const LINE_LENGTH = vec2<f32>(0.1, 0.8);                      // half of it
const LINE_SAG = vec2<f32>(-0.5, 0.5);                        // of its ends, in half lengths
const LINE_WIDTH = vec2<f32>(0.5, 1.5);                       // half of it, pixels
const LINE_BARE: f32 = 0.5;                                   // probability of no texture
const LINE_BROKEN: f32 = 0.5;                                 // probability of gaps
const LINE_GAP: f32 = 0.15;                                   // the same of a segment of a broken line
const SMEAR_LOG_AREA = vec2<f32>(-4.8283137, -2.1202635);     // share of the image, 0.008 to 0.12
const SMEAR_LOG_ASPECT = vec2<f32>(-2.3025851, 2.3025851);    // 0.1 to 10
const SMEAR_ACROSS: f32 = 0.35;                               // probability of running along x
const SMEAR_DOWN: f32 = 0.7;                                  // the same or along y
const SMEAR_REACH: f32 = 0.125;                               // of the side, to each side of a pixel
const SMEAR_BOX: f32 = 2.0;                                   // pixels, where it runs both ways

const OFFSET = vec2<f32>(0.2, 0.8);
const PATCH_CONTRAST = vec2<f32>(0.7, 1.3); // of rectangles and scars
const BLOB_CONTRAST = vec2<f32>(0.3, 1.5);
const SPOT_CONTRAST = vec2<f32>(0.0, 0.5); // of dull ones
const BLOB_OPACITY = vec2<f32>(0.4, 1.0);
const FADED_OPACITY = vec2<f32>(0.5, 1.0); // of spots and lines
// Size of the change of brightness; its sign is drawn apart.
const PATCH_BRIGHTNESS = vec2<f32>(0.0, 0.15);
const BLOB_BRIGHTNESS = vec2<f32>(0.05, 0.3);
const SPOT_BRIGHTNESS = vec2<f32>(0.08, 0.4);
const DULL_BRIGHTNESS = vec2<f32>(0.05, 0.45);
const LINE_BRIGHTNESS = vec2<f32>(0.1, 0.5);
const BARE_BRIGHTNESS = vec2<f32>(0.15, 0.5);
const SMEAR_BRIGHTNESS = vec2<f32>(0.0, 0.1);

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

// `range`: of the logarithm.
fn log_between(range: vec2<f32>, word: u32) -> f32 {
    return exp(between(range, word));
}

// Half width and half height of an upright rectangle.
fn upright(log_area: vec2<f32>, log_aspect: vec2<f32>, words: vec2<u32>) -> vec2<f32> {
    let area = log_between(log_area, words.x);
    let aspect = log_between(log_aspect, words.y);
    return sqrt(vec2<f32>(area * aspect, area / aspect));
}

// One bit per segment of a broken line that is there.
fn segments(seed: vec2<u32>, counter: vec4<u32>) -> u32 {
    var kept = 0u;
    for (var k = 0u; k < 12u; k += 4u) {
        let words = philox(seed, counter + vec4<u32>(0u, 0u, 0u, k / 4u));
        for (var j = 0u; j < 4u; j++) {
            kept |= select(0u, 1u, uniform01(words[j]) >= LINE_GAP) << (k + j);
        }
    }
    return kept;
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
        var edge = select(0.0, 1.0, uniform01(a.y) < SOFT);
        var centre = CENTRE * (2.0 * vec2<f32>(uniform01(a.z), uniform01(a.w)) - 1.0);
        var sizes = vec2<f32>(0.0);
        var angle = 3.1415927 * (uniform01(b.z) - 0.5);
        var offset = vec2<f32>(between(OFFSET, c.x), between(OFFSET, c.y));
        var other = false;
        var contrast = between(PATCH_CONTRAST, c.z);
        var brightness = between(PATCH_BRIGHTNESS, c.w);
        var opacity = 1.0;
        var key = d.zw >> vec2<u32>(8u);
        if (kind == RECTANGLE) {
            sizes = upright(RECTANGLE_LOG_AREA, RECTANGLE_LOG_ASPECT, b.xy);
            angle = 0.0;
        } else if (kind == SCAR) {
            sizes = vec2<f32>(between(SCAR_LENGTH, b.x), log_between(SCAR_LOG_WIDTH, b.y));
        } else if (kind == BLOB) {
            centre *= BLOB_CENTRE / CENTRE;
            sizes = vec2<f32>(BLOB_SIDES[b.x >> 30u], log_between(BLOB_LOG_SHARE, b.y));
            angle = 0.0;
            other = uniform01(b.w) < BLOB_OTHER;
            if (!other) {
                offset = vec2<f32>(0.0);
            }
            contrast = between(BLOB_CONTRAST, c.z);
            brightness = between(BLOB_BRIGHTNESS, c.w);
            opacity = between(BLOB_OPACITY, d.y);
        } else if (kind == SPOT) {
            let radius = log_between(SPOT_LOG_RADIUS, b.x);
            let aspect = sqrt(log_between(SPOT_LOG_ASPECT, b.y));
            sizes = vec2<f32>(radius * aspect, radius / aspect);
            edge = log_between(SPOT_LOG_EDGE, a.y);
            offset = vec2<f32>(0.0);
            let dull = uniform01(b.w) < SPOT_DULL;
            contrast = select(1.0, between(SPOT_CONTRAST, c.z), dull);
            brightness = between(select(SPOT_BRIGHTNESS, DULL_BRIGHTNESS, dull), c.w);
            opacity = between(FADED_OPACITY, d.y);
        } else if (kind == LINE) {
            sizes = vec2<f32>(between(LINE_LENGTH, b.x), between(LINE_SAG, b.y));
            edge = between(LINE_WIDTH, a.y);
            offset = vec2<f32>(0.0);
            let bare = uniform01(b.w) < LINE_BARE;
            contrast = select(1.0, 0.0, bare);
            brightness = between(select(LINE_BRIGHTNESS, BARE_BRIGHTNESS, bare), c.w);
            opacity = between(FADED_OPACITY, d.y);
            key.x = 4095u;
            if (uniform01(c.x) < LINE_BROKEN) {
                key.x = segments(seed, counter + vec4<u32>(0u, 0u, 0u, 4u));
            }
        } else {
            sizes = upright(SMEAR_LOG_AREA, SMEAR_LOG_ASPECT, b.xy);
            angle = 0.0;
            offset = vec2<f32>(SMEAR_BOX);
            let way = uniform01(b.w);
            if (way < SMEAR_DOWN) {
                let across = way < SMEAR_ACROSS;
                offset = select(vec2<f32>(0.0, SMEAR_REACH), vec2<f32>(SMEAR_REACH, 0.0), across);
            }
            contrast = 1.0;
            brightness = between(SMEAR_BRIGHTNESS, c.w);
        }
        brightness *= select(1.0, -1.0, uniform01(d.x) < 0.5);

        draws[i * 4u] = vec4<f32>(f32(kind), edge, centre);
        draws[i * 4u + 1u] = vec4<f32>(sizes, cos(angle), sin(angle));
        draws[i * 4u + 2u] = vec4<f32>(offset, select(0.0, 1.0, other), contrast);
        draws[i * 4u + 3u] = vec4<f32>(brightness, opacity, vec2<f32>(key));
    }
}
