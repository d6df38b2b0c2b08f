//! The plan of a training step: what is written before it, run, and read back after it.

use super::config::{BackboneTraining, Config, HeadKind, MemoryKind, Recompute, Stage2Training};
use super::feed::Feed;
use super::labels::{Composition, Labels};
use super::model::{Encoded, Model};
use super::objective::{self, Contrast, Terms, Weights};
use super::revival::Revival;
use super::set::Marks;
use super::start::STATISTICS_MOMENTUM;
use crate::autograd::{Plan, PlanOptions, Tape, Value};
use crate::gpu::{Gpu, Profile, Submission};
use crate::nn::{Group, Health, Mode, Trained, UpdateOptions};
use crate::ops::{augment, hopfield, loss_scale};
use crate::tensor::{Element, VarId};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Steps whose losses are read back together.
pub(super) const HISTORY: usize = 64;

/// What is trained together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Encoder, unless it is frozen, and memories by contrast.
    #[default]
    Stage1,
    /// Encoder, unless it is frozen, memories and heads by contrast and hinge.
    Joint,
    /// Heads by the hinge.
    Stage2,
}

impl Phase {
    /// The phases of a training, in order.
    pub(super) fn of(config: &Config) -> &'static [Self] {
        // Neither the encoder nor a memory that comes about afterwards learns by contrast.
        let idle = config.train.backbone == BackboneTraining::Frozen
            && config.memory.kind == MemoryKind::Kmeans;
        match (config.stage2.head, config.stage2.training) {
            (HeadKind::None, _) if idle => &[],
            (HeadKind::None, _) => &[Self::Stage1],
            (_, Stage2Training::Joint) => &[Self::Joint],
            (_, Stage2Training::Frozen) if idle => &[Self::Stage2],
            (_, Stage2Training::Frozen) => &[Self::Stage1, Self::Stage2],
        }
    }

    fn trained(self, config: &Config) -> Trained {
        let first = match config.train.backbone {
            BackboneTraining::Tuned => Group::Encoder,
            BackboneTraining::Frozen => Group::Memory,
        };
        match self {
            Self::Stage1 => first..=Group::Memory,
            Self::Joint => first..=Group::Heads,
            Self::Stage2 => Group::Heads..=Group::Heads,
        }
    }

    /// Whether the encoder learns.
    fn trains_encoder(self, config: &Config) -> bool {
        self.trained(config).contains(&Group::Encoder)
    }

    /// Weight of stage 1's loss.
    fn contrast(self, config: &Config) -> f64 {
        match self {
            Self::Stage1 => 1.0,
            Self::Joint => config.stage2.contrast_weight,
            Self::Stage2 => 0.0,
        }
    }

    /// Views of each image.
    fn views(self, config: &Config) -> usize {
        if self.contrast(config) > 0.0 { 2 } else { 1 }
    }
}

/// What the host writes before a step, and what the step counts.
struct Variables {
    counters: VarId,
    lr: VarId,
    labels: Option<Labels>,
    /// u32 `[M]` per scale: prototypes that some query recalled first.
    used: Vec<VarId>,
    weights: Weights,
}

/// What a step leaves.
struct Outputs {
    terms: Vec<Terms>,
    revivals: Vec<Revival>,
    health: Health,
}

/// A recorded step that waits for its variables' memory.
pub(super) struct Recorded {
    tape: Tape,
    phase: Phase,
    variables: Variables,
    outputs: Outputs,
    again: Again,
}

/// What is run again for the backward pass, instead of kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Again {
    /// Parts of the encoder: its stem and blocks, from the first on.
    pub parts: usize,
    /// Batch norms.
    pub norms: bool,
}

/// Steps that may wait in the GPU's queue.
const QUEUED: usize = 2;

/// Steps that were left to run: a few, so that the next is prepared meanwhile.
#[derive(Default)]
pub(super) struct InFlight(VecDeque<Submission>);

impl InFlight {
    /// Adds a step; waits for the oldest where there are too many.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub(super) fn push(&mut self, gpu: &Gpu, step: Submission) -> Result<()> {
        self.0.push_back(step);
        if self.0.len() > QUEUED
            && let Some(oldest) = self.0.pop_front()
        {
            gpu.wait(oldest)?;
        }
        Ok(())
    }
}

/// A step that can be run.
pub(super) struct Steps {
    pub plan: Plan,
    pub again: Again,
    phase: Phase,
    variables: Variables,
    outputs: Outputs,
}

