//! Score maps to look at: overlays on images, and contact sheets.
//!
//! Colours follow inferno, which is perceptually even: equal steps in score look like equal steps
//! in colour, also in print and to colour-blind eyes. The image below is shown in grey, so that
//! colour means score alone. One [`Range`] for all images of a run makes their colours comparable.

use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::write_atomic;
use crate::data::Raster;
use crate::{Error, Result};

/// A score for each of `height` x `width` cells of an image, high meaning anomalous.
#[derive(Debug, Clone, Copy)]
pub struct ScoreMap<'a> {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) values: &'a [f32],
}

impl<'a> ScoreMap<'a> {
    /// The map `values`, `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Usage`] when the sizes differ, there are no cells, or a value is not finite.
    pub fn new(height: usize, width: usize, values: &'a [f32]) -> Result<Self> {
        if height * width != values.len() || values.is_empty() {
            let found = values.len();
            let message = format!("score map of {height} x {width}: it has {found} values");
            return Err(Error::Usage(message));
        }
        match values.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                Err(Error::Usage(format!("score map: expected finite values, got {value}")))
            }
            None => Ok(Self { height, width, values }),
        }
    }

    /// The map at `height` x `width`: bilinear between the middles of its cells, level beyond the
    /// outermost.
    pub fn resized(&self, height: usize, width: usize) -> Vec<f32> {
        let columns = taps(self.width, width);
        let mut values = Vec::with_capacity(height * width);
        for (above, below, down) in taps(self.height, height) {
            let row = |y: usize| &self.values[y * self.width..][..self.width];
            let (above, below) = (row(above), row(below));
            values.extend(columns.iter().map(|&(left, right, along)| {
                let upper = mix(above[left], above[right], along);
                mix(upper, mix(below[left], below[right], along), down)
            }));
        }
        values
    }
}

/// For each of `to` cells its two neighbours among `from`, and the weight of the second.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let last = from - 1;
    let tap = |cell: usize| {
        let at = (cell as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let at = at.clamp(0.0, last as f64);
        let first = at.floor();
        (first as usize, (first as usize + 1).min(last), (at - first) as f32)
    };
    (0..to).map(tap).collect()
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

/// Which scores get the darkest and the brightest colour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// This and everything below is darkest.
    pub low: f32,
    /// This and everything above is brightest.
    pub high: f32,
}

