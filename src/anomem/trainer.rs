//! Stage 1: the training loop, its plan, its state on disk.

use super::checkpoint::{self, Checkpoint, Content, TrainingProgress};
use super::config::Config;
use super::feed::Feed;
use super::journal::{EpochRecord, Journal, ScaleRecord, position_plateau};
use super::model::Model;
use super::objective::{self, Terms, Weights};
use super::revival::Revival;
use super::scorer::Scorer;
use super::start::{STATISTICS_MOMENTUM, Start};
use crate::autograd::{Plan, PlanOptions, Tape, Value};
use crate::data::{
    Bytes, DEFAULT_MAX_PIXELS, Dataset, LoadOptions, Pixels, Progress, Sample, fingerprint, load,
    set_is_grey,
};
use crate::gpu::{Gpu, Profile, Submission};
use crate::nn::{Health, Mode, UpdateOptions};
use crate::ops::{augment, hopfield};
use crate::tensor::{Element, VarId};
use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Steps that may wait in the GPU's queue.
const QUEUED: usize = 2;
/// Writing states may take one part in so many of the training's time.
const SAVING_SHARE: u32 = 20;
/// Steps whose losses are read back together.
const HISTORY: usize = 64;

/// Hears how a training goes.
pub trait Observer {
    /// A step of a long work is done: which work, how much of how much.
    fn advance(&mut self, work: &'static str, done: u64, total: u64);
    /// An epoch is done.
    fn epoch(&mut self, record: &EpochRecord, epochs: usize);
    /// Something to know.
    fn note(&mut self, text: &str);
    /// Something to worry about.
    fn warn(&mut self, text: &str);
}

/// Images to learn from.
pub struct TrainingSet {
    /// Normal images at the model's size.
    pub pixels: Pixels,
    /// Normal images to measure scores on, instead of a share of the former.
    pub held_out: Option<Pixels>,
    /// The training images' fingerprint.
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
        let spec = dataset.spec.to_string();
        Ok((Self { pixels: loaded.pixels, held_out: None, fingerprint, spec }, loaded.skipped))
    }

    /// Keeps the images of `dataset` to measure scores on, all of them normal. Returns the errors of
    /// those left out, none unless `skip_bad`.
    ///
    /// # Errors
    /// No image, or the first bad file.
    pub fn calibrate_on(&mut self, dataset: &Dataset, skip_bad: bool) -> Result<Vec<Error>> {
        let Pixels { height, width, channels, .. } = self.pixels;
        let options = LoadOptions { skip_bad, ..LoadOptions::new(height, width, channels) };
        let loaded = load(&dataset.train, &options, &|_, _| {})?;
        if loaded.pixels.n == 0 {
            return Err(Error::Usage(format!("{}: no image to calibrate with", dataset.spec)));
        }
        self.held_out = Some(loaded.pixels);
        Ok(loaded.skipped)
    }
}

/// Files of a run folder.
pub struct RunFolder(pub PathBuf);

impl RunFolder {
    /// What scoring needs.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.0.join("model.safetensors")
    }

    /// From which training goes on.
    #[must_use]
    pub fn training(&self) -> PathBuf {
        self.0.join("training.safetensors")
    }

    /// One line per epoch.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("log.jsonl")
    }

    /// The resolved configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }
}

/// Trains a model on `set` into the run folder; with `resume`, goes on from the state found there.
///
/// The checkpoints depend on configuration, images and adapter alone: a run that was killed and
/// resumed ends with the same bytes.
///
/// # Errors
/// Settings that do not fit the images or the adapter, faults of the GPU, files that cannot be
/// written, a state of another configuration or of other images.
pub fn train(
    gpu: &Gpu,
    config: &Config,
    set: TrainingSet,
    folder: &RunFolder,
    resume: bool,
    profile: Option<&mut Profile>,
    observer: &mut dyn Observer,
) -> Result<Model> {
    std::fs::create_dir_all(&folder.0).map_err(|e| Error::file(&folder.0, e))?;
    let state = if resume && folder.training().exists() {
        Some(Checkpoint::read(&folder.training())?)
    } else {
        None
    };
    let mut run = Run::new(gpu, config, set, state.as_ref())?;
    run.announce(observer);
    let (progress, log) = (run.progress.epoch, folder.log());
    crate::report::write_atomic(folder.config(), run.model.config.to_toml()?.as_bytes())?;
    let journal = Journal::open(&log, progress)?;
    if state.is_none() {
        observer.note("settling running statistics, prototypes and inverse temperatures");
        run.start.run(gpu, &mut run.model, &run.feed, &run.train, run.batch)?;
    }
    run.epochs(gpu, folder, &journal, profile, observer)?;
    run.calibrate(gpu)?;
    run.save(gpu, folder)?;
    Ok(run.model)
}