/// What differs between steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    /// The images.
    pub batch: &'a Composition,
    /// The random numbers, of [`counters_of`].
    pub counters: [u32; 4],
    /// Learning rate.
    pub lr: f64,
}

/// The draws of a step: seed, step number.
pub(super) fn counters_of(seed: u64, step: u32) -> [u32; 4] {
    [seed as u32, (seed >> 32) as u32, step, 0]
}

/// The configuration's augmentation, as the kernels take it.
pub(crate) fn augmentation(config: &Config) -> augment::AugmentOptions {
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

impl Recorded {
    /// Declares the variables of a step of `phase` on batches of `batch` images and records it.
    /// `labelled`: whether some images are anomalous; `marks`: where.
    ///
    /// # Errors
    /// Those of the operations.
    pub(super) fn new(
        gpu: &Gpu,
        model: &mut Model,
        feed: &Feed,
        phase: Phase,
        batch: usize,
        labelled: bool,
        marks: Option<Marks>,
    ) -> Result<Self> {
        let prefix = match phase {
            Phase::Stage1 | Phase::Joint => "step",
            Phase::Stage2 => "stage2",
        };
        let views = phase.views(&model.config);
        let slab = model.store.slab(prefix);
        let mut used = Vec::new();
        for s in &model.scales {
            let name = format!("{prefix}.used{}", s.stage);
            used.push(model.store.declare(slab, &name, &[s.slots], Element::U32, false)?);
        }
        let mut declare = |what: &str, len, element| {
            model.store.declare(slab, &format!("{prefix}.{what}"), &[len], element, false)
        };
        let counters = declare("counters", 4, Element::U32)?;
        let lr = declare("lr", 1, Element::F32)?;
        let labels = match labelled {
            true => {
                let pseudo = model.config.anomalies.pseudo;
                Some(Labels::declare(model, prefix, [batch, views], pseudo, marks)?)
            }
            false => None,
        };
        let weights = Weights::declare(model, prefix)?;
        let variables = Variables { counters, lr, labels, used, weights };
        let again = match model.config.train.recompute {
            _ if !phase.trains_encoder(&model.config) => Again::default(),
            Recompute::Auto | Recompute::None => Again::default(),
            Recompute::Norms => Again { parts: 0, norms: true },
            Recompute::Blocks => Again { parts: model.encoder.parts(), norms: true },
        };
        let (tape, outputs) = record(gpu, model, feed, phase, &variables, again.parts)?;
        Ok(Self { tape, phase, variables, outputs, again })
    }

    /// Compiles the step and writes what does not change. Where it does not fit into memory, and the configuration
    /// lets it, its batch norms are run again for the backward pass, and then as few parts of the encoder as make it fit:
    /// the first ones, whose maps are the largest.
    ///
    /// # Errors
    /// Limits that the plan exceeds, or a fault of the GPU.
    pub(super) fn compile(mut self, gpu: &Gpu, model: &Model, feed: &Feed) -> Result<Steps> {
        let mut plan = loop {
            match self.plan(gpu, model) {
                Err(e) if e.is_lack_of_memory() && self.may_run_more_again(model) => {
                    if !self.again.norms {
                        self.again.norms = true;
                        continue;
                    }
                    self.again.parts += 1;
                    let (phase, variables) = (self.phase, &self.variables);
                    (self.tape, self.outputs) =
                        record(gpu, model, feed, phase, variables, self.again.parts)?;
                }
                plan => break plan?,
            }
        };
        self.logged().iter().try_for_each(|v| plan.history(gpu, *v, HISTORY))?;
        let Self { phase, variables, outputs, again, .. } = self;
        variables.weights.upload(gpu, model, phase.contrast(&model.config))?;
        variables.labels.iter().try_for_each(|labels| labels.settle(gpu, model))?;
        Ok(Steps { plan, again, phase, variables, outputs })
    }

    /// Whether there is a part left to run again.
    fn may_run_more_again(&self, model: &Model) -> bool {
        let left = self.again.parts < model.encoder.parts();
        let auto = model.config.train.recompute == Recompute::Auto;
        left && auto && self.phase.trains_encoder(&model.config)
    }

    fn plan(&mut self, gpu: &Gpu, model: &Model) -> Result<Plan> {
        self.logged().iter().for_each(|v| self.tape.keep(*v));
        let rematerialise = self.again.norms;
        let options = PlanOptions { rematerialise, ..model.plan_options("training") };
        Plan::compile(gpu, &self.tape, &model.store, &options)
    }

    /// What is read back of every step.
    fn logged(&self) -> Vec<Value> {
        let health = self.outputs.health;
        let terms = self.outputs.terms.iter().flat_map(|t| logged_of(t).into_iter().flatten());
        [health.non_finite, health.grad_square].into_iter().chain(terms).collect()
    }
}

/// Contrast, variance, sum of entropies, image hinge, position hinge.
fn logged_of(terms: &Terms) -> [Option<Value>; 5] {
    let contrast = terms.contrast.as_ref();
    [
        contrast.map(|c| c.loss),
        contrast.and_then(Contrast::l_v),
        terms.recall.map(|r| r.entropy_sum),
        terms.image,
        terms.position,
    ]
}

fn record(
    gpu: &Gpu,
    model: &Model,
    feed: &Feed,
    phase: Phase,
    variables: &Variables,
    recomputed: usize,
) -> Result<(Tape, Outputs)> {
    let mut tape = Tape::new(model.kernels(gpu));
    let t = &mut tape;
    t.recompute(recomputed);
    let (store, trained) = (&model.store, phase.trained(&model.config));
    model.module.freeze(t, &trained);
    let views = phase.views(&model.config);
    let source = feed.record(t, model)?;
    let counters = t.variable(store, variables.counters);
    let mut labels = variables.labels.as_ref().map(|l| l.record(t, model)).transpose()?;
    let (images, slots, damaged) = match &labels {
        Some(labels) => labels.make(t, model, &source, counters)?,
        None => (source.images, source.slots, None),
    };
    let options = augmentation(&model.config);
    let draws = augment::draw(t, &options, counters, source.ids, views)?;
    let x = augment::views(t, &images, slots, draws, &options)?;
    let mode = if phase.trains_encoder(&model.config) { Mode::Train } else { Mode::Evaluate };
    let Encoded { maps, statistics } = model.encode(t, x, views, mode)?;
    let mut terms = if views == 2 {
        let pairs = objective::draw_pairs(model, t, &maps, counters, draws)?;
        objective::contrast(model, t, &maps, &pairs, labels.as_ref().map(|l| l.normal))?
    } else {
        model.scales.iter().map(|_| Terms::default()).collect()
    };
    if phase != Phase::Stage1 {
        let labels = labels
            .as_mut()
            .ok_or_else(|| Error::Internal("heads without anomalies to learn from".into()))?;
        labels.place(t, damaged, draws)?;
        let frozen = phase == Phase::Stage2;
        objective::hinge(model, t, &maps, labels, frozen, &mut terms)?;
    }
    let mut seeds = variables.weights.seeds(t, store, &terms);
    let loss_scale = model.loss_scale.map(|state| t.variable(store, state));
    if let Some(state) = loss_scale {
        for (_, seed) in &mut seeds {
            *seed = loss_scale::scale(t, *seed, state)?;
        }
    }
    let grads = t.backward(&seeds)?;
    model.module.place_gradients(t, store, &grads, &trained)?;
    let train = &model.config.train;
    let update = UpdateOptions {
        momentum: train.momentum as f32,
        weight_decay: train.weight_decay as f32,
        memory_lr_scale: train.memory_lr_scale as f32,
        statistics_momentum: STATISTICS_MOMENTUM,
        loss_scale,
    };
    let rate = t.variable(store, variables.lr);
    let health = model.module.update(t, store, &update, rate, &trained, &statistics)?;
    for (term, var) in terms.iter().zip(&variables.used) {
        if let Some(recall) = &term.recall {
            let flags = t.variable(store, *var);
            hopfield::mark_used(t, recall.slot, flags)?;
        }
        if let Some(variance) = term.contrast.as_ref().and_then(|c| c.variance) {
            t.keep(variance.total);
        }
    }
    let revivals = Revival::record(&model.config, t, &terms)?;
    Ok((tape, Outputs { terms, revivals, health }))
}

/// Sums over some steps.
#[derive(Debug, Clone, Default)]
pub(super) struct Sums {
    /// As [`logged_of`].
    scales: Vec<[f64; 5]>,
    /// Normal images seen, of all.
    normals: usize,
    images: usize,
    steps: usize,
    /// Time in which the host prepared and submitted them.
    pub host: Duration,
    pub grad_norm: f64,
    pub non_finite: usize,
}

/// Means of one scale over some steps.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Means {
    /// L_CM.
    pub contrast: Option<f64>,
    /// L_V.
    pub variance: Option<f64>,
    /// Of the retrieval weights.
    pub entropy: Option<f64>,
    /// Hinges of image and position head.
    pub hinges: [Option<f64>; 2],
}

