//! Many images and masks at once: decoded on all cores into one buffer.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::bytes::Bytes;
use super::dataset::{Sample, Source};
use super::decode::{self, DEFAULT_MAX_PIXELS};
use super::pixels::Pixels;
use super::raster::Raster;
use super::tiles::{Grid, Tiling};
use crate::{Error, Result};

/// The form in which images are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// H, rows.
    pub height: usize,
    /// W, columns.
    pub width: usize,
    /// C, 1 or 3.
    pub channels: usize,
    /// The most pixels that a file may declare.
    pub max_pixels: u64,
    /// Leave out files that cannot be decoded, instead of failing.
    pub skip_bad: bool,
    /// Cut larger images into tiles and resize each; `None`: resize whole images.
    pub tiling: Option<Tiling>,
}

impl LoadOptions {
    /// Images of `height` x `width` with `channels` 1 or 3; any bad file is an error.
    pub fn new(height: usize, width: usize, channels: usize) -> Self {
        let (max_pixels, skip_bad, tiling) = (DEFAULT_MAX_PIXELS, false, None);
        Self { height, width, channels, max_pixels, skip_bad, tiling }
    }

    fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The tiles of an image of `size` `[height, width]`.
    fn grid(&self, size: [usize; 2]) -> Grid {
        Grid::new(size, [self.height, self.width], self.tiling)
    }

    /// What `seen` makes of each tile of an image, one after another.
    fn cut(&self, raster: Raster, seen: impl Fn(Raster) -> Vec<u8>) -> Vec<u8> {
        let grid = self.grid([raster.height, raster.width]);
        match grid.tiles() {
            1 => seen(raster),
            tiles => (0..tiles).flat_map(|i| seen(raster.part(grid.tile(i)))).collect(),
        }
    }

    /// The tiles of each of `samples`, as its header says; `None` for one that cannot be read.
    fn grids(&self, samples: &[Sample]) -> Vec<Option<Grid>> {
        if self.tiling.is_none() {
            // One tile each, whatever their size: no header is read twice.
            return vec![Some(self.grid([self.height, self.width])); samples.len()];
        }
        let grid = |sample: &Sample| Some(self.grid(sample.size(self.max_pixels).ok()?));
        samples.par_iter().map(grid).collect()
    }

    /// A zeroed buffer for `n` images or tiles.
    fn allocate(&self, n: usize) -> Result<Bytes> {
        let Self { height, width, channels, .. } = *self;
        let sides = 1..=1 << 15;
        if !sides.contains(&height) || !sides.contains(&width) || ![1, 3].contains(&channels) {
            return Err(Error::Usage(format!(
                "images of {height} x {width} with {channels} channels: \
                 expected sides of 1 to 32768 and 1 or 3 channels"
            )));
        }
        Bytes::zeroed(n.saturating_mul(self.image_len()))
    }
}

/// Loaded images, and what was left out.
#[derive(Debug)]
pub struct Loaded {
    /// The images that could be decoded, in order; each as all its tiles.
    pub pixels: Pixels,
    /// For each image, which of the samples it is.
    pub kept: Vec<usize>,
    /// For each image, its tiles: one without a [`LoadOptions::tiling`].
    pub grids: Vec<Grid>,
    /// Why each of the others was left out; empty unless [`LoadOptions::skip_bad`].
    pub skipped: Vec<Error>,
}

impl Loaded {
    /// For each of the `pixels`, which of the [images](Self::kept) it is a tile of.
    #[must_use]
    pub fn tile_of(&self) -> Vec<u32> {
        let tiles = |(image, grid): (usize, &Grid)| vec![image as u32; grid.tiles()];
        self.grids.iter().enumerate().flat_map(tiles).collect()
    }
}

/// Called with how many of how many images are done, from any thread, in no order.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