struct Run {
    model: Model,
    feed: Feed,
    start: Start,
    steps: Steps,
    batch: usize,
    train: Vec<u32>,
    held_out: HeldOut,
    progress: TrainingProgress,
}

/// Normal images that scores are measured on after the training.
struct HeldOut {
    pixels: Pixels,
    /// Whether none of them was trained on.
    unseen: bool,
}

/// The training plan and what is written before and read after each of its steps.
struct Steps {
    plan: Plan,
    counters: VarId,
    lr: VarId,
    used: Vec<VarId>,
    terms: Vec<Terms>,
    revivals: Vec<Revival>,
    health: Health,
}

/// The draws of a step: seed, step number.
pub(super) fn counters_of(seed: u64, step: u32) -> [u32; 4] {
    [seed as u32, (seed >> 32) as u32, step, 0]
}

/// `indices` in the order of an epoch.
pub(super) fn permutation(seed: u64, epoch: usize, indices: &[u32]) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(epoch as u64);
    let mut order = indices.to_vec();
    order.shuffle(&mut random);
    order
}

/// The configuration's augmentation, as the kernels take it.
pub(super) fn augmentation(config: &Config) -> augment::AugmentOptions {
    let a = &config.augment;
    augment::AugmentOptions {
        crop_min: a.crop_min as f32,
        crop_max: a.crop_max as f32,
        flip: a.flip as f32,
        jitter_p: a.jitter_p as f32,
        brightness: a.brightness as f32,
        contrast: a.contrast as f32,
        saturation: a.saturation as f32,
        blur_p: a.blur_p as f32,
        blur_sigma: a.blur_sigma.map(|s| s as f32),
        noise: a.noise as f32,
    }
}

/// Learning rate of `step` of `total`: linear warm-up over `warmup` steps times half a cosine wave
/// over the whole training (Loshchilov and Hutter 2017).
fn learning_rate(peak: f64, step: u64, warmup: u64, total: u64) -> f64 {
    let rise = ((step + 1) as f64 / warmup.max(1) as f64).min(1.0);
    let fall = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / total.max(1) as f64).cos());
    peak * rise * fall
}

