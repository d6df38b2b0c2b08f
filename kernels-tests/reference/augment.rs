use super::Out;

/// Round multipliers and key increments of Philox4x32 (Salmon et al. 2011, table 2 and section 4.2).
const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Philox4x32-10.
pub fn philox(mut key: [u32; 2], mut counter: [u32; 4]) -> [u32; 4] {
    for _ in 0..10 {
        let product0 = MULTIPLIERS[0] * u64::from(counter[0]);
        let product1 = MULTIPLIERS[1] * u64::from(counter[2]);
        counter = [
            (product1 >> 32) as u32 ^ counter[1] ^ key[0],
            product1 as u32,
            (product0 >> 32) as u32 ^ counter[3] ^ key[1],
            product0 as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// Uniform in [0, 1) from the upper 24 bits.
pub fn uniform01(word: u32) -> f64 {
    f64::from(word >> 8) / f64::from(1u32 << 24)
}

/// Four standard normals from four words: Box and Muller, the angle in [-pi, pi).
pub fn normals(words: [u32; 4]) -> [f64; 4] {
    let pair = |a: u32, b: u32| {
        let radius = (-2.0 * (1.0 - uniform01(a)).ln()).sqrt();
        let angle = 2.0 * std::f64::consts::PI * (uniform01(b) - 0.5);
        [radius * angle.cos(), radius * angle.sin()]
    };
    let ([a, b], [c, d]) = (pair(words[0], words[1]), pair(words[2], words[3]));
    [a, b, c, d]
}

pub struct Options {
    pub crop: [f64; 2],
    pub flip: f64,
    pub jitter_p: f64,
    /// Brightness, contrast, saturation.
    pub jitter: [f64; 3],
    pub blur_p: f64,
    pub blur_sigma: [f64; 2],
    pub noise: f64,
}

/// One row of draws: x0, y0, width, height, flip, 0, 0, 0, brightness, contrast, saturation, blur
/// sigma, noise amplitude, three 24-bit words of the noise's key.
pub fn draw(o: &Options, seed: [u32; 2], step: u32, id: u32, view: u32) -> Out {
    let words: Vec<u32> =
        (0..4).flat_map(|block| philox(seed, [id, view, step, 0x4155_4700 + block])).collect();
    let u: Vec<f64> = words.iter().map(|w| uniform01(*w)).collect();
    let area = o.crop[0] + u[0] * (o.crop[1] - o.crop[0]);
    let ratio = ((2.0 * u[1] - 1.0) * (4.0f64 / 3.0).ln()).exp().clamp(area, 1.0 / area);
    let (width, height) = ((area * ratio).sqrt(), (area / ratio).sqrt());
    let mut value = vec![u[2] * (1.0 - width), u[3] * (1.0 - height), width, height];
    value.extend([f64::from(u8::from(u[4] < o.flip)), 0.0, 0.0, 0.0]);
    for (jitter, u_factor) in o.jitter.iter().zip(&u[6..9]) {
        value.push(if u[5] < o.jitter_p { 1.0 + jitter * (2.0 * u_factor - 1.0) } else { 1.0 });
    }
    let sigma = o.blur_sigma[0] + u[10] * (o.blur_sigma[1] - o.blur_sigma[0]);
    value.push(if u[9] < o.blur_p { sigma } else { 0.0 });
    value.push(u[11] * o.noise);
    value.extend(words[12..15].iter().map(|w| f64::from(w >> 8)));
    let mut mag = value.clone();
    (mag[0], mag[1]) = (u[2] * (1.0 + width), u[3] * (1.0 + height));
    // 1 - j(1 - 2u) can come near 0.
    (8..11).for_each(|i| mag[i] = 1.0 + o.jitter[i - 8]);
    Out { value, mag }
}

/// Images `[N, H, W, C]` in bytes, and what is done to every one of them.
pub struct Stored<'a> {
    pub bytes: &'a [u8],
    pub shape: [usize; 4],
    /// Height and width of views.
    pub size: [usize; 2],
    /// `[N, 2]`: mean and deviation.
    pub statistics: Option<&'a [f64]>,
    pub mean: [f64; 3],
    pub std: [f64; 3],
}

/// A value and the sum of the magnitudes of its terms.
type Term = (f64, f64);
const GREY: [f64; 3] = [0.299, 0.587, 0.114];

impl Stored<'_> {
    /// Between 0 and 1, standardised.
    fn pixel(&self, slot: usize, y: usize, x: usize, channel: usize) -> Term {
        let [_, height, width, channels] = self.shape;
        let byte = self.bytes[((slot * height + y) * width + x) * channels + channel];
        let value = f64::from(byte) / 255.0;
        let Some(statistics) = self.statistics else { return (value, value) };
        let (mean, scale) = (statistics[slot * 2], 0.2 / statistics[slot * 2 + 1].max(1e-3));
        (((value - mean) * scale + 0.5).clamp(0.0, 1.0), (value + mean.abs()) * scale + 0.5)
    }

    /// The triangle filter around a point given in pixels; `radius` is its half width.
    fn filtered(&self, slot: usize, at: [f64; 2], radius: [f64; 2], channel: usize) -> Term {
        let weight = |k: usize, at: f64, radius: f64| 1.0 - (k as f64 + 0.5 - at).abs() / radius;
        let (mut value, mut mag, mut total) = (0.0, 0.0, 0.0);
        for y in 0..self.shape[1] {
            for x in 0..self.shape[2] {
                let of_row = weight(y, at[0], radius[0]);
                let of_column = weight(x, at[1], radius[1]);
                if of_row < 0.0 || of_column < 0.0 {
                    continue;
                }
                let (v, m) = self.pixel(slot, y, x, channel);
                value += of_row * of_column * v;
                // A weight inherits the rounding of the point, which grows with its coordinates.
                let rounding =
                    of_column * (at[0] + 1.0) / radius[0] + of_row * (at[1] + 1.0) / radius[1];
                mag += of_row * of_column * m + rounding * v;
                total += of_row * of_column;
            }
        }
        (value / total, mag / total)
    }

    fn resampled(&self, slot: usize, row: &[f64]) -> Vec<Term> {
        let [height, width] = self.size;
        let stored = [self.shape[1] as f64, self.shape[2] as f64];
        let mut out = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let x = if row[4] == 1.0 { width - 1 - x } else { x };
                let across = [(y as f64 + 0.5) / height as f64, (x as f64 + 0.5) / width as f64];
                let at = [
                    (row[1] + row[3] * across[0]) * stored[0],
                    (row[0] + row[2] * across[1]) * stored[1],
                ];
                let step = [row[3] * stored[0] / height as f64, row[2] * stored[1] / width as f64];
                let radius = [step[0].max(1.0), step[1].max(1.0)];
                for channel in 0..self.shape[3] {
                    out.push(self.filtered(slot, at, radius, channel));
                }
            }
        }
        out
    }

    fn normalised(&self, image: &[Term]) -> Out {
        let channels = self.shape[3];
        let (mut value, mut mag) = (Vec::new(), Vec::new());
        for (i, (v, m)) in image.iter().enumerate() {
            let (mean, std) = (self.mean[i % channels], self.std[i % channels]);
            value.push((v.clamp(0.0, 1.0) - mean) / std);
            mag.push((m + mean.abs()) / std);
        }
        Out { value, mag }
    }

    /// The whole image, `[H, W, C]`.
    pub fn plain(&self, slot: usize) -> Out {
        self.normalised(&self.resampled(slot, &[0.0, 0.0, 1.0, 1.0, 0.0]))
    }

    /// One view, `[H, W, C]`.
    pub fn view(&self, slot: usize, row: &[f64]) -> Out {
        let mut image = self.resampled(slot, row);
        jitter(&mut image, self.shape[3], &row[8..11]);
        if row[11] > 0.0 {
            image = blur(&image, self.size, self.shape[3], row[11]);
        }
        let key = [row[13] as u32, row[14] as u32, row[15] as u32];
        noise(&mut image, self.shape[3], row[12], key);
        self.normalised(&image)
    }
}

