//! The training loop, phase by phase, and its state on disk.

use super::checkpoint::{self, Checkpoint, Content, TrainingProgress};
use super::config::{
    BackboneTraining, Config, HeadKind, MemoryKind, Pseudo, Stage2Config, Stage2Training,
};
use super::feed::Feed;
use super::journal::{
    ContrastRecord, EpochRecord, Journal, MemoryRecord, ScaleRecord, position_plateau,
};
use super::kmeans;
use super::labels::Composition;
use super::made::{auroc, make};
use super::model::Model;
use super::pretrained::Pretrained;
use super::scorer::{Measured, Scorer};
use super::set::{Divided, HeldOut, Recipe, Split, TrainingSet};
use super::start::Start;
use super::step::{HISTORY, InFlight, Input, Phase, Recorded, Steps, Sums, counters_of};
use crate::autograd::{Plan, Precision};
use crate::gpu::{Gpu, Profile};
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Writing states may take one part in so many of the training's time.
const SAVING_SHARE: u32 = 20;
/// Steps of a frozen stage 2 that are logged together.
const LOGGED: usize = 50;
/// The orders of a frozen stage 2's passes lie this far from those of the epochs.
const STAGE2_ORDERS: usize = 1 << 40;
/// Self-made anomalies were told at 87 to 97 % by working trainings, at 52 to 81 % by failing ones.
const LOW_AUROC: f64 = 0.85;
/// Counters of a frozen stage 2's random numbers start here, where no step of stage 1 comes.
const STAGE2_COUNTERS: u32 = 1 << 30;

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

    /// The run on one page.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }

    /// What the page shows of the training.
    #[must_use]
    pub fn learned(&self) -> PathBuf {
        self.0.join("report/training.json")
    }

    /// What the page shows of the last test.
    #[must_use]
    pub fn tested(&self) -> PathBuf {
        self.0.join("report/test.json")
    }
}

/// Where a training starts; by default from random weights, whatever the run folder holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrainOptions<'a> {
    /// Go on from the state in the run folder, where there is one.
    pub resume: bool,
    /// Weights that the encoder starts from, see [`Pretrained`]; a run that goes on has them in its state
    /// and does not read the file again. The path is no setting of the configuration: the checkpoints
    /// hold what was loaded, as an [`Origin`](super::Origin).
    pub init: Option<&'a Path>,
}

/// Trains a model on `set` into the run folder.
///
/// The checkpoints depend on configuration, images, the weights that it starts from and adapter alone: a
/// run that was killed and resumed ends with the same bytes.
///
/// # Errors
/// Settings that do not fit the images or the adapter, weights that do not fit the settings, faults of the
/// GPU, files that cannot be written, a state of another configuration, of other images or weights.
pub fn train(
    gpu: &Gpu,
    config: &Config,
    set: TrainingSet,
    folder: &RunFolder,
    options: TrainOptions<'_>,
    profile: Option<&mut Profile>,
    observer: &mut dyn Observer,
) -> Result<Model> {
    std::fs::create_dir_all(&folder.0).map_err(|e| Error::file(&folder.0, e))?;
    let state = if options.resume && folder.training().exists() {
        Some(Checkpoint::read(&folder.training())?)
    } else {
        None
    };
    let mut run = Run::new(gpu, config, set, state.as_ref(), options.init)?;
    run.announce(observer);
    match &run.progress.origin {
        Some(origin) if state.is_none() => observer.note(&format!("init: {origin}")),
        None if run.model.config.train.backbone == BackboneTraining::Frozen => observer.warn(
            "train.backbone = \"frozen\" without --init: the encoder keeps its random weights",
        ),
        _ => {}
    }
    if state.is_none()
        && let Some(start) = &run.start
    {
        observer.note(match run.model.config.memory.kind {
            MemoryKind::Learned => {
                "settling running statistics, prototypes and inverse temperatures"
            }
            MemoryKind::Kmeans => "settling running statistics",
        });
        start.run(gpu, &mut run.model, &run.feed, &run.split.normals, run.batch)?;
    }
    run.compile(gpu, observer)?;
    crate::report::write_atomic(folder.config(), run.model.config.to_toml()?.as_bytes())?;
    let journal = Journal::open(&folder.log(), run.progress.epoch)?;
    run.epochs(gpu, folder, &journal, profile, observer)?;
    // Its memory is free for what follows.
    run.stage1 = None;
    run.cluster(gpu, observer)?;
    if run.stage2.is_some() && !run.progress.stage2 {
        run.save(gpu, folder)?;
        run.train_heads(gpu, &journal, observer)?;
    }
    run.calibrate(gpu, observer)?;
    run.save(gpu, folder)?;
    Ok(run.model)
}