impl Steps {
    /// What is trained together.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Weight of stage 1's loss.
    pub(super) fn contrast_weight(&self, model: &Model) -> f64 {
        self.phase.contrast(&model.config)
    }

    /// The terms of each scale.
    pub(super) fn terms(&self) -> &[Terms] {
        &self.outputs.terms
    }

    /// For each scale what revives its prototypes, none unless the configuration asks for it.
    pub(super) fn revivals(&self) -> impl Iterator<Item = (&Revival, VarId)> {
        self.outputs.revivals.iter().zip(self.variables.used.iter().copied())
    }

    /// u32 `[M]` per scale: prototypes that some query recalled first since [`Self::forget_use`].
    pub(super) fn used(&self) -> &[VarId] {
        &self.variables.used
    }

    /// From now on no prototype counts as used.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub(super) fn forget_use(&self, gpu: &Gpu, model: &Model) -> Result<()> {
        let of_scales = self.variables.used.iter().zip(&model.scales);
        of_scales
            .into_iter()
            .try_for_each(|(var, s)| model.store.upload(gpu, *var, &vec![0_u32; s.slots]))
    }

    /// Runs a step. Without a profile it is left to run, and what can be waited for is returned.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub(super) fn run(
        &self,
        gpu: &Gpu,
        model: &Model,
        feed: &Feed,
        input: Input<'_>,
        profile: Option<&mut Profile>,
    ) -> Result<Option<Submission>> {
        feed.choose(gpu, model, &input.batch.indices)?;
        if let Some(labels) = &self.variables.labels {
            labels.upload(gpu, model, input.batch)?;
        }
        model.store.upload(gpu, self.variables.counters, &input.counters)?;
        model.store.upload(gpu, self.variables.lr, &[input.lr as f32])?;
        match profile {
            Some(profile) => self.plan.profile_step(gpu, profile).map(|()| None),
            None => self.plan.run(gpu).map(Some),
        }
    }

    /// Adds what the steps since the last call logged, those of `batches`.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub(super) fn read_into(
        &self,
        gpu: &Gpu,
        batches: &[Composition],
        sums: &mut Sums,
    ) -> Result<()> {
        let read = |v: Value| -> Result<Vec<f64>> {
            let steps = self.plan.read_history::<f32>(gpu, v)?;
            Ok(steps.iter().map(|step| f64::from(step[0])).collect())
        };
        sums.scales.resize(self.outputs.terms.len(), [0.0; 5]);
        for (scale, terms) in sums.scales.iter_mut().zip(&self.outputs.terms) {
            for (sum, value) in scale.iter_mut().zip(logged_of(terms)) {
                if let Some(value) = value {
                    // A skipped step may have lost its losses to infinity; it is counted below.
                    *sum += read(value)?.iter().filter(|v| v.is_finite()).sum::<f64>();
                }
            }
        }
        let health = &self.outputs.health;
        let squares = read(health.grad_square)?;
        sums.grad_norm += squares.iter().filter(|v| v.is_finite()).map(|v| v.sqrt()).sum::<f64>();
        let counts = self.plan.read_history::<u32>(gpu, health.non_finite)?;
        sums.non_finite += counts.iter().filter(|step| step[0] != 0).count();
        sums.steps += batches.len();
        sums.normals += batches.iter().map(Composition::normals).sum::<usize>();
        sums.images += batches.iter().map(|b| b.indices.len()).sum::<usize>();
        Ok(())
    }
}

impl Sums {
    /// Steps added up.
    pub(super) fn steps(&self) -> f64 {
        self.steps.max(1) as f64
    }

    /// Images added up.
    pub(super) fn images(&self) -> usize {
        self.images
    }

    /// Means of scale `index`, which `terms` describe.
    pub(super) fn means(&self, index: usize, terms: &Terms) -> Means {
        let [contrast, variance, entropy, image, position] =
            self.scales[index].map(|sum| sum / self.steps());
        let normal = self.normals.max(1) as f64 / self.images.max(1) as f64;
        Means {
            contrast: terms.contrast.as_ref().map(|_| contrast),
            variance: terms.contrast.as_ref().and_then(Contrast::l_v).map(|_| variance),
            entropy: terms.recall.map(|r| entropy / (r.queries as f64 * normal)),
            hinges: [terms.image.map(|_| image), terms.position.map(|_| position)],
        }
    }
}