impl Run {
    fn new(
        gpu: &Gpu,
        config: &Config,
        set: TrainingSet,
        state: Option<&Checkpoint>,
    ) -> Result<Self> {
        let n = set.pixels.n;
        if n < 2 {
            return Err(Error::Usage(format!(
                "{}: {n} training images; at least 2 are needed, and hundreds are better",
                set.spec
            )));
        }
        let (train, held_out) = match set.held_out {
            Some(pixels) => ((0..n as u32).collect(), HeldOut { pixels, unseen: true }),
            None => hold_out(config, &set.pixels)?,
        };
        let mut model = Model::declare(config.clone(), set.pixels.channel_stats())?;
        let batch = config.train.batch.min(train.len());
        let mut feed = Feed::declare(&mut model, "images", set.pixels, batch, gpu)?;
        let start = Start::declare(&mut model)?;
        let weights = Weights::declare(&mut model)?;
        let slab = model.store.slab("step");
        let counters = model.store.declare(slab, "counters", &[4], Element::U32, false)?;
        let lr = model.store.declare(slab, "lr", &[1], Element::F32, false)?;
        let mut used = Vec::new();
        for s in &model.scales {
            let name = format!("used{}", s.stage);
            used.push(model.store.declare(slab, &name, &[s.slots], Element::U32, false)?);
        }
        let plan = record(gpu, &model, &feed, &weights, counters, lr, &used)?;
        model.allocate(gpu)?;
        weights.upload(gpu, &model)?;
        feed.prepare(gpu, &model)?;
        let mut progress = TrainingProgress {
            adapter: format!("{} ({})", gpu.report().name, gpu.report().driver),
            data: set.fingerprint,
            data_spec: set.spec,
            ..Default::default()
        };
        if let Some(state) = state {
            let found = state.config()?;
            if found != model.config {
                return Err(Error::Usage(
                    "--resume: the run folder's configuration differs from this one; \
                     give the same settings, or another --out"
                        .into(),
                ));
            }
            if state.facts.progress.data != progress.data {
                return Err(Error::Usage(format!(
                    "--resume: {} holds other images than the run was started with",
                    progress.data_spec
                )));
            }
            state.restore(gpu, &model, Content::Training)?;
            progress.epoch = state.facts.progress.epoch;
            progress.step = state.facts.progress.step;
        }
        let steps = plan.compile(gpu, &model)?;
        Ok(Self { model, feed, start, steps, batch, train, held_out, progress })
    }

    fn announce(&self, observer: &mut dyn Observer) {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let parameters: usize = self
            .model
            .module
            .parameters
            .iter()
            .map(|p| self.model.store.variable(p.value).len())
            .sum();
        observer.note(&format!(
            "{} training images, {} to calibrate on; batches of {}; {:.2} million parameters",
            self.train.len(),
            self.held_out.pixels.n,
            self.batch,
            parameters as f64 / 1e6
        ));
        observer.note(&format!(
            "GPU memory: {:.0} MiB of variables{}, {:.0} MiB of temporaries; {} dispatches per step",
            mib(self.model.store.bytes()),
            if self.feed.is_resident() { " with all images" } else { "; images stream" },
            mib(self.steps.plan.temporary_bytes()),
            self.steps.plan.dispatches()
        ));
        if self.batch < self.model.config.train.batch {
            observer.warn(&format!(
                "only {} images to train on: batches of {} instead of {}",
                self.train.len(),
                self.batch,
                self.model.config.train.batch
            ));
        }
    }

    fn steps_per_epoch(&self) -> usize {
        let (n, batch) = (self.train.len(), self.batch);
        if self.model.config.train.drop_last { n / batch } else { n.div_ceil(batch) }
    }

    fn epochs(
        &mut self,
        gpu: &Gpu,
        folder: &RunFolder,
        journal: &Journal,
        mut profile: Option<&mut Profile>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let epochs = self.model.config.train.epochs;
        let (mut saved, mut cost) = (Instant::now(), Duration::ZERO);
        let mut records = Vec::new();
        while self.progress.epoch < epochs {
            let record = self.epoch(gpu, profile.as_deref_mut(), observer)?;
            journal.append(&record)?;
            observer.epoch(&record, epochs);
            if self.progress.epoch == epochs || self.progress.epoch == 1 {
                record
                    .scales
                    .iter()
                    .filter_map(ScaleRecord::warning)
                    .for_each(|w| observer.warn(&w));
            }
            if record.non_finite_steps > 0 {
                observer.warn(&format!(
                    "{} of {} steps had gradients that are not finite and were skipped; \
                     a lower train.lr may help",
                    record.non_finite_steps,
                    self.steps_per_epoch()
                ));
            }
            records.push(record);
            (0..self.model.scales.len())
                .filter_map(|index| position_plateau(&records, index))
                .for_each(|w| observer.warn(&w));
            if saved.elapsed() >= SAVING_SHARE * cost && self.progress.epoch < epochs {
                let begin = Instant::now();
                self.save(gpu, folder)?;
                (saved, cost) = (Instant::now(), begin.elapsed());
            }
        }
        Ok(())
    }

