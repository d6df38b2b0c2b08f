//! Whole sets of images through a scorer, and the raw-pixel baseline beside it.

use super::model::Model;
use super::scorer::{Score, Scorer};
use super::trainer::Observer;
use crate::autograd::{Plan, PlanOptions, Tape};
use crate::data::{LoadOptions, Pixels, Sample, load_masks, stream};
use crate::gpu::Gpu;
use crate::ops::{augment, nearest};
use crate::report::heatmap::ScoreMap;
use crate::report::{Evaluator, Metrics};
use crate::tensor::{Element, VarId};
use crate::{Error, Result};

impl Model {
    /// The form in which images are loaded for this model.
    #[must_use]
    pub fn load_options(&self, skip_bad: bool) -> LoadOptions {
        let size = self.config.image.size;
        let channels = self.channel_stats.mean.len();
        LoadOptions { skip_bad, ..LoadOptions::new(size.height, size.width, channels) }
    }
}

/// Scores `samples` in order; `each` gets a sample, its pixels `[H, W, C]` and its score. Returns
/// the errors of the images that were left out, none unless `skip_bad`.
///
/// # Errors
/// The first bad file, faults of the GPU, or what `each` returns.
pub fn score_samples(
    gpu: &Gpu,
    model: &Model,
    scorer: &Scorer,
    samples: &[Sample],
    skip_bad: bool,
    observer: &mut dyn Observer,
    mut each: impl FnMut(&Sample, &[u8], Score) -> Result<()>,
) -> Result<Vec<Error>> {
    let options = model.load_options(skip_bad);
    let mut skipped = Vec::new();
    let mut done = 0;
    for chunk in stream(samples.to_vec(), options, scorer.batch()) {
        let chunk = chunk?;
        let loaded = chunk.loaded;
        if loaded.pixels.n > 0 {
            let scores = scorer.score(gpu, model, &loaded.pixels.bytes)?;
            for (i, score) in scores.into_iter().enumerate() {
                let sample = &samples[chunk.start + loaded.kept[i]];
                each(sample, loaded.pixels.image(i), score)?;
            }
        }
        done += loaded.pixels.n + loaded.skipped.len();
        skipped.extend(loaded.skipped);
        observer.advance("scoring", done as u64, samples.len() as u64);
    }
    Ok(skipped)
}

/// A scored image of a test set.
pub struct Judged {
    /// Its name in the set.
    pub name: String,
    /// `good`, the kind of defect, or the class.
    pub kind: String,
    /// Whether it is anomalous.
    pub anomalous: bool,
    /// Its score and each scale's.
    pub score: f32,
    /// Each scale's own score.
    pub scales: Vec<f32>,
}

/// Scores a labelled set and measures how well the scores part it; pixel figures where the set has
/// masks.
///
/// # Errors
/// Bad files, faults of the GPU.
pub fn test(
    gpu: &Gpu,
    model: &Model,
    scorer: &Scorer,
    samples: &[Sample],
    skip_bad: bool,
    observer: &mut dyn Observer,
) -> Result<(Metrics, Vec<Judged>)> {
    let masked = samples.iter().any(|s| s.mask.is_some());
    let options = model.load_options(skip_bad);
    let mut evaluator = Evaluator::new();
    let mut judged = Vec::new();
    let skipped =
        score_samples(gpu, model, scorer, samples, skip_bad, observer, |sample, _, score| {
            let kind = sample.anomalous.then_some(sample.kind.as_str());
            evaluator.add(kind, score.score)?;
            if masked {
                let masks = load_masks(std::slice::from_ref(sample), &options)?;
                if masks.known[0] {
                    let map = ScoreMap::new(options.height, options.width, &score.heat)?;
                    evaluator.add_map(kind, map, &masks.pixels.bytes)?;
                }
            }
            judged.push(Judged {
                name: sample.name.clone(),
                kind: sample.kind.clone(),
                anomalous: sample.anomalous,
                score: score.score,
                scales: score.scales,
            });
            Ok(())
        })?;
    skipped.iter().for_each(|e| observer.warn(&format!("left out: {e}")));
    Ok((evaluator.finish(), judged))
}

