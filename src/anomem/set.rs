//! The images of a training: normal ones, labelled anomalies, those kept back to measure on; and which
//! of them each step sees.

use super::config::{Config, HeadKind, Pseudo};
use super::labels::Composition;
use crate::data::{
    ChannelStats, DEFAULT_MAX_PIXELS, DataSpec, Dataset, LoadOptions, Loaded, Pixels, Progress,
    Sample, fingerprint, load, load_masks, set_is_grey,
};
use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// Images to learn from.
pub struct TrainingSet {
    /// Images at the model's size: normal ones, each as all its tiles, then labelled anomalies.
    pub pixels: Pixels,
    /// For each of the normal `pixels`, which image it is a tile of; rising from 0.
    pub tile_of: Vec<u32>,
    /// How many of them, at the end, are anomalies.
    pub anomalies: usize,
    /// Where those are anomalous, as far as that is known.
    pub(super) marks: Option<Marks>,
    /// Mean and deviation of the normal images' channels.
    pub stats: ChannelStats,
    /// Normal images to measure scores on, instead of a share of the former.
    held_out: Option<HeldOut>,
    /// How all of them are loaded.
    options: LoadOptions,
    /// The images' fingerprint.
    pub fingerprint: String,
    /// That of the normal ones, and of those to measure scores on.
    pub(super) normals: String,
    /// The set as it was named.
    pub spec: String,
}

impl TrainingSet {
    /// Decodes the training images of `dataset` in the form that `config` asks for; grey if all
    /// images are and the configuration leaves it open. Returns the errors of the images that were
    /// left out, none unless `skip_bad`.
    ///
    /// # Errors
    /// No training image, the first bad file, or no room for the images.
    pub fn load(
        config: &Config,
        dataset: &Dataset,
        skip_bad: bool,
        progress: Progress<'_>,
    ) -> Result<(Self, Vec<Error>)> {
        let samples = &dataset.train;
        if samples.is_empty() {
            return Err(Error::Usage(format!("{}: no normal image to train on", dataset.spec)));
        }
        let channels = match config.image.channels {
            Some(channels) => channels,
            None if set_is_grey(samples, DEFAULT_MAX_PIXELS, skip_bad)? => 1,
            None => 3,
        };
        let size = config.image.size;
        let options = LoadOptions {
            skip_bad,
            tiling: config.image.tiling(),
            ..LoadOptions::new(size.height, size.width, channels)
        };
        let loaded = load(samples, &options, progress)?;
        let kept: Vec<Sample> = loaded.kept.iter().map(|i| samples[*i].clone()).collect();
        let fingerprint = fingerprint(&kept, &loaded.pixels);
        let set = Self {
            stats: loaded.pixels.channel_stats(),
            tile_of: loaded.tile_of(),
            pixels: loaded.pixels,
            anomalies: 0,
            marks: None,
            held_out: None,
            options,
            normals: fingerprint.clone(),
            fingerprint,
            spec: dataset.spec.to_string(),
        };
        Ok((set, loaded.skipped))
    }

