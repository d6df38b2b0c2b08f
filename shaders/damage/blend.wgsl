// The batch's images with their damage, as bytes again:
//   y = x (1 - alpha) + alpha (contrast (s - m) + m + 5 deviation brightness), cut to 0..1
// s: the source, the same image or the next entry's, shifted by a whole number of pixels, around its edges; for
// a smear the mean of the pixels up to `reach` away across and down, those of the border repeated;
// m: the mean of that image; deviation: of the image itself. Where alpha is 0 the byte stays.
// pixels: bytes [N, H, W, C]; statistics: [N, 2], mean and deviation; slots: [B]; draws: [B, 16], see
// draw.wgsl; alpha: [B, H, W]; y: bytes [B, H, W, C], zeros behind the last.
// One invocation per word of y. Reference and tests: kernels-tests/damage.rs.
#import grid
#import damage/bytes
#import damage/kinds

const WG: u32 = 64u;

struct Params {
    batch: u32,
    height: u32,
    width: u32,
    words: u32, // of y
}

@group(0) @binding(0) var<storage, read> pixels: array<u32>;
@group(0) @binding(1) var<storage, read> statistics: array<f32>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> draws: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> alpha_of: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<u32>;
@group(0) @binding(6) var<uniform> p: Params;

fn stored_byte(pixel: u32, channel: u32) -> u32 {
    let at = pixel * CHANNELS + channel;
    return byte_of(pixels[at >> 2u], at);
}

// Full scale 1.
fn stored(pixel: u32, channel: u32) -> f32 {
    return f32(stored_byte(pixel, channel)) / 255.0;
}

// Mean of one channel over a box, `reach` pixels to each side of `place`, in the image that starts at
// pixel `first`.
fn smeared(first: u32, place: vec2<u32>, reach: vec2<u32>, channel: u32) -> f32 {
    let last = vec2<u32>(p.width, p.height) - 1u;
    let span = 2u * reach + 1u;
    var sum = 0u; // bytes: exact in any order
    for (var i = 0u; i < span.y; i++) {
        let y = clamp(place.y + i, reach.y, last.y + reach.y) - reach.y;
        for (var j = 0u; j < span.x; j++) {
            let x = clamp(place.x + j, reach.x, last.x + reach.x) - reach.x;
            sum += stored_byte(first + y * p.width + x, channel);
        }
    }
    return f32(sum) / (255.0 * f32(span.x * span.y));
}

fn source(image: u32, slot: u32, at: u32, channel: u32) -> f32 {
    let content = draws[image * 4u + 2u];
    var origin = slot;
    if (content.z > 0.5) {
        origin = slots[(image + 1u) % p.batch];
    }
    let sides = vec2<u32>(p.width, p.height);
    let offset = vec2<u32>(content.xy * vec2<f32>(sides));
    let row = at / p.width;
    let own = vec2<u32>(at - row * p.width, row);
    let first = origin * p.height * p.width;
    var value = 0.0;
    if (u32(draws[image * 4u].x) == SMEAR) {
        // Shares of the sides, or pixels.
        let reach = select(offset, vec2<u32>(content.xy), content.xy >= vec2<f32>(1.0));
        value = smeared(first, own, reach, channel);
    } else {
        let place = (own + offset) % sides;
        value = stored(first + place.y * p.width + place.x, channel);
    }
    let mean = statistics[origin * 2u];
    let shift = 5.0 * statistics[slot * 2u + 1u] * draws[image * 4u + 3u].x;
    return content.w * (value - mean) + mean + shift;
}

@compute @workgroup_size(WG)
fn blend(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let word = workgroup_index(group, groups) * WG + lane;
    if (word < p.words) {
        let area = p.height * p.width;
        var four = vec4<f32>(0.0);
        for (var k = 0u; k < 4u; k++) {
            let pixel = (word * 4u + k) / CHANNELS;
            let channel = word * 4u + k - pixel * CHANNELS;
            let image = pixel / area;
            let at = pixel - image * area;
            if (image < p.batch) {
                let slot = slots[image];
                let alpha = alpha_of[pixel];
                four[k] = stored(slot * area + at, channel);
                if (alpha > 0.0) {
                    let content = source(image, slot, at, channel);
                    four[k] = four[k] * (1.0 - alpha) + content * alpha;
                }
            }
        }
        y[word] = pack4x8unorm(four);
    }
}
