//! Images of one size in one buffer, their statistics and their fingerprint.

use rayon::prelude::*;

use super::bytes::Bytes;
use super::dataset::Sample;
use crate::Result;

/// Images of one size in one buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Pixels {
    /// N, images.
    pub n: usize,
    /// H, rows.
    pub height: usize,
    /// W, columns.
    pub width: usize,
    /// C, 1 or 3.
    pub channels: usize,
    /// `[N, H, W, C]`, 0 to 255.
    pub bytes: Bytes,
}

impl Pixels {
    /// Image `index`, `[H, W, C]`.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.bytes[index * len..][..len]
    }

    /// Bytes of one image.
    pub fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Copies of the images `indices`, in their order.
    ///
    /// # Errors
    /// No room.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn chosen(&self, indices: &[u32]) -> Result<Self> {
        let len = self.image_len();
        let mut bytes = Bytes::zeroed(indices.len() * len)?;
        for (to, index) in bytes.chunks_mut(len).zip(indices) {
            to.copy_from_slice(self.image(*index as usize));
        }
        let Self { height, width, channels, .. } = *self;
        Ok(Self { n: indices.len(), height, width, channels, bytes })
    }

    /// These images and then those of `more`, which are of the same size.
    ///
    /// # Errors
    /// No room.
    pub fn joined(&self, more: &Self) -> Result<Self> {
        let mut bytes = Bytes::zeroed(self.bytes.len() + more.bytes.len())?;
        let (first, last) = bytes.split_at_mut(self.bytes.len());
        first.copy_from_slice(&self.bytes);
        last.copy_from_slice(&more.bytes);
        let Self { height, width, channels, .. } = *self;
        Ok(Self { n: self.n + more.n, height, width, channels, bytes })
    }

    /// Mean and population standard deviation of each channel, from exact integer sums: the same
    /// on any number of cores.
    pub fn channel_stats(&self) -> ChannelStats {
        let channels = self.channels.max(1);
        let zero = || vec![[0_u64; 2]; channels];
        let sums = self
            .bytes
            .par_chunks(channels << 16)
            .map(|chunk| {
                let mut sums = zero();
                for pixel in chunk.chunks_exact(channels) {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        sum[0] += u64::from(value);
                        sum[1] += u64::from(value).pow(2);
                    }
                }
                sums
            })
            .reduce(zero, |mut left, right| {
                for (l, r) in left.iter_mut().zip(right) {
                    *l = [l[0] + r[0], l[1] + r[1]];
                }
                left
            });
        let count = (self.bytes.len() / channels).max(1) as u128;
        let mean = sums.iter().map(|s| s[0] as f64 / (count as f64 * 255.0)).collect();
        let deviation = |s: &[u64; 2]| {
            let spread = count * u128::from(s[1]) - u128::from(s[0]).pow(2);
            (spread as f64).sqrt() / (count as f64 * 255.0)
        };
        ChannelStats { mean, std: sums.iter().map(deviation).collect() }
    }
}

/// Mean and population standard deviation of each channel, `[C]`, with full scale at 1.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelStats {
    /// Means, 0 to 1.
    pub mean: Vec<f64>,
    /// Standard deviations, 0 to 0.5.
    pub std: Vec<f64>,
}

/// A hexadecimal blake3 hash of the names and pixels of `samples`, for checkpoints: the same when
/// the same images were learned from, wherever they lay.
///
/// `samples` are those in `pixels`, in order.
pub fn fingerprint(samples: &[Sample], pixels: &Pixels) -> String {
    let mut hash = blake3::Hasher::new();
    for size in [pixels.n, pixels.height, pixels.width, pixels.channels] {
        hash.update(&(size as u64).to_le_bytes());
    }
    for sample in samples {
        hash.update(&(sample.name.len() as u64).to_le_bytes());
        hash.update(sample.name.as_bytes());
    }
    hash.update(&pixels.bytes);
    hash.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{numbered, quiet};
    use crate::data::{LoadOptions, load};

    #[test]
    fn channel_stats_by_hand() {
        let bytes = vec![0, 255, 51, 255, 102, 255, 51, 255].into();
        let pixels = Pixels { n: 2, height: 1, width: 2, channels: 2, bytes };
        let stats = pixels.channel_stats();
        assert_eq!(stats.mean, [0.2, 1.0]);
        assert!((stats.std[0] - 0.02_f64.sqrt()).abs() < 1e-15, "{:?}", stats.std);
        assert_eq!(stats.std[1], 0.0);
    }

    #[test]
    fn fingerprints_follow_names_and_pixels() {
        let (_dir, mut samples) = numbered(3, false);
        let mut pixels = load(&samples, &LoadOptions::new(2, 2, 1), &quiet).unwrap().pixels;
        let first = fingerprint(&samples, &pixels);
        assert_eq!(first.len(), 64);
        assert_eq!(fingerprint(&samples, &pixels), first);
        pixels.bytes[5] ^= 1;
        let second = fingerprint(&samples, &pixels);
        samples[1].name += "x";
        let third = fingerprint(&samples, &pixels);
        assert!(first != second && second != third && first != third);
    }
}