/// Trains the heads of `model` alone on `set`, whose labelled anomalies it shall know, into the run folder:
/// encoder and memories stay as they are. `config` is the model's, with heads and a frozen stage 2.
///
/// # Errors
/// A set without anomalies, settings that do not fit the images or the adapter, faults of the GPU, files
/// that cannot be written.
pub(super) fn train_heads(
    gpu: &Gpu,
    known: &Checkpoint,
    config: Config,
    mut images: Divided,
    folder: &RunFolder,
    observer: &mut dyn Observer,
) -> Result<Model> {
    std::fs::create_dir_all(&folder.0).map_err(|e| Error::file(&folder.0, e))?;
    let was = &known.facts.progress;
    let progress = TrainingProgress {
        normals: if was.normals == images.set.normals {
            was.normals.clone()
        } else {
            String::new()
        },
        data: std::mem::take(&mut images.set.fingerprint),
        data_spec: std::mem::take(&mut images.set.spec),
        ..was.clone()
    };
    let model = Model::declare(config, known.channel_stats())?;
    let mut run = Run::assemble(gpu, model, images, &[Phase::Stage2], progress)?;
    known.restore(gpu, &run.model, Content::Known)?;
    run.announce(observer);
    run.compile(gpu, observer)?;
    crate::report::write_atomic(folder.config(), run.model.config.to_toml()?.as_bytes())?;
    let journal = Journal::open(&folder.log(), 0)?;
    run.train_heads(gpu, &journal, observer)?;
    run.calibrate(gpu, observer)?;
    run.save(gpu, folder)?;
    Ok(run.model)
}

struct Run {
    model: Model,
    feed: Feed,
    /// What comes before stage 1.
    start: Option<Start>,
    /// Steps that are still to be compiled: after the start, which so has their memory.
    recorded: Vec<(Recorded, Recipe)>,
    /// Stage 1, with the heads in joint training.
    stage1: Option<(Steps, Recipe)>,
    /// A frozen stage 2, where there is one.
    stage2: Option<(Steps, Recipe)>,
    batch: usize,
    split: Split,
    held_out: HeldOut,
    progress: TrainingProgress,
}

/// Linear warm-up times half a cosine wave over all steps (Loshchilov and Hutter 2017).
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    pub peak: f64,
    /// Steps of the rise.
    pub warmup: u64,
    /// Steps of the phase.
    pub total: u64,
}

/// Steps of a phase that are run one after the other.
#[derive(Debug, Clone, Copy)]
struct Pass {
    schedule: Schedule,
    /// Number of the first within the phase.
    first: u64,
    /// What their random numbers count from.
    counters: u32,
}

impl Schedule {
    /// Learning rate of `step`.
    pub(super) fn rate(&self, step: u64) -> f64 {
        let rise = ((step + 1) as f64 / self.warmup.max(1) as f64).min(1.0);
        let share = step as f64 / self.total.max(1) as f64;
        self.peak * rise * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
    }
}