impl Sample {
    /// Decodes this image in the form of `options`: its tiles one after another, `[T, H, W, C]`.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be decoded; see [`decode::decode_file`].
    fn load(&self, options: &LoadOptions) -> Result<Vec<u8>> {
        let LoadOptions { height, width, channels, .. } = *options;
        let raster = self.decode(options.max_pixels)?;
        // Grey before resizing is less work, and colour after it is the same at less work.
        let raster =
            if channels < raster.channels { raster.with_channels(channels) } else { raster };
        Ok(options.cut(raster, |part| part.resized(height, width).with_channels(channels).bytes))
    }

    /// Decodes this image at its own size, grey or RGB as it is stored.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be decoded; see [`decode::decode_file`].
    pub fn decode(&self, max_pixels: u64) -> Result<Raster> {
        match &self.source {
            Source::File(path) => Ok(decode::decode_file(path, max_pixels)?.raster),
            Source::Record { records, index } => Ok(records.raster(*index)),
        }
    }

    /// The `[height, width]` of this image, without decoding it.
    fn size(&self, max_pixels: u64) -> Result<[usize; 2]> {
        match &self.source {
            Source::File(path) => Ok(decode::read_header(path, max_pixels)?.size),
            Source::Record { records, .. } => Ok(records.size()),
        }
    }

    /// Whether this image is grey; decodes it only when its header leaves that open.
    fn is_grey(&self, max_pixels: u64) -> Result<bool> {
        if let Source::File(path) = &self.source
            && decode::read_header(path, max_pixels)?.grey
        {
            return Ok(true);
        }
        Ok(self.decode(max_pixels)?.is_grey())
    }

    /// Decodes the mask of this image at its own size, as it is stored (above 127 = defect); `None`
    /// when it has none.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be decoded or has another size than its image.
    pub fn decode_mask(&self, max_pixels: u64) -> Result<Option<Raster>> {
        let Some(path) = &self.mask else { return Ok(None) };
        let mask = decode::decode_file(path, max_pixels)?.raster;
        let [height, width] = self.size(max_pixels)?;
        if [mask.height, mask.width] != [height, width] {
            let message = format!(
                "mask of {} x {} (height x width), but its image {} has {height} x {width}",
                mask.height, mask.width, self.name
            );
            return Err(Error::file(path, message));
        }
        Ok(Some(mask))
    }
}

/// Loads `samples` into one buffer, on all cores. Beside the buffer, each core holds one image at
/// its full size, and all its tiles.
///
/// # Errors
/// The first bad file, in the order of the samples, unless [`LoadOptions::skip_bad`];
/// [`Error::Limit`] or [`Error::File`] when there is no room for the buffer.
pub fn load(samples: &[Sample], options: &LoadOptions, progress: Progress<'_>) -> Result<Loaded> {
    let grids = options.grids(samples);
    let tiles: Vec<usize> = grids.iter().map(|g| g.as_ref().map_or(0, Grid::tiles)).collect();
    let mut bytes = options.allocate(tiles.iter().sum())?;
    let len = options.image_len();
    let slots = slots(&mut bytes, tiles.iter().map(|tiles| tiles * len));
    let errors = fill(samples, slots, !options.skip_bad, progress, |sample| sample.load(options));
    if let (false, Some((_, error))) = (options.skip_bad, errors.first()) {
        return Err(error.clone());
    }
    let mut bad = errors.iter().map(|(index, _)| *index).peekable();
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    let (mut from, mut to) = (0, 0);
    for (index, grid) in grids.into_iter().enumerate() {
        let size = tiles[index] * len;
        if let (None, Some(grid)) = (bad.next_if_eq(&index), grid) {
            bytes.copy_within(from..from + size, to);
            kept.push(index);
            left.push(grid);
            to += size;
        }
        from += size;
    }
    bytes.truncate(to);
    let LoadOptions { height, width, channels, .. } = *options;
    let pixels = Pixels { n: to / len, height, width, channels, bytes };
    let skipped = errors.into_iter().map(|(_, error)| error).collect();
    Ok(Loaded { pixels, kept, grids: left, skipped })
}