fn grey(pixel: &[Term]) -> Term {
    if let [only] = pixel {
        return *only;
    }
    let sum = |part: fn(&Term) -> f64| pixel.iter().zip(GREY).map(|(t, w)| part(t) * w).sum();
    (sum(|t| t.0), sum(|t| t.1))
}

/// a * share + b * (1 - share).
fn mix(a: Term, b: Term, share: f64) -> Term {
    (a.0 * share + b.0 * (1.0 - share), a.1 * share + b.1 * (1.0 + share))
}

fn jitter(image: &mut [Term], channels: usize, factors: &[f64]) {
    for (v, m) in image.iter_mut() {
        (*v, *m) = (*v * factors[0], *m * factors[0]);
    }
    let greys: Vec<Term> = image.chunks(channels).map(grey).collect();
    let count = greys.len() as f64;
    let mean = (
        greys.iter().map(|g| g.0).sum::<f64>() / count,
        greys.iter().map(|g| g.1).sum::<f64>() / count,
    );
    if factors[1] != 1.0 {
        image.iter_mut().for_each(|t| *t = mix(*t, mean, factors[1]));
    }
    for pixel in image.chunks_mut(channels) {
        let grey = grey(pixel);
        for t in pixel.iter_mut() {
            if factors[2] != 1.0 && channels == 3 {
                *t = mix(*t, grey, factors[2]);
            }
            t.0 = t.0.clamp(0.0, 1.0);
        }
    }
}