impl Run {
    fn new(
        gpu: &Gpu,
        config: &Config,
        set: TrainingSet,
        state: Option<&Checkpoint>,
        init: Option<&Path>,
    ) -> Result<Self> {
        let normals = set.pixels.n - set.anomalies;
        if normals < 2 {
            return Err(Error::Usage(format!(
                "{}: {normals} normal training images; at least 2 are needed, and hundreds are better",
                set.spec
            )));
        }
        let Stage2Config { head, training, contrast_weight, .. } = config.stage2;
        if training == Stage2Training::Joint && contrast_weight == 0.0 {
            set.check_marks(head)?;
        }
        let mut images = Divided::of(config, set)?;
        let mut config = config.clone();
        let labelled = images.set.anomalies > 0 || config.anomalies.pseudo != Pseudo::None;
        if !labelled {
            // Nothing to learn a score from: it is the deviation's norm.
            config.stage2.head = HeadKind::None;
        }
        let phases = Phase::of(&config);
        let mut model = Model::declare(config, images.set.stats.clone())?;
        let origin = match (init, state) {
            (Some(path), None) => Some(Pretrained::read(path)?.give_to(&mut model)?),
            _ => None,
        };
        let progress = TrainingProgress {
            origin,
            adapter: gpu.report().identity(),
            data: std::mem::take(&mut images.set.fingerprint),
            normals: std::mem::take(&mut images.set.normals),
            data_spec: std::mem::take(&mut images.set.spec),
            ..Default::default()
        };
        let mut run = Self::assemble(gpu, model, images, phases, progress)?;
        if let Some(state) = state {
            let found = state.config()?;
            if found != run.model.config {
                return Err(Error::Usage(
                    "--resume: the run folder's configuration differs from this one; \
                     give the same settings, or another --out"
                        .into(),
                ));
            }
            if state.facts.progress.data != run.progress.data {
                return Err(Error::Usage(format!(
                    "--resume: {} holds other images than the run was started with",
                    run.progress.data_spec
                )));
            }
            let origin = state.facts.progress.origin.clone();
            if let Some(path) = init.filter(|p| !origin.as_ref().is_some_and(|o| o.is_of(p))) {
                let started = origin.map_or("the seed".into(), |origin| origin.file);
                return Err(Error::Usage(format!(
                    "--resume: the run started from {started}, not from {}; \
                     give the same --init or none, or another --out",
                    path.display()
                )));
            }
            state.restore(gpu, &run.model, Content::Training)?;
            let TrainingProgress { epoch, step, stage2, .. } = state.facts.progress;
            run.progress = TrainingProgress { epoch, step, stage2, origin, ..run.progress };
        }
        Ok(run)
    }

    /// Takes the images to the GPU and records a step for each of `phases`.
    fn assemble(
        gpu: &Gpu,
        mut model: Model,
        images: Divided,
        phases: &[Phase],
        progress: TrainingProgress,
    ) -> Result<Self> {
        let Divided { mut set, split, held_out } = images;
        let batch = model.config.train.batch.min(split.len());
        let labelled = set.anomalies > 0 || model.config.anomalies.pseudo != Pseudo::None;
        let mut feed = Feed::declare(&mut model, "images", set.pixels, batch, gpu)?;
        let trains = phases.iter().any(|phase| *phase != Phase::Stage2);
        let start = trains.then(|| Start::declare(&mut model)).transpose()?;
        let mut recorded = Vec::new();
        for phase in phases {
            let recipe = Recipe::of(&model.config, &split, batch, *phase != Phase::Stage1);
            // Only heads learn where images are anomalous.
            let marks = if *phase == Phase::Stage1 { None } else { set.marks.take() };
            let step = Recorded::new(gpu, &mut model, &feed, *phase, batch, labelled, marks)?;
            recorded.push((step, recipe));
        }
        model.allocate(gpu)?;
        feed.prepare(gpu, &model)?;
        let (stage1, stage2) = (None, None);
        Ok(Self { model, feed, start, recorded, stage1, stage2, batch, split, held_out, progress })
    }