    /// Adds labelled anomalies to learn from; of one in tiles those that show some of what its mask marks. Returns
    /// the errors of those left out, none unless `skip_bad`.
    ///
    /// # Errors
    /// No image, the first bad file or mask, or an image larger than a tile without a mask: which of its tiles are
    /// anomalous is not known.
    pub fn add_anomalies(&mut self, samples: &[Sample], skip_bad: bool) -> Result<Vec<Error>> {
        let mut loaded = self.more(samples, skip_bad, "anomalies to learn from")?;
        let kept: Vec<Sample> = loaded.kept.iter().map(|i| samples[*i].clone()).collect();
        let masks = load_masks(&kept, &LoadOptions { skip_bad, ..self.options })?;
        let (mut tiles, mut known, mut image_of) = (Vec::new(), Vec::new(), Vec::new());
        for (tile, image) in loaded.tile_of().into_iter().enumerate() {
            let (count, has_mask) =
                (loaded.grids[image as usize].tiles(), masks.known[image as usize]);
            let marks_some = masks.pixels.image(tile).contains(&1);
            if count > 1 && !has_mask {
                if skip_bad && kept[image as usize].mask.is_some() {
                    continue;
                }
                return Err(Error::Usage(format!(
                    "{}: an anomaly to learn from that is cut into {count} tiles, most of which may be normal; \
                     expected a mask of it, or the part that is anomalous, at most {side} x {side} pixels \
                     (image.tile)",
                    kept[image as usize].name,
                    side = self.options.tiling.map_or(0, |tiling| tiling.side)
                )));
            }
            if count == 1 || marks_some {
                tiles.push(tile as u32);
                // An anomaly of which nothing is marked is anomalous somewhere.
                known.push(has_mask && marks_some);
                image_of.push(image);
            }
        }
        if tiles.is_empty() {
            return Err(Error::Usage(format!("{}: masks that mark nothing", kept[0].name)));
        }
        let first = self.tile_of.len() as u32;
        let image_of = numbered(&image_of);
        let marks = Marks { first, pixels: masks.pixels.chosen(&tiles)?, known, image_of };
        self.fingerprint = match marks.known.contains(&true) {
            true => merged(&self.fingerprint, "masks", &fingerprint(&[], &marks.pixels)),
            false => std::mem::take(&mut self.fingerprint),
        };
        self.marks = Some(match self.marks.take() {
            Some(others) => others.joined(&marks)?,
            None => marks,
        });
        self.anomalies += tiles.len();
        self.pixels = self.pixels.joined(&loaded.pixels.chosen(&tiles)?)?;
        loaded.skipped.extend(masks.skipped);
        Ok(loaded.skipped)
    }

    /// Keeps the normal images of `folder` to measure scores on. Returns the errors of those left out, none unless
    /// `skip_bad`.
    ///
    /// # Errors
    /// No image, or the first bad file.
    pub fn calibrate_on(&mut self, folder: &Path, skip_bad: bool) -> Result<Vec<Error>> {
        let images = Dataset::open(&DataSpec::plain(folder), &Default::default())?;
        let loaded = self.more(&images.train, skip_bad, "images to calibrate with")?;
        let tile_of = loaded.tile_of();
        self.held_out = Some(HeldOut { pixels: loaded.pixels, tile_of, unseen: true });
        self.normals = merged(&self.normals, "held out", &self.fingerprint);
        Ok(loaded.skipped)
    }

    /// Normal images.
    #[must_use]
    pub fn images(&self) -> usize {
        self.tile_of.last().map_or(0, |last| *last as usize + 1)
    }

    /// Whether normal images were named to measure scores on.
    pub(super) fn is_calibrated(&self) -> bool {
        self.held_out.is_some()
    }

    /// Refuses labelled anomalies of which heads of the kind `head` would learn nothing, where nothing else learns.
    ///
    /// # Errors
    /// Heads of positions alone, and no mask.
    pub(super) fn check_marks(&self, head: HeadKind) -> Result<()> {
        match &self.marks {
            Some(marks) if head == HeadKind::Position && !marks.known.contains(&true) => {
                Err(Error::Usage(format!(
                    "{}: {} labelled anomalies without a mask, of which heads of positions learn nothing; \
                     expected --masks, or a model with stage2.head = \"image\" or \"both\"",
                    self.spec, self.anomalies
                )))
            }
            _ => Ok(()),
        }
    }

    fn more(&mut self, samples: &[Sample], skip_bad: bool, what: &str) -> Result<Loaded> {
        let options = LoadOptions { skip_bad, ..self.options };
        let loaded = load(samples, &options, &|_, _| {})?;
        if loaded.pixels.n == 0 {
            return Err(Error::Usage(format!("{}: no {what}", self.spec)));
        }
        let kept: Vec<Sample> = loaded.kept.iter().map(|i| samples[*i].clone()).collect();
        let theirs = fingerprint(&kept, &loaded.pixels);
        self.fingerprint = merged(&self.fingerprint, what, &theirs);
        Ok(loaded)
    }
}