impl Range {
    /// A range for all `maps` together: the lower half of all scores is darkest, the highest
    /// thousandth brightest. With maps of normal images only, noise fills the whole range.
    pub fn of<'a>(maps: impl IntoIterator<Item = ScoreMap<'a>>) -> Self {
        let mut values: Vec<f32> = maps.into_iter().flat_map(|map| map.values).copied().collect();
        values.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| {
            let index = (share * values.len().saturating_sub(1) as f64).round() as usize;
            values.get(index).copied().unwrap_or_default()
        };
        Self { low: at(0.5), high: at(0.999) }
    }

    /// Where `score` lies in the range, 0 to 1.
    fn share(self, score: f32) -> f32 {
        let width = self.high - self.low;
        if width > 0.0 { ((score - self.low) / width).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// The colour of a `share` of the range, 0 to 1.
pub fn colour(share: f32) -> [u8; 3] {
    let colorous::Color { r, g, b } = colorous::INFERNO.eval_continuous(f64::from(share));
    [r, g, b]
}

/// `image` in grey with the colours of `map` over it, RGB, at the image's own size. The higher the
/// score, the more the colour hides the image.
pub fn overlay(image: &Raster, map: ScoreMap<'_>, range: Range) -> Raster {
    const THINNEST: f32 = 0.35;
    const THICKEST: f32 = 0.75;
    let palette: Vec<[u8; 3]> = (0..=255).map(|i| colour(i as f32 / 255.0)).collect();
    let grey = image.clone().with_channels(1);
    let scores = map.resized(image.height, image.width);
    let bytes = grey.bytes.iter().zip(scores).flat_map(|(&below, score)| {
        let share = range.share(score);
        let cover = mix(THINNEST, THICKEST, share);
        let above = palette[(255.0 * share).round() as usize];
        above.map(|above| mix(f32::from(below), f32::from(above), cover).round() as u8)
    });
    Raster { height: image.height, width: image.width, channels: 3, bytes: bytes.collect() }
}

/// `image` as RGB with a line of `thickness` pixels around what `mask` (`[height, width]`, nonzero
/// = defect) marks. The line lies outside, so that it hides no defect.
///
/// # Errors
/// [`Error::Usage`] when the mask is not of the image's size.
pub fn outline(image: &Raster, mask: &[u8], thickness: usize) -> Result<Raster> {
    let (height, width) = (image.height, image.width);
    if mask.len() != height * width {
        let found = mask.len();
        return Err(Error::Usage(format!("mask of {found} pixels on {height} x {width} image")));
    }
    let mut drawn = image.clone().with_channels(3);
    for y in 0..height {
        for x in 0..width {
            let rows = y.saturating_sub(thickness)..(y + thickness + 1).min(height);
            let columns = x.saturating_sub(thickness)..(x + thickness + 1).min(width);
            let near = |row: usize| mask[row * width..][columns.clone()].iter().any(|&m| m != 0);
            if mask[y * width + x] == 0 && rows.into_iter().any(near) {
                drawn.bytes[3 * (y * width + x)..][..3].copy_from_slice(&LINE);
            }
        }
    }
    Ok(drawn)
}

/// Colour of outlines: none that inferno has.
const LINE: [u8; 3] = [0, 230, 140];

/// One row of a contact sheet.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    /// The image.
    pub image: &'a Raster,
    /// Its scores.
    pub map: ScoreMap<'a>,
    /// What is really wrong with it, at the image's own size, above 127 = defect; where known.
    pub mask: Option<&'a Raster>,
}

/// A contact sheet: for each example the image, its overlay, and its mask's outline (or nothing),
/// each fitted into a square of `cell` pixels; `columns` examples side by side, and at the right
/// border the colours from low (bottom) to high (top).
///
/// # Errors
/// [`Error::Usage`] when a size is 0.
pub fn sheet(
    examples: &[Example<'_>],
    range: Range,
    cell: usize,
    columns: usize,
) -> Result<Raster> {
    if examples.is_empty() || cell == 0 || columns == 0 {
        let count = examples.len();
        let message = format!("contact sheet of {count} examples, cells of {cell}, {columns} wide");
        return Err(Error::Usage(message));
    }
    let columns = columns.min(examples.len());
    let rows = examples.len().div_ceil(columns);
    let group = 3 * cell + 2 * GAP;
    let height = GROUP_GAP + rows * (cell + GROUP_GAP);
    let bar = GROUP_GAP + columns * (group + GROUP_GAP);
    let mut page = Raster {
        height,
        width: bar + BAR + GROUP_GAP,
        channels: 3,
        bytes: vec![PAPER; 3 * height * (bar + BAR + GROUP_GAP)],
    };
    for (index, example) in examples.iter().enumerate() {
        let top = GROUP_GAP + index / columns * (cell + GROUP_GAP);
        let left = GROUP_GAP + index % columns * (group + GROUP_GAP);
        for (position, picture) in example.pictures(range, cell)?.into_iter().enumerate() {
            let Some(picture) = picture else { continue };
            let left = left + position * (cell + GAP) + (cell - picture.width) / 2;
            paste(&mut page, &picture, top + (cell - picture.height) / 2, left);
        }
    }
    paste(&mut page, &colour_bar(height - 2 * GROUP_GAP), GROUP_GAP, bar);
    Ok(page)
}

/// Pixels between the pictures of one example, between examples, and of the colour bar.
const GAP: usize = 4;
const GROUP_GAP: usize = 12;
const BAR: usize = 14;
/// Brightness of the page.
const PAPER: u8 = 238;

impl Example<'_> {
    /// Image, overlay and, where there is a mask, its outline, each fitted into a square of `cell`
    /// pixels.
    ///
    /// # Errors
    /// None beyond those of [`outline`].
    pub fn pictures(&self, range: Range, cell: usize) -> Result<[Option<Raster>; 3]> {
        let longest = self.image.height.max(self.image.width).max(1);
        let fit = |side: usize| (side * cell / longest).max(1);
        let (height, width) = (fit(self.image.height), fit(self.image.width));
        let image = self.image.clone().resized(height, width);
        let overlaid = overlay(&image, self.map, range);
        let outlined = self.mask.map(|mask| {
            let mut marked = mask.resized_mask(height, width).bytes;
            if !marked.contains(&1) {
                marked = mask.resized_thin_mask(height, width).bytes;
            }
            outline(&image, &marked, (cell / 160).max(1))
        });
        Ok([Some(image.with_channels(3)), Some(overlaid), outlined.transpose()?])
    }
}

/// The colours from low at the bottom to high at the top.
fn colour_bar(height: usize) -> Raster {
    let rows = (0..height).rev().map(|y| colour(y as f32 / (height - 1).max(1) as f32));
    let bytes = rows.flat_map(|colour| colour.repeat(BAR)).collect();
    Raster { height, width: BAR, channels: 3, bytes }
}

/// Copies `picture` onto `page`, both RGB, where it fits.
fn paste(page: &mut Raster, picture: &Raster, top: usize, left: usize) {
    for (y, row) in picture.bytes.chunks_exact(3 * picture.width).enumerate() {
        let start = 3 * ((top + y) * page.width + left);
        page.bytes[start..start + row.len()].copy_from_slice(row);
    }
}

/// Writes `raster` as PNG to `path`, whole or not at all.
///
/// # Errors
/// [`Error::File`] when it cannot be written.
pub fn write_png(path: impl AsRef<Path>, raster: &Raster) -> Result<()> {
    let path = path.as_ref();
    let kind = if raster.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&raster.bytes, raster.width as u32, raster.height as u32, kind)
        .map_err(|error| Error::file(path, format!("cannot be written: {error}")))?;
    write_atomic(path, &png)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grey(height: usize, width: usize, value: u8) -> Raster {
        Raster { height, width, channels: 1, bytes: vec![value; height * width] }
    }

    fn pixel(raster: &Raster, y: usize, x: usize) -> [u8; 3] {
        let at = 3 * (y * raster.width + x);
        [raster.bytes[at], raster.bytes[at + 1], raster.bytes[at + 2]]
    }

    const UNIT: Range = Range { low: 0.0, high: 1.0 };

    #[test]
    fn brightness_rises_evenly_with_the_score() {
        // Inferno is even in CAM02-UCS; L*, which is simpler, runs a little flatter at the dark end.
        // CIE lightness L* of an sRGB colour, 0 to 100.
        let lightness = |[r, g, b]: [u8; 3]| {
            let linear = |value: u8| match f64::from(value) / 255.0 {
                v if v <= 0.04045 => v / 12.92,
                v => ((v + 0.055) / 1.055).powf(2.4),
            };
            let y = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
            if y <= 0.008_856 { 903.3 * y } else { 116.0 * y.cbrt() - 16.0 }
        };
        let steps: Vec<_> = (0..=10).map(|i| lightness(colour(i as f32 / 10.0))).collect();
        assert!(
            steps.windows(2).all(|pair| (6.0..13.0).contains(&(pair[1] - pair[0]))),
            "{steps:?}"
        );
        assert_eq!([colour(0.0), colour(1.0)], [[0, 0, 4], [252, 255, 164]]);
        assert_eq!([colour(-3.0), colour(9.0)], [colour(0.0), colour(1.0)]);
    }

    #[test]
    fn bilinear_by_hand() {
        let map = ScoreMap::new(1, 2, &[0.0, 4.0]).unwrap();
        assert_eq!(map.resized(2, 4), [0.0, 1.0, 3.0, 4.0, 0.0, 1.0, 3.0, 4.0]);
        let column = ScoreMap::new(2, 1, &[0.0, 4.0]).unwrap();
        assert_eq!(column.resized(4, 1), [0.0, 1.0, 3.0, 4.0]);
        // The middle of one cell lies between those of two.
        assert_eq!(map.resized(1, 1), [2.0]);
    }

    proptest! {
        #[test]
        fn resizing_keeps_planes_and_bounds(
            (h, w, to_h, to_w) in (1_usize..9, 1_usize..9, 1_usize..30, 1_usize..30),
            value in -9.0_f32..9.0,
        ) {
            let flat = vec![value; h * w];
            let resized = ScoreMap::new(h, w, &flat).unwrap().resized(to_h, to_w);
            prop_assert_eq!(resized, vec![value; to_h * to_w]);
            let ramp: Vec<f32> = (0..h * w).map(|i| (i % w) as f32).collect();
            let resized = ScoreMap::new(h, w, &ramp).unwrap().resized(to_h, to_w);
            prop_assert!(resized.iter().all(|v| (0.0..=(w - 1) as f32).contains(v)));
            prop_assert!(resized.chunks(to_w).all(|row| row.is_sorted()));
        }
    }

    #[test]
    fn an_overlay_has_the_size_of_the_image_and_the_colours_of_the_range() {
        let image = Raster { channels: 3, bytes: vec![100; 3 * 20 * 30], ..grey(20, 30, 0) };
        let values = [-5.0, 0.0, 1.0, 7.0];
        let map = ScoreMap::new(1, 4, &values).unwrap();
        let drawn = overlay(&image, map, UNIT);
        assert_eq!((drawn.height, drawn.width, drawn.channels), (20, 30, 3));
        assert_eq!(drawn.bytes.len(), 3 * 20 * 30);
        let blend = |above: [u8; 3], cover: f32| {
            above.map(|above| mix(100.0, f32::from(above), cover).round() as u8)
        };
        assert_eq!(pixel(&drawn, 3, 0), blend(colour(0.0), 0.35));
        assert_eq!(pixel(&drawn, 3, 29), blend(colour(1.0), 0.75));
        // The same score has the same colour whatever else the map holds.
        let other = ScoreMap::new(1, 2, &[0.5, 0.5]).unwrap();
        let half = ScoreMap::new(1, 1, &[0.5]).unwrap();
        assert_eq!(overlay(&image, other, UNIT), overlay(&image, half, UNIT));
        let flat = Range { low: 2.0, high: 2.0 };
        assert_eq!(pixel(&overlay(&image, map, flat), 0, 29), blend(colour(0.0), 0.35));
    }

    #[test]
    fn ranges_leave_the_lower_half_dark() {
        let values: Vec<f32> = (0..2001).map(|i| i as f32).collect();
        let map = ScoreMap::new(2001, 1, &values).unwrap();
        assert_eq!(Range::of([map]), Range { low: 1000.0, high: 1998.0 });
        assert_eq!(Range::of([]), Range { low: 0.0, high: 0.0 });
    }

    #[test]
    fn maps_that_are_no_maps_are_refused() {
        assert!(ScoreMap::new(2, 2, &[0.0; 3]).is_err());
        assert!(ScoreMap::new(0, 0, &[]).is_err());
        let message = ScoreMap::new(1, 2, &[0.0, f32::NAN]).unwrap_err().to_string();
        assert!(message.contains("finite values, got NaN"), "{message}");
    }

    #[test]
    fn outlines_surround_the_mask_and_leave_it_alone() {
        let mut mask = vec![0; 6 * 7];
        mask[2 * 7 + 3] = 1;
        let drawn = outline(&grey(6, 7, 50), &mask, 1).unwrap();
        for y in 0..6_usize {
            for x in 0..7_usize {
                let ring = y.abs_diff(2).max(x.abs_diff(3)) == 1;
                assert_eq!(pixel(&drawn, y, x), if ring { LINE } else { [50; 3] }, "{y} {x}");
            }
        }
        assert!(outline(&grey(6, 7, 50), &mask[1..], 1).is_err());
    }

    #[test]
    fn sheets_hold_every_example_at_its_aspect() {
        let wide = grey(10, 40, 200);
        let map = ScoreMap::new(1, 1, &[1.0]).unwrap();
        let mask = grey(10, 40, 255);
        let masked = Example { image: &wide, map, mask: Some(&mask) };
        let page = sheet(&[masked, Example { mask: None, ..masked }, masked], UNIT, 32, 2).unwrap();
        let group = 3 * 32 + 2 * GAP;
        let width = 2 * (group + GROUP_GAP) + GROUP_GAP + BAR + GROUP_GAP;
        assert_eq!((page.height, page.width), (2 * (32 + GROUP_GAP) + GROUP_GAP, width));
        // 8 rows high in the middle of its cell.
        assert_eq!(pixel(&page, GROUP_GAP + 11, GROUP_GAP), [PAPER; 3]);
        assert_eq!(pixel(&page, GROUP_GAP + 12, GROUP_GAP), [200; 3]);
        // The second has no mask, so its third cell is empty.
        let third = GROUP_GAP + 2 * (32 + GAP) + 16;
        assert_eq!(pixel(&page, GROUP_GAP + 16, third), [200; 3]);
        assert_eq!(pixel(&page, GROUP_GAP + 16, third + group + GROUP_GAP), [PAPER; 3]);
        assert!(sheet(&[], UNIT, 32, 2).is_err());
    }

    #[test]
    fn png_files_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for channels in [1, 3] {
            let bytes = (0..5 * 4 * channels as u8).collect();
            let raster = Raster { height: 5, width: 4, channels, bytes };
            let path = folder.path().join("a.png");
            write_png(&path, &raster).unwrap();
            assert_eq!(crate::data::decode_file(&path, 100).unwrap().raster, raster);
        }
        assert!(write_png(folder.path().join("none/a.png"), &grey(1, 1, 0)).is_err());
    }
}