    /// Compiles the recorded steps and tells what they take.
    fn compile(&mut self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<()> {
        for (step, recipe) in std::mem::take(&mut self.recorded) {
            let steps = step.compile(gpu, &self.model, &self.feed)?;
            let stage2 = steps.phase() == Phase::Stage2;
            let place = if stage2 { &mut self.stage2 } else { &mut self.stage1 };
            *place = Some((steps, recipe));
        }
        self.announce_memory(observer);
        Ok(())
    }

    fn announce(&self, observer: &mut dyn Observer) {
        let parameters: usize = self
            .model
            .module
            .parameters
            .iter()
            .map(|p| self.model.store.variable(p.value).len())
            .sum();
        let anomalies = match self.split.anomalies.len() {
            0 => String::new(),
            n => format!(" and {n} labelled anomalies"),
        };
        let what = if self.model.config.image.tile > 0 { "tiles" } else { "images" };
        let micro = match self.model.config.train.micro_batch {
            0 => String::new(),
            n => format!(", at most {n} encoded at once"),
        };
        observer.note(&format!(
            "{} training {what}{anomalies}, {} images to calibrate on; batches of {}{micro}; {:.2} million parameters",
            self.split.normals.len(),
            self.held_out.images(),
            self.batch,
            parameters as f64 / 1e6
        ));
        if self.batch < self.model.config.train.batch {
            observer.warn(&format!(
                "only {} images to train on: batches of {} instead of {}",
                self.split.len(),
                self.batch,
                self.model.config.train.batch
            ));
        }
    }

    fn announce_memory(&self, observer: &mut dyn Observer) {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let of = self.steps().map(|steps| steps.again).max().unwrap_or_default();
        let again = match (of.parts, of.norms) {
            (0, false) => String::new(),
            (0, true) => " (batch norms are run again for the backward pass)".into(),
            (parts, _) => {
                let all = self.model.encoder.parts();
                format!(
                    " (batch norms and {parts} of {all} parts of the network are run again for the backward pass)"
                )
            }
        };
        observer.note(&format!(
            "GPU memory: {:.0} MiB of variables{}, {:.0} MiB of temporaries{}; {} dispatches per step",
            mib(self.model.store.bytes()),
            if self.feed.is_resident() { " with all images" } else { "; images stream" },
            mib(self.plans().map(Plan::temporary_bytes).max().unwrap_or(0)),
            again,
            self.plans().map(Plan::dispatches).max().unwrap_or(0)
        ));
    }

    /// Epochs of stage 1: as many as asked for, or as it takes for the least number of steps.
    fn epochs_of(&self, recipe: &Recipe) -> usize {
        let train = &self.model.config.train;
        let steps = recipe.steps(&self.split, train.drop_last);
        if train.epochs == 0 { 0 } else { train.epochs.max(train.least_steps.div_ceil(steps)) }
    }

    fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.steps().map(|steps| &steps.plan)
    }

    fn steps(&self) -> impl Iterator<Item = &Steps> {
        self.stage1.iter().chain(&self.stage2).map(|(steps, _)| steps)
    }

