// Reading images stored as bytes, four to a word, [N, H, W, CHANNELS]; the importing shader declares
// `pixels: array<u32>`. Values lie in 0..1; grey ones fill all three components.
const CHANNELS: u32 = 3u;    // 1 or 3
const SHRINK: u32 = 1u;      // 0: no view has fewer pixels than its crop
const STANDARDISE: u32 = 0u; // 1: each image to mean 0.5, deviation 0.2, cut to 0..1

// Pixel `index`, counted over all images. statistics: mean and deviation of its image.
fn stored_pixel(index: u32, statistics: vec2<f32>) -> vec3<f32> {
    let first = index * CHANNELS;
    let shift = (first & 3u) * 8u;
    var word = pixels[first >> 2u] >> shift;
    if (CHANNELS == 3u) {
        // The three bytes may lie in two words. Where they do not, this is the same word and only
        // the unused fourth byte is spoilt (with shift = 0, not even that).
        word |= pixels[(first + 2u) >> 2u] << ((32u - shift) & 31u);
    }
    var v = unpack4x8unorm(word).xyz;
    if (CHANNELS == 1u) {
        v = v.xxx;
    }
    if (STANDARDISE == 1u) {
        let scale = 0.2 / max(statistics.y, 1e-3);
        v = clamp((v - statistics.x) * scale + 0.5, vec3<f32>(0.0), vec3<f32>(1.0));
    }
    return v;
}

// The image whose first pixel is `first` at the point `centre` (x, y in pixels), which must lie inside.
// SHRINK = 0: bilinear, border pixels repeated. SHRINK = 1: a triangle filter that reaches `radius`, at
// least 1, to each side, as PIL and torch (antialias) shrink; its weights are normalised over the pixels
// inside the image, which for radius 1 is the same.
fn sample_image(
    first: u32,
    width: u32,
    height: u32,
    centre: vec2<f32>,
    radius: vec2<f32>,
    statistics: vec2<f32>,
) -> vec3<f32> {
    if (SHRINK == 0u) {
        let low = floor(centre - 0.5);
        let share = centre - 0.5 - low;
        let a = vec2<u32>(max(low, vec2<f32>(0.0)));
        let b = min(vec2<u32>(low + 1.0), vec2<u32>(width, height) - 1u);
        let above = first + a.y * width;
        let below = first + b.y * width;
        return mix(
            mix(stored_pixel(above + a.x, statistics), stored_pixel(above + b.x, statistics), share.x),
            mix(stored_pixel(below + a.x, statistics), stored_pixel(below + b.x, statistics), share.x),
            share.y,
        );
    }
    // Pixels whose own centre is nearer than the radius.
    let low = vec2<u32>(max(floor(centre - radius - 0.5) + 1.0, vec2<f32>(0.0)));
    let end = min(vec2<u32>(ceil(centre + radius - 0.5)), vec2<u32>(width, height));
    let slope = 1.0 / radius;
    var sum = vec3<f32>(0.0);
    var total = 0.0;
    for (var y = low.y; y < end.y; y++) {
        let of_row = max(1.0 - abs(f32(y) + 0.5 - centre.y) * slope.y, 0.0);
        for (var x = low.x; x < end.x; x++) {
            let weight = of_row * max(1.0 - abs(f32(x) + 0.5 - centre.x) * slope.x, 0.0);
            sum += weight * stored_pixel(first + y * width + x, statistics);
            total += weight;
        }
    }
    return sum / total;
}

// Luma of ITU-R BT.601; a grey pixel's own value.
fn grey_level(v: vec3<f32>) -> f32 {
    if (CHANNELS == 1u) {
        return v.x;
    }
    return dot(v, vec3<f32>(0.299, 0.587, 0.114));
}