/// The two-dimensional sum; the kernels do rows and columns apart.
fn blur(image: &[Term], [height, width]: [usize; 2], channels: usize, sigma: f64) -> Vec<Term> {
    let radius = (3.0 * sigma).ceil() as i64;
    let inside = |at: usize, by: i64, n: usize| (at as i64 + by).clamp(0, n as i64 - 1) as usize;
    let mut out = Vec::new();
    for i in 0..image.len() {
        let (y, x, channel) = (i / channels / width, i / channels % width, i % channels);
        let (mut value, mut mag, mut total) = (0.0, 0.0, 0.0);
        for dy in -radius..=radius {
            for dx in -radius..=radius {
                let weight = (-((dx * dx + dy * dy) as f64) / (2.0 * sigma * sigma)).exp();
                let from = inside(y, dy, height) * width + inside(x, dx, width);
                let (v, m) = image[from * channels + channel];
                (value, mag, total) = (value + weight * v, mag + weight * m, total + weight);
            }
        }
        out.push((value / total, mag / total));
    }
    out
}

/// WGSL promises sin and cos to an absolute 2^-11 only, and ln near 1 to 2^-21, whose root the
/// radius takes: 2^12 and 2^2 epsilons. A depth of 4 and the factor 4 of `close` cover 2^4 of them; this
/// much of the amplitude covers the rest.
pub const SPECIAL_FUNCTIONS: f64 = 256.0;

fn noise(image: &mut [Term], channels: usize, amplitude: f64, key: [u32; 3]) {
    for (i, pixel) in image.chunks_mut(channels).enumerate() {
        let words = philox([key[0], key[1]], [i as u32, key[2], 0, 0x4E4F_4953]);
        for (t, normal) in pixel.iter_mut().zip(normals(words)) {
            t.0 += amplitude * normal;
            t.1 += amplitude * (normal.abs() + 1.0) * SPECIAL_FUNCTIONS;
        }
    }
}