    fn epochs(
        &mut self,
        gpu: &Gpu,
        folder: &RunFolder,
        journal: &Journal,
        mut profile: Option<&mut Profile>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Some((_, recipe)) = &self.stage1 else { return Ok(()) };
        let epochs = self.epochs_of(recipe);
        let steps = recipe.steps(&self.split, self.model.config.train.drop_last);
        let (mut saved, mut cost) = (Instant::now(), Duration::ZERO);
        let mut records = Vec::new();
        while self.progress.epoch < epochs {
            let record = self.epoch(gpu, profile.as_deref_mut(), observer)?;
            journal.append(&record)?;
            observer.epoch(&record, epochs);
            // Without contrast nothing asks of a memory that it tells features apart.
            let contrasted = record.scales.iter().filter(|s| s.contrast.is_some());
            if self.progress.epoch == epochs || self.progress.epoch == 1 {
                contrasted.filter_map(ScaleRecord::warning).for_each(|w| observer.warn(&w));
            }
            // A loss scale is too large now and then.
            let precision = self.model.config.network.precision;
            let (expected, cure) = match precision {
                Precision::F32 => (0, "a lower train.lr may help"),
                Precision::F16 => (steps / 2, "a lower train.lr or network.precision=f32 may help"),
            };
            if record.non_finite_steps > expected {
                observer.warn(&format!(
                    "{} of {} steps had gradients that are not finite and were skipped; {cure}",
                    record.non_finite_steps, steps
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
        profile: Option<&mut Profile>,
        observer: &mut dyn Observer,
    ) -> Result<EpochRecord> {
        let begin = Instant::now();
        let Some((steps, recipe)) = &self.stage1 else {
            return Err(Error::Internal("an epoch of no phase".into()));
        };
        let (config, seed) = (&self.model.config, self.model.config.seed);
        let drop_last = config.train.drop_last;
        let per = recipe.steps(&self.split, drop_last);
        let epochs = self.epochs_of(recipe);
        let (asked, warmup) = (config.train.epochs, config.train.warmup_epochs);
        let schedule = Schedule {
            peak: config.learning_rate(),
            // In proportion where small sets are passed over more often.
            warmup: (per * warmup.min(asked / 2) * epochs / asked.max(1)) as u64,
            total: (per * epochs) as u64,
        };
        steps.forget_use(gpu, &self.model)?;
        let batches = recipe.epoch(&self.split, seed, self.progress.epoch, drop_last);
        let pass = Pass { schedule, first: self.progress.step, counters: 0 };
        let sums = self.run(gpu, steps, &batches, pass, profile, observer)?;
        self.progress.step += batches.len() as u64;
        self.progress.epoch += 1;
        let lr = schedule.rate(self.progress.step - 1);
        let mut record = self.record_of(gpu, steps, &sums, lr, begin.elapsed())?;
        (record.epoch, record.step) = (self.progress.epoch, self.progress.step);
        if self.progress.epoch < epochs {
            let seed = seed ^ self.progress.step;
            let of_scales = self.model.scales.iter().zip(&mut record.scales);
            for ((revival, used), (scale, record)) in steps.revivals().zip(of_scales) {
                if let Some(memory) = &mut record.memory {
                    let plan = &steps.plan;
                    memory.revived = revival.run(gpu, &self.model, plan, scale, used, seed)?;
                }
            }
        }
        Ok(record)
    }

    /// Puts the centroids of the trained encoder's features in the prototypes' place, where the configuration
    /// asks for them. They follow from encoder, images and seed, so that a resumed run finds the same.
    fn cluster(&self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<()> {
        if self.model.config.memory.kind != MemoryKind::Kmeans {
            return Ok(());
        }
        observer.note("clustering the encoder's features");
        kmeans::memorise(gpu, &self.model, &self.feed, &self.split.normals, self.batch, observer)
    }

    /// Trains the heads alone, on passes over the images until the steps are done.
    fn train_heads(
        &mut self,
        gpu: &Gpu,
        journal: &Journal,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let Some((steps, recipe)) = &self.stage2 else { return Ok(()) };
        observer.note("training the heads on the frozen encoder");
        let config = &self.model.config;
        let total = config.stage2.steps;
        let schedule = Schedule { peak: config.stage2.lr, warmup: 0, total: total as u64 };
        let passes = (0..).flat_map(|pass| {
            recipe.epoch(&self.split, config.seed, STAGE2_ORDERS + pass, config.train.drop_last)
        });
        let batches: Vec<Composition> = passes.take(total).collect();
        let mut done = 0;
        for chunk in batches.chunks(LOGGED) {
            let begin = Instant::now();
            let pass = Pass { schedule, first: done, counters: STAGE2_COUNTERS };
            let sums = self.run(gpu, steps, chunk, pass, None, observer)?;
            done += chunk.len() as u64;
            let lr = schedule.rate(done - 1);
            let mut record = self.record_of(gpu, steps, &sums, lr, begin.elapsed())?;
            (record.epoch, record.step) = (self.progress.epoch, done);
            journal.append(&record)?;
            observer.epoch(&record, config.train.epochs);
        }
        self.progress.stage2 = true;
        Ok(())
    }

    /// Runs a step on each of `batches`.
    fn run(
        &self,
        gpu: &Gpu,
        steps: &Steps,
        batches: &[Composition],
        pass: Pass,
        mut profile: Option<&mut Profile>,
        observer: &mut dyn Observer,
    ) -> Result<Sums> {
        let mut in_flight = InFlight::default();
        let mut sums = Sums::default();
        let mut step = pass.first;
        for read_together in batches.chunks(HISTORY) {
            for batch in read_together {
                let counters = counters_of(self.model.config.seed, pass.counters + step as u32);
                let input = Input { batch, counters, lr: pass.schedule.rate(step) };
                let profile = profile.as_deref_mut();
                let begin = Instant::now();
                let submitted = steps.run(gpu, &self.model, &self.feed, input, profile)?;
                sums.host += begin.elapsed();
                if let Some(submission) = submitted {
                    in_flight.push(gpu, submission)?;
                }
                step += 1;
                observer.advance("training", step, pass.schedule.total);
            }
            steps.read_into(gpu, read_together, &mut sums)?;
        }
        Ok(sums)
    }

    fn record_of(
        &self,
        gpu: &Gpu,
        steps: &Steps,
        sums: &Sums,
        lr: f64,
        time: Duration,
    ) -> Result<EpochRecord> {
        let (loss_config, stage2) = (&self.model.config.loss, &self.model.config.stage2);
        let mut loss = 0.0;
        let mut scales = Vec::new();
        for (i, (s, t)) in self.model.scales.iter().zip(steps.terms()).enumerate() {
            let means = sums.means(i, t);
            let [image, position] = means.hinges.map(|h| h.unwrap_or(0.0));
            let mut of_scale = image + stage2.position_weight * position;
            let mut contrast = None;
            if let (Some(mean), Some(c)) = (means.contrast, &t.contrast) {
                let variance = loss_config.variance_weight * means.variance.unwrap_or(0.0);
                of_scale += steps.contrast_weight(&self.model) * (mean + variance);
                let total = c.variance.map(|v| steps.plan.read::<f32>(gpu, v.total)).transpose()?;
                contrast = Some(ContrastRecord {
                    contrast: mean,
                    chance: c.chance,
                    position_chance: c.position_chance,
                    variance: means.variance,
                    retrieved_variance: total.map(|total| f64::from(total[0])),
                });
            }
            let mut memory = None;
            if let Some(entropy) = means.entropy {
                let used: Vec<u32> = self.model.store.download(gpu, steps.used()[i])?;
                let beta: Vec<f32> = self.model.store.download(gpu, s.beta)?;
                memory = Some(MemoryRecord {
                    entropy,
                    used: used.iter().filter(|u| **u != 0).count() as f64 / s.slots as f64,
                    beta: f64::from(beta[0]),
                    revived: 0,
                });
            }
            loss += loss_config.scale_weights[i] * of_scale;
            let [image_hinge, position_hinge] = means.hinges;
            scales.push(ScaleRecord {
                stage: s.stage,
                contrast,
                image_hinge,
                position_hinge,
                memory,
            });
        }
        let seconds = time.as_secs_f64();
        Ok(EpochRecord {
            phase: steps.phase(),
            epoch: 0,
            step: 0,
            lr,
            loss,
            scales,
            grad_norm: sums.grad_norm / sums.steps(),
            non_finite_steps: sums.non_finite,
            images_per_second: sums.images() as f64 / seconds.max(1e-9),
            seconds,
            host_seconds: sums.host.as_secs_f64(),
        })
    }

    fn calibrate(&mut self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<()> {
        // The last step has run: scoring has its memory.
        self.stage2 = None;
        self.model.calibration = {
            let scorer = Scorer::new(gpu, &mut self.model, "calibration")?;
            scorer.calibrate(gpu, &self.model, &self.held_out.pixels)?
        };
        let scorer = Scorer::new(gpu, &mut self.model, "measured")?;
        let Measured { tiles, images, heat_range } =
            scorer.measure(gpu, &self.model, &self.held_out)?;
        self.model.heat_range = heat_range;
        self.model.made_auroc = match self.model.config.anomalies.pseudo {
            Pseudo::None => None,
            pseudo => {
                let made = make(gpu, &mut self.model, &self.held_out.pixels, pseudo)?;
                auroc(&tiles, &scorer.scores(gpu, &self.model, &made)?)?
            }
        };
        if let Some(auroc) = self.model.made_auroc {
            observer.note(&format!(
                "anomalies made of the images kept back: AUROC {:.1} % (made_auroc)",
                100.0 * auroc
            ));
            if auroc < LOW_AUROC {
                observer.warn(&format!(
                    "made_auroc is {:.1} %: the detector hardly knows the anomalies that it was trained \
                     on, so it will not know others; train longer, with a larger image.size, or another \
                     train.lr",
                    100.0 * auroc
                ));
            }
        }
        // Scores of images that were trained on would promise too few false alarms.
        self.model.normal_scores = if self.held_out.unseen { images } else { Vec::new() };
        Ok(())
    }

    fn save(&self, gpu: &Gpu, folder: &RunFolder) -> Result<()> {
        checkpoint::save(&folder.training(), gpu, &self.model, &self.progress, Content::Training)?;
        checkpoint::save(&folder.model(), gpu, &self.model, &self.progress, Content::Model)
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
    Ok((checkpoint.load(gpu)?, checkpoint.facts.progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_and_falls() {
        let schedule = Schedule { peak: 2.0, warmup: 10, total: 100 };
        let rate = |step| schedule.rate(step);
        assert!((rate(0) - 0.2).abs() < 1e-12);
        assert!(rate(4) < rate(9) && rate(9) > 1.9 && rate(50) < 1.01);
        assert!(rate(99) < 1e-3 * 2.0 && rate(99) > 0.0);
        assert!((Schedule { peak: 2.0, warmup: 0, total: 4 }.rate(0) - 2.0).abs() < 1e-12);
    }
}