    fn epoch(
        &mut self,
        gpu: &Gpu,
        mut profile: Option<&mut Profile>,
        observer: &mut dyn Observer,
    ) -> Result<EpochRecord> {
        let begin = Instant::now();
        let (config, seed) = (&self.model.config, self.model.config.seed);
        let per = self.steps_per_epoch();
        let total = (per * config.train.epochs) as u64;
        let warmup = (per * config.train.warmup_epochs.min(config.train.epochs / 2)) as u64;
        let peak = config.learning_rate();
        for (var, s) in self.steps.used.iter().zip(&self.model.scales) {
            self.model.store.upload(gpu, *var, &vec![0_u32; s.slots])?;
        }
        let order = permutation(seed, self.progress.epoch, &self.train);
        let mut queue: VecDeque<Submission> = VecDeque::new();
        let mut sums = Sums::new(self.steps.terms.len());
        let mut lr = 0.0;
        for k in 0..per {
            // An incomplete last batch is filled from the epoch's beginning.
            let chosen: Vec<u32> =
                order.iter().cycle().skip(k * self.batch).take(self.batch).copied().collect();
            self.feed.choose(gpu, &self.model, &chosen)?;
            let counters = counters_of(seed, self.progress.step as u32);
            self.model.store.upload(gpu, self.steps.counters, &counters)?;
            lr = learning_rate(peak, self.progress.step, warmup, total);
            self.model.store.upload(gpu, self.steps.lr, &[lr as f32])?;
            match profile.as_deref_mut() {
                Some(profile) => self.steps.plan.profile_step(gpu, profile)?,
                None => {
                    queue.push_back(self.steps.plan.run(gpu)?);
                    if queue.len() > QUEUED
                        && let Some(oldest) = queue.pop_front()
                    {
                        gpu.wait(oldest)?;
                    }
                }
            }
            self.progress.step += 1;
            observer.advance("training", self.progress.step, total);
            if (k + 1) % HISTORY == 0 || k + 1 == per {
                self.steps.read_into(gpu, &mut sums)?;
            }
        }
        self.progress.epoch += 1;
        let seconds = begin.elapsed().as_secs_f64();
        let mut record = self.record_of(gpu, &sums, lr, seconds, per)?;
        if self.progress.epoch < self.model.config.train.epochs {
            let seed = seed ^ self.progress.step;
            let Steps { plan, used, revivals, .. } = &self.steps;
            let of_scales = self.model.scales.iter().zip(used).zip(&mut record.scales);
            for (revival, ((scale, used), record)) in revivals.iter().zip(of_scales) {
                record.revived = revival.run(gpu, &self.model, plan, scale, *used, seed)?;
            }
        }
        Ok(record)
    }

    fn record_of(
        &self,
        gpu: &Gpu,
        sums: &Sums,
        lr: f64,
        seconds: f64,
        per: usize,
    ) -> Result<EpochRecord> {
        let loss_config = &self.model.config.loss;
        let mut loss = 0.0;
        let mut scales = Vec::new();
        for (i, (s, t)) in self.model.scales.iter().zip(&self.steps.terms).enumerate() {
            let [contrast, variance, entropy] = sums.scales[i].map(|v| v / per as f64);
            let used: Vec<u32> = self.model.store.download(gpu, self.steps.used[i])?;
            let beta: Vec<f32> = self.model.store.download(gpu, s.beta)?;
            let spread: Vec<f32> = self.steps.plan.read(gpu, t.spread)?;
            loss +=
                loss_config.scale_weights[i] * (contrast + loss_config.variance_weight * variance);
            scales.push(ScaleRecord {
                stage: s.stage,
                contrast,
                chance: t.chance,
                position_chance: t.position_chance,
                variance,
                entropy: entropy / t.queries as f64,
                used: used.iter().filter(|u| **u != 0).count() as f64 / s.slots as f64,
                retrieved_variance: f64::from(spread[0]),
                beta: f64::from(beta[0]),
                revived: 0,
            });
        }
        Ok(EpochRecord {
            epoch: self.progress.epoch,
            step: self.progress.step,
            lr,
            loss,
            scales,
            grad_norm: sums.grad_norm / per as f64,
            non_finite_steps: sums.non_finite,
            images_per_second: (per * self.batch) as f64 / seconds.max(1e-9),
            seconds,
        })
    }

