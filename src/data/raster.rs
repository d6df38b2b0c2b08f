//! One decoded image and what is done to it.

use fast_image_resize as fir;

/// An 8-bit image: `bytes` is `[height, width, channels]`, channels 1 (grey) or 3 (RGB).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raster {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// 1 or 3.
    pub channels: usize,
    /// `[height, width, channels]`, 0 to 255.
    pub bytes: Vec<u8>,
}

impl Raster {
    /// Whether every pixel is grey: one channel, or R = G = B.
    pub fn is_grey(&self) -> bool {
        self.channels == 1 || self.bytes.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2])
    }

    /// The same image with `channels` 1 or 3.
    ///
    /// Grey becomes R = G = B. Colour becomes luma with the weights of ITU-R BT.601, rounded as
    /// Pillow's `convert("L")` does, so that R = G = B comes back unchanged.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        let bytes = match (self.channels, channels) {
            (1, 3) => self.bytes.iter().flat_map(|&grey| [grey; 3]).collect(),
            (3, 1) => self.bytes.chunks_exact(3).map(luma).collect(),
            _ => return self,
        };
        Self { channels, bytes, ..self }
    }

    /// The part `[top, left, height, width]` of the image.
    ///
    /// # Panics
    /// When it reaches beyond the image.
    #[must_use]
    pub fn part(&self, [top, left, height, width]: [usize; 4]) -> Self {
        let channels = self.channels;
        let mut bytes = Vec::with_capacity(height * width * channels);
        for y in top..top + height {
            let start = (y * self.width + left) * channels;
            bytes.extend_from_slice(&self.bytes[start..start + width * channels]);
        }
        Self { height, width, channels, bytes }
    }

    /// The image at `height` x `width`: a triangle filter stretched by the scale when shrinking
    /// (antialiased), bilinear when growing.
    #[must_use]
    pub fn resized(self, height: usize, width: usize) -> Self {
        if (self.height, self.width) == (height, width) {
            return self;
        }
        let pixel = if self.channels == 1 { fir::PixelType::U8 } else { fir::PixelType::U8x3 };
        let mut target = fir::images::Image::new(width as u32, height as u32, pixel);
        let (from_width, from_height) = (self.width as u32, self.height as u32);
        let source = fir::images::ImageRef::new(from_width, from_height, &self.bytes, pixel);
        let filter = fir::ResizeAlg::Convolution(fir::FilterType::Bilinear);
        let options = fir::ResizeOptions::new().resize_alg(filter);
        // Both calls fail only on a buffer of the wrong length or on pixel types that differ.
        if let Ok(source) = source {
            let done = fir::Resizer::new().resize(&source, &mut target, &options);
            debug_assert!(done.is_ok(), "{done:?}");
        }
        Self { height, width, channels: self.channels, bytes: target.into_vec() }
    }

    /// A mask as zeros and ones at `height` x `width`.
    ///
    /// A pixel is marked when above half of full scale. After that, a pixel of the result is
    /// marked when at least a quarter of its area was: exact, in integers.
    #[must_use]
    pub fn resized_mask(&self, height: usize, width: usize) -> Self {
        self.marked_from(height, width, |_| (self.width * self.height).div_ceil(4) as u64)
    }

    /// The same of a mask of which no pixel would be marked so, such as a scratch: those are that are marked most,
    /// as far as anything is.
    #[must_use]
    pub fn resized_thin_mask(&self, height: usize, width: usize) -> Self {
        self.marked_from(height, width, |areas| areas.iter().copied().max().unwrap_or(0).max(1))
    }

    /// Marks the pixels of which at least `enough` of the areas is marked; a pixel's whole area is the number of
    /// pixels of this mask.
    fn marked_from(&self, height: usize, width: usize, enough: impl FnOnce(&[u64]) -> u64) -> Self {
        let marked: Vec<bool> = match self.channels {
            1 => self.bytes.iter().map(|&value| value > 127).collect(),
            _ => self.bytes.chunks_exact(3).map(|pixel| luma(pixel) > 127).collect(),
        };
        let columns = overlaps(self.width, width);
        let rows = overlaps(self.height, height);
        let mut areas = Vec::with_capacity(height * width);
        for row in &rows {
            for column in &columns {
                let mut covered = 0;
                for &(y, tall) in row {
                    for &(x, wide) in column {
                        covered += u64::from(marked[y * self.width + x]) * tall * wide;
                    }
                }
                areas.push(covered);
            }
        }
        let enough = enough(&areas);
        let bytes = areas.iter().map(|&area| u8::from(area >= enough)).collect();
        Self { height, width, channels: 1, bytes }
    }
}

