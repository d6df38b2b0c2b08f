//! Random numbers and noise that are the same on every machine: integer hashing, and only those
//! floating-point operations that IEEE 754 rounds exactly (`+ - * /`, `sqrt`, `floor`).

/// A SplitMix64 generator (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// A generator whose stream depends on every part of `key`.
    pub(super) fn keyed(key: &[u64]) -> Self {
        Self(key.iter().fold(0, |state, &part| mix(state ^ mix(part))))
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform in `low..high`.
    pub(super) fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * unit(self.bits())
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.range(0.0, 1.0) < probability
    }

    /// `magnitude` within `low..high` with either sign.
    pub(super) fn signed(&mut self, low: f64, high: f64) -> f64 {
        let magnitude = self.range(low, high);
        if self.chance(0.5) { magnitude } else { -magnitude }
    }

    /// Roughly normal, mean 0, standard deviation 1: four uniforms summed and scaled by sqrt 3.
    pub(super) fn normal(&mut self) -> f64 {
        let sum: f64 = (0..4).map(|_| unit(self.bits())).sum();
        (sum - 2.0) * 1.732_050_807_568_877_2
    }
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(GOLDEN);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The upper 53 bits as a number in `0..1`.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Smooth noise over the plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noise(pub(super) u64);

impl Noise {
    /// A random number in `0..1` for a point of the integer lattice.
    pub(super) fn lattice(self, x: i64, y: i64) -> f64 {
        unit(self.hash(x, y))
    }

    pub(super) fn hash(self, x: i64, y: i64) -> u64 {
        const ROW: u64 = 0xd6e8_feb8_6659_fd93;
        let column = (x as u64).wrapping_mul(GOLDEN);
        mix(self.0 ^ column.wrapping_add((y as u64).wrapping_mul(ROW)))
    }

    /// Value noise in `-1..1`, one feature per unit.
    pub(super) fn at(self, x: f64, y: f64) -> f64 {
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (ease(x - left), ease(y - top));
        let (i, j) = (left as i64, top as i64);
        let row = |j| {
            let (a, b) = (self.lattice(i, j), self.lattice(i + 1, j));
            a + (b - a) * fx
        };
        let (a, b) = (row(j), row(j + 1));
        2.0 * (a + (b - a) * fy) - 1.0
    }

    /// Three octaves of [`Noise::at`], in `-1..1`.
    pub(super) fn rough(self, x: f64, y: f64) -> f64 {
        let (second, third) = (Self(self.0 ^ 1), Self(self.0 ^ 2));
        (4.0 * self.at(x, y) + 2.0 * second.at(2.0 * x, 2.0 * y) + third.at(4.0 * x, 4.0 * y)) / 7.0
    }
}

/// `3 t^2 - 2 t^3`: from 0 to 1 with level ends.
fn ease(t: f64) -> f64 {
    t * t * (3.0 - 2.0 * t)
}

/// 0 up to `low`, 1 from `high`, eased between; `low > high` turns it round.
pub(super) fn step(low: f64, high: f64, x: f64) -> f64 {
    ease(((x - low) / (high - low)).clamp(0.0, 1.0))
}

/// A rotated and shifted frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    cos: f64,
    sin: f64,
    origin: (f64, f64),
}

impl Frame {
    /// A frame turned by twice the angle whose tangent is `half_tangent` (±1 turns by ±90°).
    pub(super) fn new(half_tangent: f64, origin: (f64, f64)) -> Self {
        let square = half_tangent * half_tangent;
        let (cos, sin) = ((1.0 - square) / (1.0 + square), 2.0 * half_tangent / (1.0 + square));
        Self { cos, sin, origin }
    }

    /// `(x, y)` as seen in this frame.
    pub(super) fn see(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = (x - self.origin.0, y - self.origin.1);
        (self.cos * x + self.sin * y, self.cos * y - self.sin * x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniforms_fill_their_range() {
        let mut random = Random::keyed(&[1, 2]);
        let draws: Vec<_> = (0..10_000).map(|_| random.range(2.0, 4.0)).collect();
        let mean = draws.iter().sum::<f64>() / 10_000.0;
        assert!(draws.iter().all(|x| (2.0..4.0).contains(x)));
        assert!((mean - 3.0).abs() < 0.03, "{mean}");
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let first = |key: &[u64]| Random::keyed(key).bits();
        let keys: [&[u64]; 5] = [&[1, 2], &[2, 1], &[1], &[1, 2, 0], &[0, 1, 2]];
        let mut draws = keys.map(first).to_vec();
        draws.sort_unstable();
        draws.dedup();
        assert_eq!(draws.len(), 5);
    }

    #[test]
    fn noise_is_smooth_and_bounded() {
        let noise = Noise(7);
        for i in 0..2_000 {
            let (x, y) = (f64::from(i) * 0.013 - 9.0, f64::from(i) * 0.029 - 20.0);
            let here = noise.rough(x, y);
            assert!((-1.0..=1.0).contains(&here));
            assert!((noise.rough(x + 1e-4, y) - here).abs() < 2e-3);
        }
    }

    #[test]
    fn frames_keep_lengths() {
        let (u, v) = Frame::new(0.3, (1.0, 2.0)).see(4.0, 6.0);
        assert!((u * u + v * v - 25.0).abs() < 1e-12);
        assert_eq!(Frame::new(1.0, (0.0, 0.0)).see(1.0, 0.0), (0.0, -1.0));
    }
}
