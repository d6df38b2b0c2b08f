//! Whole sets of images through a scorer, and the raw-pixel baseline beside it.

use super::model::Model;
use super::scorer::{Score, Scorer};
use super::trainer::Observer;
use crate::autograd::{Plan, PlanOptions, Tape};
use crate::data::{Blend, Chunk, Grid, LoadOptions, Loaded, Pixels, Sample, load_masks, stream};
use crate::gpu::Gpu;
use crate::ops::{augment, nearest};
use crate::report::{Evaluator, Metrics};
use crate::tensor::{Element, VarId};
use crate::{Error, Result};
use std::collections::VecDeque;

impl Model {
    /// The form in which images are loaded for this model.
    #[must_use]
    pub fn load_options(&self, skip_bad: bool) -> LoadOptions {
        let size = self.config.image.size;
        let channels = self.channel_stats.mean.len();
        let tiling = self.config.image.tiling();
        LoadOptions { skip_bad, tiling, ..LoadOptions::new(size.height, size.width, channels) }
    }
}

/// Images that are decoded together for a scorer of `batch`: large ones are as many as there are cores,
/// since each brings its tiles.
fn decoded_together(options: &LoadOptions, batch: usize) -> usize {
    if options.tiling.is_some() { batch.min(rayon::current_num_threads()) } else { batch }
}

/// The score of an image, put together of those of its tiles.
struct Whole<'a> {
    blend: Option<Blend<'a>>,
    size: [usize; 2],
    score: Option<Score>,
}

impl<'a> Whole<'a> {
    fn new(grid: &'a Grid) -> Self {
        // A single tile's map is the image's.
        let blend = (grid.tiles() > 1).then(|| grid.blend());
        Self { blend, size: grid.map(), score: None }
    }

    fn add(&mut self, mut tile: Score) {
        if let Some(blend) = &mut self.blend {
            blend.add(&tile.heat);
            tile.heat = Vec::new();
        }
        if self.score.as_ref().is_none_or(|greatest| tile.score > greatest.score) {
            self.score = Some(tile);
        }
    }

    fn finish(self) -> Option<Score> {
        let mut score = self.score?;
        if let Some(blend) = self.blend {
            (score.heat, score.size) = (blend.finish(), self.size);
        }
        Some(score)
    }
}

/// Scores the images of `loaded`, whose tiles share batches; `each` gets which of them it is.
fn score_loaded(
    gpu: &Gpu,
    model: &Model,
    scorer: &Scorer,
    loaded: &Loaded,
    mut each: impl FnMut(usize, Score) -> Result<()>,
) -> Result<()> {
    let mut batches = loaded.pixels.bytes.chunks(scorer.batch() * loaded.pixels.image_len());
    let mut tiles = VecDeque::new();
    for (image, grid) in loaded.grids.iter().enumerate() {
        let mut whole = Whole::new(grid);
        for _ in 0..grid.tiles() {
            if tiles.is_empty()
                && let Some(batch) = batches.next()
            {
                tiles.extend(scorer.score(gpu, model, batch)?);
            }
            let tile = tiles.pop_front();
            whole.add(tile.ok_or_else(|| Error::Internal("a tile without a score".into()))?);
        }
        let score = whole.finish();
        each(image, score.ok_or_else(|| Error::Internal("an image without tiles".into()))?)?;
    }
    Ok(())
}

/// Scores `samples` in order; `each` gets a sample, its tiles `[T, H, W, C]` and its score. Returns
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
    let together = decoded_together(&options, scorer.batch());
    for chunk in stream(samples.to_vec(), options, together) {
        let Chunk { start, loaded } = chunk?;
        let mut tiles = &loaded.pixels.bytes[..];
        score_loaded(gpu, model, scorer, &loaded, |i, score| {
            let (own, rest) = tiles.split_at(loaded.grids[i].tiles() * loaded.pixels.image_len());
            tiles = rest;
            each(&samples[start + loaded.kept[i]], own, score)
        })?;
        done += loaded.kept.len() + loaded.skipped.len();
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
    let mut without_mask = Vec::new();
    let skipped =
        score_samples(gpu, model, scorer, samples, skip_bad, observer, |sample, _, score| {
            let kind = sample.anomalous.then_some(sample.kind.as_str());
            evaluator.add(kind, score.score)?;
            if masked {
                let [height, width] = score.size;
                let options = LoadOptions { height, width, tiling: None, ..options };
                let masks = load_masks(std::slice::from_ref(sample), &options)?;
                if masks.known[0] {
                    evaluator.add_map(kind, score.map()?, &masks.pixels.bytes)?;
                }
                without_mask.extend(masks.skipped);
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
    skipped.iter().chain(&without_mask).for_each(|e| observer.warn(&format!("left out: {e}")));
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

        let mut tape = Tape::forward_only(gpu.report().kernels());
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

    /// Image figures on a labelled set; an image in tiles is as far off as its farthest tile.
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
        let options = model.load_options(skip_bad);
        let together = decoded_together(&options, self.batch);
        for chunk in stream(samples.to_vec(), options, together) {
            let Chunk { start, loaded } = chunk?;
            let mut distances = Vec::with_capacity(loaded.pixels.n);
            for batch in loaded.pixels.bytes.chunks(self.batch * self.image_len) {
                self.run(gpu, model, batch)?;
                let read: Vec<f32> = self.plan.read(gpu, self.distance)?;
                distances.extend_from_slice(&read[..batch.len() / self.image_len]);
            }
            let mut distances = distances.into_iter();
            for (kept, grid) in loaded.kept.iter().zip(&loaded.grids) {
                let farthest = distances.by_ref().take(grid.tiles()).fold(f32::MIN, f32::max);
                let sample = &samples[start + kept];
                evaluator.add(sample.anomalous.then_some(sample.kind.as_str()), farthest)?;
            }
        }
        Ok(evaluator.finish())
    }
}