/// Consecutive parts of `bytes`, of the given lengths.
fn slots(mut bytes: &mut [u8], lengths: impl Iterator<Item = usize>) -> Vec<&mut [u8]> {
    let cut = |length| {
        let (slot, rest) = std::mem::take(&mut bytes).split_at_mut(length);
        bytes = rest;
        slot
    };
    lengths.map(cut).collect()
}

/// Writes `work(sample)` into each of `slots`, in parallel, and returns the errors in the order of
/// the samples. With `stop_early`, samples after a failed one may be left undone; those before it
/// never are, so that the first error is always the same.
fn fill(
    samples: &[Sample],
    slots: Vec<&mut [u8]>,
    stop_early: bool,
    progress: Progress<'_>,
    work: impl Fn(&Sample) -> Result<Vec<u8>> + Sync,
) -> Vec<(usize, Error)> {
    let first_bad = AtomicUsize::new(usize::MAX);
    let done = AtomicUsize::new(0);
    samples
        .par_iter()
        .zip(slots)
        .enumerate()
        .filter_map(|(index, (sample, slot))| {
            if stop_early && index > first_bad.load(Ordering::Relaxed) {
                return None;
            }
            let result = work(sample);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, samples.len());
            let error = match result {
                Ok(image) if image.len() == slot.len() => {
                    slot.copy_from_slice(&image);
                    return None;
                }
                // Its header told another size, or could not be read a moment ago.
                Ok(_) => Error::Usage(format!("{}: changed while it was read", sample.name)),
                Err(error) => error,
            };
            first_bad.fetch_min(index, Ordering::Relaxed);
            Some((index, error))
        })
        .collect()
}

/// The masks of some samples.
#[derive(Debug)]
pub struct Masks {
    /// `[N, H, W, 1]`, 1 where a defect is, 0 elsewhere; of each sample as many as it has tiles.
    pub pixels: Pixels,
    /// For each sample whether its mask is known: false for an anomalous one without a mask file,
    /// which must not count as free of defects in a pixel metric.
    pub known: Vec<bool>,
    /// What was wrong with those that were left out, none unless [`LoadOptions::skip_bad`].
    pub skipped: Vec<Error>,
}

/// Loads the masks of `samples` at the size in `options`, cut as their images are; all zero for normal samples.
///
/// A pixel of a mask file is marked when above half of full scale; a pixel at the wanted size is
/// marked when at least a quarter of its area was, or if that is none, when no other was marked more.
///
/// # Errors
/// The first mask, in the order of the samples, that cannot be decoded or has another size than
/// its image; with `skip_bad` it is as if that image had none.
pub fn load_masks(samples: &[Sample], options: &LoadOptions) -> Result<Masks> {
    let options = LoadOptions { channels: 1, ..*options };
    let LoadOptions { height, width, .. } = options;
    let len = options.image_len();
    // Of an image that cannot be read the first error tells.
    let tiles = |grid: &Option<Grid>| grid.as_ref().map_or(1, Grid::tiles);
    let tiles: Vec<usize> = options.grids(samples).iter().map(tiles).collect();
    let n = tiles.iter().sum();
    let mut bytes = options.allocate(n)?;
    let slots = slots(&mut bytes, tiles.iter().map(|tiles| tiles * len));
    let skip_bad = options.skip_bad;
    let mut bad = fill(samples, slots, !skip_bad, &|_, _| {}, |sample| {
        let Some(mask) = sample.decode_mask(options.max_pixels)? else {
            let tiles = match options.tiling {
                Some(_) => options.grid(sample.size(options.max_pixels)?).tiles(),
                None => 1,
            };
            return Ok(vec![0; tiles * len]);
        };
        let marks = options.cut(mask.clone(), |part| part.resized_mask(height, width).bytes);
        if marks.contains(&1) {
            return Ok(marks);
        }
        Ok(options.cut(mask, |part| part.resized_thin_mask(height, width).bytes))
    });
    if !skip_bad && !bad.is_empty() {
        return Err(bad.swap_remove(0).1);
    }
    let is_known = |sample: &Sample| sample.mask.is_some() || !sample.anomalous;
    let mut known: Vec<bool> = samples.iter().map(is_known).collect();
    bad.iter().for_each(|(index, _)| known[*index] = false);
    let skipped = bad.into_iter().map(|(_, error)| error).collect();
    Ok(Masks { pixels: Pixels { n, height, width, channels: 1, bytes }, known, skipped })
}