/// Scores by the distance to the nearest training image, pixel by pixel: what a detector has to
/// beat. Images are normalised as for the model.
pub struct NearestPixels {
    plan: Plan,
    words: VarId,
    distance: crate::autograd::Value,
    batch: usize,
    image_len: usize,
}

impl NearestPixels {
    /// Takes the training images to the GPU.
    ///
    /// # Errors
    /// A set that does not fit one binding, or faults of the GPU.
    pub fn new(gpu: &Gpu, model: &mut Model, train: &Pixels) -> Result<Self> {
        let (height, width, channels) = (train.height, train.width, train.channels);
        let (batch, dim) = (model.config.score.batch, height * width * channels);
        let slab = model.store.slab("nearest pixels");
        let mut declare = |what: &str, shape: &[usize], element| {
            let name = format!("nearest.{what}");
            model.store.declare(slab, &name, shape, element, false)
        };
        let words = declare("pixels", &[(batch * dim).div_ceil(4)], Element::U32)?;
        let slots = declare("slots", &[batch], Element::U32)?;
        // A whole number of batches, the rest filled with the first image: repeats change nothing.
        let rows = train.n.next_multiple_of(batch);
        let known = declare("known", &[rows, dim], Element::F32)?;
        model.store.allocate(gpu)?;
        let every: Vec<u32> = (0..batch as u32).collect();
        model.store.upload(gpu, slots, &every)?;

        let mut tape = Tape::new(gpu.report().variant());
        let t = &mut tape;
        let pixels = t.variable(&model.store, words);
        let images = model.images(t, pixels, [batch, height, width, channels], None)?;
        let chosen = t.variable(&model.store, slots);
        let x = augment::plain(t, &images, chosen)?;
        let x = t.reshape(x, &[batch, dim])?;
        let all = t.variable(&model.store, known);
        let (distance, _) = nearest::nearest(t, x, all)?;
        t.keep(distance);
        t.keep(x);
        let options = PlanOptions { label: "nearest pixels".into(), ..Default::default() };
        let plan = Plan::compile(gpu, t, &model.store, &options)?;
        let this = Self { plan, words, distance, batch, image_len: dim };
        // The same plan normalises the training images.
        let mut rows_done = Vec::with_capacity(rows * dim);
        for chunk in train.bytes.chunks(batch * dim) {
            this.run(gpu, model, chunk)?;
            rows_done.extend(this.plan.read::<f32>(gpu, x)?);
        }
        model.store.upload(gpu, known, &rows_done)?;
        Ok(this)
    }

    fn run(&self, gpu: &Gpu, model: &Model, bytes: &[u8]) -> Result<()> {
        let mut words = vec![0_u32; model.store.variable(self.words).len()];
        let all: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        for (to, from) in all.chunks_mut(self.image_len).zip(bytes.chunks(self.image_len).cycle()) {
            to.copy_from_slice(&from[..to.len()]);
        }
        model.store.upload(gpu, self.words, &words)?;
        self.plan.run(gpu)?;
        Ok(())
    }

    /// Image figures on a labelled set.
    ///
    /// # Errors
    /// Bad files, faults of the GPU.
    pub fn test(
        &self,
        gpu: &Gpu,
        model: &Model,
        samples: &[Sample],
        skip_bad: bool,
    ) -> Result<Metrics> {
        let mut evaluator = Evaluator::new();
        for chunk in stream(samples.to_vec(), model.load_options(skip_bad), self.batch) {
            let chunk = chunk?;
            if chunk.loaded.pixels.n == 0 {
                continue;
            }
            self.run(gpu, model, &chunk.loaded.pixels.bytes)?;
            let distances: Vec<f32> = self.plan.read(gpu, self.distance)?;
            for (kept, distance) in chunk.loaded.kept.iter().zip(distances) {
                let sample = &samples[chunk.start + kept];
                evaluator.add(sample.anomalous.then_some(sample.kind.as_str()), distance)?;
            }
        }
        Ok(evaluator.finish())
    }
}