    fn calibrate(&mut self, gpu: &Gpu) -> Result<()> {
        let scorer = Scorer::new(gpu, &mut self.model, "calibration")?;
        self.model.calibration = scorer.calibrate(gpu, &self.model, &self.held_out.pixels)?;
        let scorer = Scorer::new(gpu, &mut self.model, "measured")?;
        let (scores, range) = scorer.measure(gpu, &self.model, &self.held_out.pixels)?;
        self.model.heat_range = range;
        // Scores of images that were trained on would promise too few false alarms.
        self.model.normal_scores = if self.held_out.unseen { scores } else { Vec::new() };
        Ok(())
    }

    fn save(&self, gpu: &Gpu, folder: &RunFolder) -> Result<()> {
        checkpoint::save(&folder.training(), gpu, &self.model, &self.progress, Content::Training)?;
        checkpoint::save(&folder.model(), gpu, &self.model, &self.progress, Content::Model)
    }
}

/// Indices to train on, and the images kept back for calibration: those trained on where none are.
///
/// # Errors
/// No room for the latter.
fn hold_out(config: &Config, pixels: &Pixels) -> Result<(Vec<u32>, HeldOut)> {
    let all: Vec<u32> = (0..pixels.n as u32).collect();
    let order = permutation(config.seed, usize::MAX / 2, &all);
    let share = config.score.held_out;
    let held = if pixels.n < 20 { 0 } else { (pixels.n as f64 * share).round() as usize };
    let (held_out, train) = order.split_at(held);
    let mut train = train.to_vec();
    train.sort_unstable();
    let chosen: Vec<u32> = if held == 0 { all } else { held_out.to_vec() };
    let mut bytes = Bytes::zeroed(chosen.len() * pixels.image_len())?;
    for (to, from) in bytes.chunks_mut(pixels.image_len()).zip(&chosen) {
        to.copy_from_slice(pixels.image(*from as usize));
    }
    let Pixels { height, width, channels, .. } = *pixels;
    let pixels = Pixels { n: chosen.len(), height, width, channels, bytes };
    Ok((train, HeldOut { pixels, unseen: held > 0 }))
}

/// A recorded step that waits for its variables' memory.
struct Recorded {
    tape: Tape,
    counters: VarId,
    lr: VarId,
    used: Vec<VarId>,
    terms: Vec<Terms>,
    revivals: Vec<Revival>,
    health: Health,
}

fn record(
    gpu: &Gpu,
    model: &Model,
    feed: &Feed,
    weights: &Weights,
    counters: VarId,
    lr: VarId,
    used: &[VarId],
) -> Result<Recorded> {
    let mut tape = Tape::new(gpu.report().variant());
    let t = &mut tape;
    let source = feed.record(t, model)?;
    let counter = t.variable(&model.store, counters);
    let options = augmentation(&model.config);
    let draws = augment::draw(t, &options, counter, source.ids, 2)?;
    let x = augment::views(t, &source.images, source.slots, draws, &options)?;
    let maps = model.maps(t, x, Mode::Train)?;
    let pairs = objective::draw_pairs(model, t, &maps, counter, draws)?;
    let terms = objective::record(model, t, &maps, &pairs)?;
    let seeds = weights.seeds(t, &model.store, &terms);
    let grads = t.backward(&seeds)?;
    model.module.place_gradients(t, &model.store, &grads)?;
    let train = &model.config.train;
    let update = UpdateOptions {
        momentum: train.momentum as f32,
        weight_decay: train.weight_decay as f32,
        memory_lr_scale: train.memory_lr_scale as f32,
        statistics_momentum: STATISTICS_MOMENTUM,
    };
    let rate = t.variable(&model.store, lr);
    let health = model.module.update(t, &model.store, &update, rate)?;
    for (term, var) in terms.iter().zip(used) {
        let flags = t.variable(&model.store, *var);
        hopfield::mark_used(t, term.slot, flags)?;
    }
    terms.iter().for_each(|term| t.keep(term.spread));
    let revivals = Revival::record(&model.config, t, &terms)?;
    Ok(Recorded { tape, counters, lr, used: used.to_vec(), terms, revivals, health })
}