/// Whether every image of `samples` is grey, so that one channel holds all there is. Stops at the
/// first image in colour.
///
/// # Errors
/// The first file that cannot be decoded, unless an image in colour was found before, or
/// `skip_bad`, when it is left out.
pub fn set_is_grey(samples: &[Sample], max_pixels: u64, skip_bad: bool) -> Result<bool> {
    for part in samples.chunks(GREY_CHUNK) {
        let grey: Vec<Result<bool>> =
            part.par_iter().map(|sample| sample.is_grey(max_pixels)).collect();
        for result in grey {
            match result {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(_) if skip_bad => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(true)
}

/// How many images [`set_is_grey`] decodes before it looks at the results.
const GREY_CHUNK: usize = 32;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use super::*;
    use crate::data::testing::{folder_of, grey_png, numbered, quiet};
    use crate::data::{DataSpec, Dataset, DatasetOptions};

    fn open(dir: &Path) -> Dataset {
        Dataset::open(&DataSpec::folder(dir), &DatasetOptions::default()).unwrap()
    }

    #[test]
    fn loads_in_order_and_reports_progress() {
        let (_dir, samples) = numbered(9, false);
        let seen = Mutex::new(Vec::new());
        let progress = |done, all| seen.lock().unwrap().push((done, all));
        let loaded = load(&samples, &LoadOptions::new(3, 2, 3), &progress).unwrap();
        let Pixels { n, height, width, channels, .. } = loaded.pixels;
        assert_eq!([n, height, width, channels], [9, 3, 2, 3]);
        for i in 0..9 {
            assert_eq!(loaded.pixels.image(i), [10 * (i as u8 + 1); 18]);
        }
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (1..=9).map(|done| (done, 9)).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_bad_file_is_the_error_or_all_are_skipped() {
        let (_dir, samples) = numbered(12, true);
        let mut options = LoadOptions::new(2, 2, 1);
        for _ in 0..20 {
            let message = load(&samples, &options, &quiet).unwrap_err().to_string();
            assert!(message.contains("02.png"), "{message}");
        }
        options.skip_bad = true;
        let loaded = load(&samples, &options, &quiet).unwrap();
        assert_eq!(loaded.kept, [0, 1, 3, 4, 6, 7, 9, 10]);
        assert_eq!(loaded.skipped.len(), 4);
        assert!(loaded.skipped[3].to_string().contains("11.png"));
        assert_eq!(loaded.pixels.bytes.len(), 8 * 4);
        assert_eq!(loaded.pixels.image(7), [110; 4]);
    }

    #[test]
    fn large_images_come_in_tiles() {
        // Columns 0 to 5 and 0 to 2 of brightness; the second image is no larger than a tile.
        let columns = |width: u8| {
            let row: Vec<u8> = std::iter::once(0).chain((0..width).map(|x| 40 * x)).collect();
            crate::data::testing::png(u32::from(width), 2, 8, 0, &[], &row.repeat(2))
        };
        let dir = folder_of([
            ("0.png", columns(6)),
            ("1.png", columns(3)),
            ("2.png", b"x".to_vec()),
            ("3.png", columns(5)),
        ]);
        let tiling = Some(Tiling { side: 4, overlap: 1 });
        let options = LoadOptions { tiling, skip_bad: true, ..LoadOptions::new(1, 4, 1) };
        let samples = open(dir.path()).train;
        let loaded = load(&samples, &options, &quiet).unwrap();
        assert_eq!((&loaded.kept[..], loaded.skipped.len()), (&[0, 1, 3][..], 1));
        assert_eq!(loaded.tile_of(), [0, 0, 1, 2, 2]);
        assert_eq!(loaded.pixels.image(0), [0, 40, 80, 120]);
        assert_eq!(loaded.pixels.image(1), [80, 120, 160, 200]);
        assert_eq!(loaded.pixels.image(4), [40, 80, 120, 160]);
        assert_eq!(loaded.grids[0].map(), [1, 6]);
        assert_eq!(loaded.grids[1].map(), [1, 4]);
        let strict = LoadOptions { skip_bad: false, ..options };
        assert!(load(&samples, &strict, &quiet).unwrap_err().to_string().contains("2.png"));
    }

    #[test]
    fn nothing_but_bad_files_leaves_no_images() {
        let dir = folder_of([("a.png", b"x".to_vec()), ("b.jpg", Vec::new())]);
        let options = LoadOptions { skip_bad: true, ..LoadOptions::new(2, 2, 1) };
        let loaded = load(&open(dir.path()).train, &options, &quiet).unwrap();
        assert_eq!((loaded.pixels.n, loaded.skipped.len()), (0, 2));
        let stats = loaded.pixels.channel_stats();
        assert_eq!((stats.mean, stats.std), (vec![0.0], vec![0.0]));
    }

    #[test]
    fn masks_are_zeros_and_ones_of_the_right_image() {
        // Of 2 x 4 pixels the first: a quarter of the left half.
        let marked = [0, 255, 0, 0, 0, 0, 0, 0, 0, 0];
        let dir = folder_of([
            ("train/good/0.png", grey_png(2, 4, 1)),
            ("test/good/0.png", grey_png(2, 4, 1)),
            ("test/hole/0.png", grey_png(2, 4, 1)),
            ("test/hole/1.png", grey_png(2, 4, 1)),
            ("ground_truth/hole/0_mask.png", crate::data::testing::png(4, 2, 8, 0, &[], &marked)),
        ]);
        let samples = open(dir.path()).test;
        let masks = load_masks(&samples, &LoadOptions::new(1, 2, 3)).unwrap();
        assert_eq!(masks.pixels.bytes[..], [0, 0, 1, 0, 0, 0]);
        assert_eq!(masks.known, [true, true, false]);
    }

    #[test]
    fn a_mask_of_another_size_names_both() {
        let dir = folder_of([
            ("train/good/0.png", grey_png(2, 4, 1)),
            ("test/hole/0.png", grey_png(2, 4, 1)),
            ("ground_truth/hole/0.png", grey_png(4, 2, 255)),
        ]);
        let error = load_masks(&open(dir.path()).test, &LoadOptions::new(2, 2, 1)).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("mask of 4 x 2"), "{message}");
        assert!(message.contains("test/hole/0.png has 2 x 4"), "{message}");
        let lenient = LoadOptions { skip_bad: true, ..LoadOptions::new(2, 2, 1) };
        let masks = load_masks(&open(dir.path()).test, &lenient).unwrap();
        assert_eq!((masks.known, masks.skipped.len()), (vec![false], 1));
    }

    #[test]
    fn a_set_is_grey_until_an_image_has_colour() {
        let rgb = |pixel: [u8; 3]| {
            crate::data::testing::png(1, 1, 8, 2, &[], &[&[0], &pixel[..]].concat())
        };
        let grey = [("0.png", grey_png(3, 3, 9)), ("1.png", rgb([5, 5, 5]))];
        let dir = folder_of(grey.clone());
        assert!(set_is_grey(&open(dir.path()).train, DEFAULT_MAX_PIXELS, false).unwrap());
        let dir = folder_of(grey.into_iter().chain([("2.png", rgb([5, 5, 6]))]));
        assert!(!set_is_grey(&open(dir.path()).train, DEFAULT_MAX_PIXELS, false).unwrap());
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        let (_dir, samples) = numbered(1, false);
        for (height, width, channels) in [(0, 4, 1), (4, 0, 3), (4, 4, 2), (1 << 16, 4, 1)] {
            let options = LoadOptions::new(height, width, channels);
            let error = load(&samples, &options, &quiet).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{error}");
        }
    }
}
