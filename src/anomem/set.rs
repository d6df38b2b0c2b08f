//! The images of a training: normal ones, labelled anomalies, those kept back to measure on; and which
//! of them each step sees.

use super::config::{Config, Pseudo};
use super::labels::Composition;
use crate::data::{
    ChannelStats, DEFAULT_MAX_PIXELS, Dataset, LoadOptions, Pixels, Progress, Sample, fingerprint,
    load, set_is_grey,
};
use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Images to learn from.
pub struct TrainingSet {
    /// Images at the model's size: normal ones, then labelled anomalies.
    pub pixels: Pixels,
    /// How many of them, at the end, are anomalies.
    pub anomalies: usize,
    /// Mean and deviation of the normal images' channels.
    pub stats: ChannelStats,
    /// Normal images to measure scores on, instead of a share of the former.
    pub held_out: Option<Pixels>,
    /// The images' fingerprint.
    pub fingerprint: String,
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
        let options =
            LoadOptions { skip_bad, ..LoadOptions::new(size.height, size.width, channels) };
        let loaded = load(samples, &options, progress)?;
        let kept: Vec<Sample> = loaded.kept.iter().map(|i| samples[*i].clone()).collect();
        let fingerprint = fingerprint(&kept, &loaded.pixels);
        let set = Self {
            stats: loaded.pixels.channel_stats(),
            pixels: loaded.pixels,
            anomalies: 0,
            held_out: None,
            fingerprint,
            spec: dataset.spec.to_string(),
        };
        Ok((set, loaded.skipped))
    }

    /// Adds labelled anomalies to learn from. Returns the errors of those left out, none unless
    /// `skip_bad`.
    ///
    /// # Errors
    /// No image, or the first bad file.
    pub fn add_anomalies(&mut self, samples: &[Sample], skip_bad: bool) -> Result<Vec<Error>> {
        let (more, skipped) = self.more(samples, skip_bad, "anomalies to learn from")?;
        self.anomalies += more.n;
        self.pixels = self.pixels.joined(&more)?;
        Ok(skipped)
    }

    /// Keeps normal images to measure scores on. Returns the errors of those left out, none unless
    /// `skip_bad`.
    ///
    /// # Errors
    /// No image, or the first bad file.
    pub fn calibrate_on(&mut self, samples: &[Sample], skip_bad: bool) -> Result<Vec<Error>> {
        let (more, skipped) = self.more(samples, skip_bad, "images to calibrate with")?;
        self.held_out = Some(more);
        Ok(skipped)
    }

    fn more(
        &mut self,
        samples: &[Sample],
        skip_bad: bool,
        what: &str,
    ) -> Result<(Pixels, Vec<Error>)> {
        let Pixels { height, width, channels, .. } = self.pixels;
        let options = LoadOptions { skip_bad, ..LoadOptions::new(height, width, channels) };
        let loaded = load(samples, &options, &|_, _| {})?;
        if loaded.pixels.n == 0 {
            return Err(Error::Usage(format!("{}: no {what}", self.spec)));
        }
        let kept: Vec<Sample> = loaded.kept.iter().map(|i| samples[*i].clone()).collect();
        let theirs = fingerprint(&kept, &loaded.pixels);
        self.fingerprint = blake3::hash(format!("{}{what}{theirs}", self.fingerprint).as_bytes())
            .to_hex()
            .to_string();
        Ok((loaded.pixels, loaded.skipped))
    }
}

/// Normal images that scores are measured on after the training.
pub(super) struct HeldOut {
    pub pixels: Pixels,
    /// Whether none of them was trained on.
    pub unseen: bool,
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
        let normal = (set.pixels.n - set.anomalies) as u32;
        let anomalies: Vec<u32> = (normal..set.pixels.n as u32).collect();
        let all: Vec<u32> = (0..normal).collect();
        if let Some(pixels) = set.held_out.take() {
            let split = Split { normals: all, anomalies };
            return Ok(Self { set, split, held_out: HeldOut { pixels, unseen: true } });
        }
        let order = permutation(config.seed, usize::MAX / 2, &all);
        let share = config.score.held_out;
        let held = if normal < 20 { 0 } else { (f64::from(normal) * share).round() as usize };
        let (held_out, train) = order.split_at(held);
        let mut normals = train.to_vec();
        normals.sort_unstable();
        let pixels = set.pixels.chosen(if held == 0 { &all } else { held_out })?;
        let split = Split { normals, anomalies };
        Ok(Self { set, split, held_out: HeldOut { pixels, unseen: held > 0 } })
    }
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

    fn split(normals: u32, anomalies: u32) -> Split {
        Split {
            normals: (0..normals).collect(),
            anomalies: (normals..normals + anomalies).collect(),
        }
    }

    #[test]
    fn labelled_anomalies_come_as_often_as_there_are() {
        let (config, split) = (Config::preset("tiny").unwrap(), split(90, 10));
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