/// `[N, 2]`: mean and population deviation of each image's values between 0 and 1.
pub fn statistics(bytes: &[u8], [n, height, width, channels]: [usize; 4]) -> Out {
    let len = height * width * channels;
    let (mut value, mut mag) = (Vec::new(), Vec::new());
    for image in bytes.chunks(len).take(n) {
        let values = || image.iter().map(|b| f64::from(*b) / 255.0);
        let mean = values().sum::<f64>() / len as f64;
        let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / len as f64;
        value.extend([mean, variance.sqrt()]);
        // The deviation is a root mean square: it errs by no more than the differences do.
        mag.extend([mean, 1.0]);
    }
    Out { value, mag }
}

#[test]
fn philox_known_answers() {
    // The vectors of Random123's kat_vectors, philox4x32-10.
    assert_eq!(philox([0; 2], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    let ones = u32::MAX;
    let want = [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd];
    assert_eq!(philox([ones; 2], [ones; 4]), want);
    let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
    let want = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
    assert_eq!(philox([0xa409_3822, 0x299f_31d0], counter), want);
}

#[cfg(test)]
fn near(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() < 1e-12, "{got:?}, expected {want:?}");
    }
}

#[test]
fn crops_by_hand() {
    let mut s = Stored {
        bytes: &[0, 255],
        shape: [1, 1, 2, 1],
        size: [1, 2],
        statistics: None,
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    let values = |s: &Stored<'_>, row: &[f64]| -> Vec<f64> {
        s.resampled(0, row).iter().map(|t| t.0).collect()
    };
    near(&s.plain(0).value, &[-1.0, 1.0]);
    // The middle half: points 0.75 and 1.25 between the centres 0.5 and 1.5.
    near(&values(&s, &[0.25, 0.0, 0.5, 1.0, 0.0]), &[0.25, 0.75]);
    near(&values(&s, &[0.25, 0.0, 0.5, 1.0, 1.0]), &[0.75, 0.25]);
    // Four pixels become two: the triangle is 2 wide on either side and cut at the border.
    (s.bytes, s.shape) = (&[255, 0, 0, 0], [1, 1, 4, 1]);
    near(&values(&s, &[0.0, 0.0, 1.0, 1.0, 0.0]), &[0.75 / 1.75, 0.0]);
    s.statistics = Some(&[0.4, 0.4]);
    (s.bytes, s.size, s.mean) = (&[0, 51, 102, 255], [1, 4], [0.0; 3]);
    near(&s.plain(0).value, &[0.6, 0.8, 1.0, 1.6]);
}

#[test]
fn jitter_and_blur_by_hand() {
    let terms = |values: &[f64]| values.iter().map(|v| (*v, *v)).collect::<Vec<Term>>();
    let values = |terms: &[Term]| terms.iter().map(|t| t.0).collect::<Vec<_>>();
    let mut image = terms(&[0.1, 0.5]);
    // 0.2 and 1.0 after brightness, around 0.6; saturation does nothing to grey.
    jitter(&mut image, 1, &[2.0, 0.5, 7.0]);
    near(&values(&image), &[0.4, 0.8]);
    let mut image = terms(&[0.5, 0.0, 0.0, 0.0, 0.5, 1.0]);
    jitter(&mut image, 3, &[1.0, 1.0, 0.5]);
    let (a, b) = (0.1495 / 2.0, (0.2935 + 0.114) / 2.0);
    near(&values(&image), &[0.25 + a, a, a, b, 0.25 + b, 0.5 + b]);
    let image = blur(&terms(&[1.0, 0.0, 0.0]), [1, 3], 1, 0.3);
    let g = (-1.0f64 / 0.18).exp();
    near(&values(&image), &[(1.0 + g) / (1.0 + 2.0 * g), g / (1.0 + 2.0 * g), 0.0]);
}

#[test]
fn statistics_by_hand() {
    near(
        &statistics(&[0, 51, 102, 51, 255, 255, 255, 255], [2, 2, 2, 1]).value,
        &[0.2, 0.02f64.sqrt(), 1.0, 0.0],
    );
}