/// The numbers of a rising list without gaps: from 0, one more wherever a new one begins.
fn numbered(list: &[u32]) -> Vec<u32> {
    let mut each = list.to_vec();
    each.dedup();
    list.iter().map(|number| each.partition_point(|other| other < number) as u32).collect()
}

/// The fingerprint of a set and what joins it.
fn merged(ours: &str, what: &str, theirs: &str) -> String {
    blake3::hash(format!("{ours}{what}{theirs}").as_bytes()).to_hex().to_string()
}

/// Where labelled anomalies are anomalous.
pub(super) struct Marks {
    /// The first of them in the set.
    pub first: u32,
    /// `[A, H, W, 1]`, 1 where anomalous.
    pub pixels: Pixels,
    /// For each of them whether that is known.
    pub known: Vec<bool>,
    /// For each of them, which image it is a tile of; rising.
    pub image_of: Vec<u32>,
}

impl Marks {
    /// How many images.
    pub(super) fn images(&self) -> usize {
        self.image_of.last().map_or(0, |last| *last as usize + 1)
    }

    /// The places in the set of the images `chosen`, all tiles of each.
    pub(super) fn places_of(&self, chosen: &[u32]) -> Vec<u32> {
        let (tiles, _) = tiles_of(&self.image_of, chosen);
        tiles.into_iter().map(|tile| self.first + tile).collect()
    }

    fn joined(mut self, more: &Self) -> Result<Self> {
        self.known.extend(&more.known);
        let next = self.image_of.last().map_or(0, |last| last + 1);
        self.image_of.extend(more.image_of.iter().map(|image| next + image));
        Ok(Self { pixels: self.pixels.joined(&more.pixels)?, ..self })
    }
}

/// Normal images that scores are measured on after the training.
pub(super) struct HeldOut {
    pub pixels: Pixels,
    /// For each of them, which image it is a tile of; rising from 0.
    pub tile_of: Vec<u32>,
    /// Whether none of them was trained on.
    pub unseen: bool,
}

impl HeldOut {
    /// The greatest value of each image, of those of its tiles: as images are scored.
    pub(super) fn greatest(&self, of_tiles: &[f32]) -> Vec<f32> {
        let mut list = vec![f32::NEG_INFINITY; self.images()];
        for (image, value) in self.tile_of.iter().zip(of_tiles) {
            list[*image as usize] = list[*image as usize].max(*value);
        }
        list
    }

    /// How many images.
    pub(super) fn images(&self) -> usize {
        self.tile_of.last().map_or(0, |last| *last as usize + 1)
    }
}

/// Which images of a set are trained on.
pub(super) struct Split {
    /// Normal ones.
    pub normals: Vec<u32>,
    /// Labelled anomalies.
    pub anomalies: Vec<u32>,
}

/// A set divided into what is trained on and what is measured on.
pub(super) struct Divided {
    pub set: TrainingSet,
    pub split: Split,
    pub held_out: HeldOut,
}

impl Divided {
    /// Keeps back the images that the set names for it, or a share of the normal ones; where that is
    /// none, scores are measured on those trained on.
    ///
    /// # Errors
    /// No room for the images kept back.
    pub(super) fn of(config: &Config, mut set: TrainingSet) -> Result<Self> {
        let normal = set.tile_of.len() as u32;
        let anomalies: Vec<u32> = (normal..set.pixels.n as u32).collect();
        if let Some(held_out) = set.held_out.take() {
            let split = Split { normals: (0..normal).collect(), anomalies };
            return Ok(Self { set, split, held_out });
        }
        // By image: a tile overlaps others of its image, which must not be trained on.
        let images: Vec<u32> = (0..set.images() as u32).collect();
        let order = permutation(config.seed, usize::MAX / 2, &images);
        let (n, share) = (images.len(), config.score.held_out);
        let held = if n < 20 { 0 } else { (n as f64 * share).round() as usize };
        let (held_out, train) = order.split_at(held);
        let (mut normals, _) = tiles_of(&set.tile_of, train);
        normals.sort_unstable();
        let (tiles, tile_of) = tiles_of(&set.tile_of, if held == 0 { &images } else { held_out });
        let held_out = HeldOut { pixels: set.pixels.chosen(&tiles)?, tile_of, unseen: held > 0 };
        Ok(Self { set, split: Split { normals, anomalies }, held_out })
    }
}