impl Recorded {
    fn compile(mut self, gpu: &Gpu, model: &Model) -> Result<Steps> {
        let mut logged = vec![self.health.non_finite, self.health.grad_square];
        for t in &self.terms {
            logged.extend([t.contrast, t.variance, t.entropy_sum]);
        }
        logged.iter().for_each(|v| self.tape.keep(*v));
        let options = PlanOptions { label: "training".into(), ..Default::default() };
        let mut plan = Plan::compile(gpu, &self.tape, &model.store, &options)?;
        logged.iter().try_for_each(|v| plan.history(gpu, *v, HISTORY))?;
        let Self { counters, lr, used, terms, revivals, health, .. } = self;
        Ok(Steps { plan, counters, lr, used, terms, revivals, health })
    }
}

/// Sums over an epoch's steps.
struct Sums {
    /// Contrast, variance, sum of entropies.
    scales: Vec<[f64; 3]>,
    grad_norm: f64,
    non_finite: usize,
}

impl Sums {
    fn new(scales: usize) -> Self {
        Self { scales: vec![[0.0; 3]; scales], grad_norm: 0.0, non_finite: 0 }
    }
}

impl Steps {
    /// Adds what the steps since the last call logged.
    fn read_into(&self, gpu: &Gpu, sums: &mut Sums) -> Result<()> {
        let read = |v: Value| -> Result<Vec<f64>> {
            let steps = self.plan.read_history::<f32>(gpu, v)?;
            Ok(steps.iter().map(|step| f64::from(step[0])).collect())
        };
        for (scale, t) in sums.scales.iter_mut().zip(&self.terms) {
            for (sum, v) in scale.iter_mut().zip([t.contrast, t.variance, t.entropy_sum]) {
                // A skipped step may have lost its losses to infinity; it is counted below.
                *sum += read(v)?.iter().filter(|v| v.is_finite()).sum::<f64>();
            }
        }
        sums.grad_norm += read(self.health.grad_square)?
            .iter()
            .filter(|v| v.is_finite())
            .map(|v| v.sqrt())
            .sum::<f64>();
        let counts = self.plan.read_history::<u32>(gpu, self.health.non_finite)?;
        sums.non_finite += counts.iter().filter(|step| step[0] != 0).count();
        Ok(())
    }
}

impl RunFolder {
    /// The model file at `path`: itself, or that of the run folder.
    #[must_use]
    pub fn model_at(path: &Path) -> PathBuf {
        if path.is_dir() { Self(path.to_path_buf()).model() } else { path.to_path_buf() }
    }
}

/// Loads a model for scoring from a file, or from the run folder that holds it.
///
/// # Errors
/// A file that is no model, or faults of the GPU.
pub fn load_model(gpu: &Gpu, path: &Path) -> Result<(Model, TrainingProgress)> {
    let checkpoint = Checkpoint::read(&RunFolder::model_at(path))?;
    let mut model = checkpoint.declare()?;
    model.allocate(gpu)?;
    checkpoint.restore(gpu, &model, Content::Model)?;
    Ok((model, checkpoint.facts.progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let rate = |step| learning_rate(2.0, step, 10, 100);
        assert!((rate(0) - 0.2).abs() < 1e-12);
        assert!(rate(4) < rate(9) && rate(9) > 1.9 && rate(50) < 1.01);
        assert!(rate(99) < 1e-3 * 2.0 && rate(99) > 0.0);
        assert!((learning_rate(2.0, 0, 0, 4) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn every_epoch_has_its_own_order() {
        let all: Vec<u32> = (0..100).collect();
        let (a, b) = (permutation(1, 0, &all), permutation(1, 1, &all));
        assert!(a != b && a != permutation(2, 0, &all) && a == permutation(1, 0, &all));
        let mut sorted = a;
        sorted.sort_unstable();
        assert_eq!(sorted, all);
    }
}