/// `(19595 R + 38470 G + 7471 B + 2^15) / 2^16`: the weights sum to 2^16.
fn luma(p: &[u8]) -> u8 {
    let sum = 19595 * u32::from(p[0]) + 38470 * u32::from(p[1]) + 7471 * u32::from(p[2]);
    ((sum + (1 << 15)) >> 16) as u8
}

/// For each of `to` cells the cells of `from` it overlaps and by how much, in units of
/// `1 / (from * to)` of the whole, so that the overlaps of one cell sum to `from`.
fn overlaps(from: usize, to: usize) -> Vec<Vec<(usize, u64)>> {
    let cell = |target: usize| {
        let (start, end) = (target * from, (target + 1) * from);
        (start / to..end.div_ceil(to))
            .map(|source| {
                let low = start.max(source * to);
                let high = end.min((source + 1) * to);
                (source, (high - low) as u64)
            })
            .collect()
    };
    (0..to).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grey(height: usize, width: usize, bytes: &[u8]) -> Raster {
        Raster { height, width, channels: 1, bytes: bytes.to_vec() }
    }

    #[test]
    fn grey_survives_rgb_and_back() {
        let all = grey(16, 16, &(0..=255).collect::<Vec<_>>());
        let rgb = all.clone().with_channels(3);
        assert!(rgb.is_grey() && rgb.channels == 3);
        assert_eq!(rgb.with_channels(1), all);
    }

    #[test]
    fn luma_by_hand() {
        let rgb = Raster {
            height: 1,
            width: 3,
            channels: 3,
            bytes: vec![255, 0, 0, 0, 255, 0, 0, 0, 255],
        };
        assert!(!rgb.is_grey());
        assert_eq!(rgb.with_channels(1).bytes, [76, 150, 29]);
    }

    #[test]
    fn parts_by_hand() {
        let image = grey(3, 4, &(0..12).collect::<Vec<_>>());
        assert_eq!(image.part([1, 2, 2, 2]), grey(2, 2, &[6, 7, 10, 11]));
        assert_eq!(image.clone().with_channels(3).part([2, 0, 1, 1]).bytes, [8; 3]);
        assert_eq!(image.part([0, 0, 3, 4]), image);
    }

    #[test]
    fn shrinking_averages_instead_of_picking() {
        let stripes: Vec<u8> = (0..64 * 64).map(|i| if i % 2 == 0 { 0 } else { 200 }).collect();
        let small = grey(64, 64, &stripes).resized(8, 8);
        assert!(small.bytes.iter().all(|&v| (90..=110).contains(&v)), "{:?}", small.bytes);
    }

    #[test]
    fn mask_quarter_rule() {
        // Of each 2x2 block one pixel is a quarter of the area: marked. Of 3x2 it is a sixth: not.
        assert_eq!(grey(2, 2, &[255, 0, 0, 0]).resized_mask(1, 1).bytes, [1]);
        assert_eq!(grey(2, 3, &[255, 0, 0, 0, 0, 0]).resized_mask(1, 1).bytes, [0]);
        // 127 is below half of full scale, 128 above.
        assert_eq!(grey(1, 2, &[127, 128]).resized_mask(1, 2).bytes, [0, 1]);
        // 3 cells to 2: the middle one is shared.
        assert_eq!(grey(1, 3, &[0, 255, 0]).resized_mask(1, 2).bytes, [1, 1]);
    }

    #[test]
    fn a_thin_mask_is_marked_where_it_is_thickest() {
        // 5 x 10 to 1 x 2: one pixel on the left, two on the right, of 25 each.
        let mut bytes = [0; 50];
        for at in [11, 7, 38] {
            bytes[at] = 255;
        }
        let scratch = grey(5, 10, &bytes);
        assert_eq!(scratch.resized_mask(1, 2).bytes, [0, 0]);
        assert_eq!(scratch.resized_thin_mask(1, 2).bytes, [0, 1]);
        assert_eq!(grey(5, 10, &[0; 50]).resized_thin_mask(1, 2).bytes, [0, 0]);
    }

    proptest! {
        #[test]
        fn overlaps_tile_the_line(from in 1_usize..60, to in 1_usize..60) {
            let cells = overlaps(from, to);
            prop_assert_eq!(cells.len(), to);
            for cell in &cells {
                prop_assert_eq!(cell.iter().map(|c| c.1).sum::<u64>(), from as u64);
            }
        }

        #[test]
        fn a_full_mask_stays_full(h in 1_usize..30, w in 1_usize..30, to in 1_usize..30) {
            let full = grey(h, w, &vec![255; h * w]).resized_mask(to, to);
            prop_assert!(full.bytes.iter().all(|&v| v == 1));
        }
    }
}