/// The tiles of the images `chosen`, in their order, and for each which of `chosen` it is of.
fn tiles_of(tile_of: &[u32], chosen: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let tiles = |(place, image): (usize, &u32)| {
        let start = tile_of.partition_point(|of| of < image) as u32;
        let end = tile_of.partition_point(|of| of <= image) as u32;
        (start..end).map(move |tile| (tile, place as u32))
    };
    chosen.iter().enumerate().flat_map(tiles).unzip()
}

impl Split {
    /// Images to train on.
    pub(super) fn len(&self) -> usize {
        self.normals.len() + self.anomalies.len()
    }
}

/// How batches are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recipe {
    /// Images per batch.
    pub batch: usize,
    /// Labelled anomalies drawn into each batch; absent: they come as often as there are.
    pub labelled: Option<usize>,
    /// Of the normal images of each batch, those that anomalies are made of.
    pub made: usize,
}

impl Recipe {
    /// For stage 1 alone (`balanced`: for the heads). Half of the anomalous part is labelled where
    /// anomalies are both labelled and made.
    pub(super) fn of(config: &Config, split: &Split, batch: usize, balanced: bool) -> Self {
        let makes = config.anomalies.pseudo != Pseudo::None;
        if !makes && (!balanced || split.anomalies.is_empty()) {
            return Self { batch, labelled: None, made: 0 };
        }
        let share = (batch as f64 * config.anomalies.share).round() as usize;
        let anomalous = share.clamp(1, batch - 1);
        let labelled = match (split.anomalies.is_empty(), makes) {
            (true, _) => 0,
            (false, true) => anomalous / 2,
            (false, false) => anomalous,
        };
        Self { batch, labelled: Some(labelled), made: anomalous - labelled }
    }

    /// Batches in a pass over the normal images, or over all where labelled anomalies come as often as
    /// there are.
    pub(super) fn steps(&self, split: &Split, drop_last: bool) -> usize {
        let (images, batch) = match self.labelled {
            None => (split.len(), self.batch),
            Some(labelled) => (split.normals.len(), self.batch - labelled),
        };
        if drop_last { (images / batch).max(1) } else { images.div_ceil(batch) }
    }

    /// The batches of an epoch. An incomplete last one is filled from the epoch's beginning.
    pub(super) fn epoch(
        &self,
        split: &Split,
        seed: u64,
        epoch: usize,
        drop_last: bool,
    ) -> Vec<Composition> {
        let labelled = self.labelled.unwrap_or(0);
        let first_anomaly = split.anomalies.first().copied().unwrap_or(u32::MAX);
        let pool = match self.labelled {
            None => [&split.normals[..], &split.anomalies].concat(),
            Some(_) => split.normals.clone(),
        };
        let order = permutation(seed, epoch, &pool);
        let anomalies = permutation(!seed, epoch, &split.anomalies);
        let per = self.batch - labelled;
        (0..self.steps(split, drop_last))
            .map(|k| {
                let mut indices: Vec<u32> =
                    order.iter().cycle().skip(k * per).take(per).copied().collect();
                indices.extend(anomalies.iter().cycle().skip(k * labelled).take(labelled));
                let normal: Vec<bool> = indices.iter().map(|i| *i < first_anomaly).collect();
                let made = (0..self.batch).map(|i| i < per && i >= per - self.made).collect();
                Composition { indices, normal, made }
            })
            .collect()
    }
}

/// `indices` in the order of an epoch.
pub(super) fn permutation(seed: u64, epoch: usize, indices: &[u32]) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(epoch as u64);
    let mut order = indices.to_vec();
    order.shuffle(&mut random);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_its_own_order() {
        let all: Vec<u32> = (0..100).collect();
        let (a, b) = (permutation(1, 0, &all), permutation(1, 1, &all));
        assert!(a != b && a != permutation(2, 0, &all) && a == permutation(1, 0, &all));
        let mut sorted = a;
        sorted.sort_unstable();
        assert_eq!(sorted, all);
    }

    #[test]
    fn images_are_held_out_whole() {
        // 3 images of 2, 1 and 3 tiles.
        let tile_of = [0, 0, 1, 2, 2, 2];
        let (tiles, of) = tiles_of(&tile_of, &[2, 0]);
        assert_eq!((&tiles[..], &of[..]), (&[3, 4, 5, 0, 1][..], &[0, 0, 0, 1, 1][..]));
        let pixels = Pixels { n: 5, height: 1, width: 1, channels: 1, bytes: vec![0; 5].into() };
        let held_out = HeldOut { pixels, tile_of: of, unseen: true };
        assert_eq!(held_out.greatest(&[1.0, 5.0, 2.0, -1.0, -3.0]), [5.0, -1.0]);
    }

    #[test]
    fn tiles_of_an_anomaly_stay_together() {
        let marks = |image_of: &[u32]| {
            let n = image_of.len();
            let pixels = Pixels { n, height: 1, width: 1, channels: 1, bytes: vec![1; n].into() };
            Marks { first: 10, pixels, known: vec![true; n], image_of: image_of.to_vec() }
        };
        let all = marks(&[0, 0, 1]).joined(&marks(&numbered(&[1, 1, 4]))).unwrap();
        assert_eq!(all.image_of, [0, 0, 1, 2, 2, 3]);
        assert_eq!((all.images(), all.known.len(), all.pixels.n), (4, 6, 6));
        assert_eq!(all.places_of(&[2, 0]), [13, 14, 10, 11]);
    }

    fn split(normals: u32, anomalies: u32) -> Split {
        Split {
            normals: (0..normals).collect(),
            anomalies: (normals..normals + anomalies).collect(),
        }
    }

    #[test]
    fn labelled_anomalies_come_as_often_as_there_are() {
        let (mut config, split) = (Config::preset("tiny").unwrap(), split(90, 10));
        config.set("anomalies.pseudo=none").unwrap();
        let recipe = Recipe::of(&config, &split, 20, false);
        assert_eq!(recipe, Recipe { batch: 20, labelled: None, made: 0 });
        let epoch = recipe.epoch(&split, 3, 0, true);
        assert_eq!(epoch.len(), 5);
        let mut seen: Vec<u32> = epoch.iter().flat_map(|b| b.indices.clone()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        for batch in &epoch {
            let told: Vec<bool> = batch.indices.iter().map(|i| *i < 90).collect();
            assert_eq!(batch.normal, told);
            assert!(batch.made.iter().all(|made| !made));
        }
    }

    #[test]
    fn heads_see_as_many_anomalies_as_asked_for() {
        let mut config = Config::preset("tiny").unwrap();
        config.set("anomalies.pseudo=none").unwrap();
        let split = split(90, 3);
        let recipe = Recipe::of(&config, &split, 20, true);
        assert_eq!(recipe, Recipe { batch: 20, labelled: Some(10), made: 0 });
        config.set("anomalies.pseudo=rotation").unwrap();
        for balanced in [false, true] {
            let recipe = Recipe::of(&config, &split, 20, balanced);
            assert_eq!(recipe, Recipe { batch: 20, labelled: Some(5), made: 5 });
            let epoch = recipe.epoch(&split, 3, 1, true);
            assert_eq!(epoch.len(), 6);
            for batch in &epoch {
                assert_eq!(batch.indices.len(), 20);
                assert_eq!(batch.normals(), 10);
                let anomalies = batch.indices.iter().filter(|i| **i >= 90).count();
                assert_eq!((anomalies, batch.normal.iter().filter(|n| !**n).count()), (5, 5));
                let wrong = batch.normal.iter().zip(&batch.made).any(|(n, made)| !n && *made);
                assert!(!wrong, "an anomaly is made of an anomaly");
            }
        }
        let none = Split { anomalies: Vec::new(), ..split };
        let recipe = Recipe::of(&config, &none, 20, true);
        assert_eq!(recipe, Recipe { batch: 20, labelled: Some(0), made: 10 });
    }
}
