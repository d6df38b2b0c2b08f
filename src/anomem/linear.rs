//! Linear evaluation: how well a linear classifier on what a frozen encoder sees tells classes apart
//! (SimCLR, Chen et al. 2020, section 2.3).

use super::feed::Feed;
use super::model::Model;
use super::set::permutation;
use super::step::InFlight;
use super::trainer::{Observer, Schedule};
use crate::autograd::{Plan, PlanOptions, Tape, Value};
use crate::data::{Loaded, Sample, load};
use crate::gpu::Gpu;
use crate::nn::{BatchNorm, Builder, Group, Linear, Mode, UpdateOptions};
use crate::ops::{augment, cross_entropy, pool};
use crate::tensor::{Element, Store, VarId};
use crate::{Error, Result};

/// Passes over the training images (SimCLR, appendix B.6).
const EPOCHS: usize = 90;
/// Images per step, at most.
const BATCH: usize = 256;
/// Peak learning rate by batch size / 256 (SimCLR, appendix B.6).
const RATE: f64 = 0.1;
/// Nesterov momentum (SimCLR, appendix B.5).
const MOMENTUM: f32 = 0.9;
/// Share of each batch that goes into the running statistics.
const STATISTICS_MOMENTUM: f32 = 0.1;

/// Vectors and the class of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// `[N, D]`.
    pub features: Vec<f32>,
    /// `[N]`, below the number of classes.
    pub labels: Vec<u32>,
}

/// What came of a linear evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearEvaluation {
    /// Share of the test images whose class has the greatest logit, 0 to 1.
    pub accuracy: f64,
    /// Test images.
    pub images: usize,
}

/// Components scaled to mean 0 and variance 1, then a linear layer: together still linear.
pub struct Classifier {
    store: Store,
    dim: usize,
    classes: usize,
    batch: usize,
    /// f32 `[B, D]`.
    features: VarId,
    /// u32 `[B]`.
    labels: VarId,
    lr: VarId,
    step: Plan,
    loss: Value,
    judge: Plan,
    /// `[B, classes]`, of [`Self::judge`].
    logits: Value,
}

impl Classifier {
    /// An untrained classifier of vectors of `dim` components into `classes`, in steps of `batch`; its
    /// initial weights follow from `seed`.
    ///
    /// # Errors
    /// A batch below 2, limits that the plans exceed, faults of the GPU.
    pub fn new(gpu: &Gpu, dim: usize, classes: usize, batch: usize, seed: u64) -> Result<Self> {
        if batch < 2 || dim == 0 || classes == 0 {
            let found = format!("batch {batch}, dim {dim}, {classes} classes");
            let message = format!("{found}: expected batches of 2 or more, and no 0");
            return Err(Error::shape("linear classifier", message));
        }
        let mut store = Store::new();
        let mut b = Builder::new(&mut store, seed);
        b.enter(Group::Heads)?;
        let norm = BatchNorm::new(&mut b, "linear.norm", dim)?;
        let layer = Linear::uniform(&mut b, "linear", dim, classes)?;
        let module = b.finish()?;
        let slab = store.slab("linear evaluation");
        let mut declare =
            |name: &str, shape: &[usize], element| store.declare(slab, name, shape, element, false);
        let features = declare("features", &[batch, dim], Element::F32)?;
        let labels = declare("labels", &[batch], Element::U32)?;
        let lr = declare("lr", &[1], Element::F32)?;
        let one = declare("one", &[1], Element::F32)?;
        store.allocate(gpu)?;
        module.initialise(gpu, &store)?;
        store.upload(gpu, one, &[1.0_f32])?;

        let record = |t: &mut Tape, mode| {
            let x = t.variable(&store, features);
            let x = t.reshape(x, &[batch, 1, 1, dim])?;
            let x = norm.forward(t, &store, x, mode)?;
            let x = t.reshape(x, &[batch, dim])?;
            layer.forward(t, &store, x)
        };
        let compile = |tape: &Tape, label: &str| {
            let options = PlanOptions { label: label.into(), ..Default::default() };
            Plan::compile(gpu, tape, &store, &options)
        };
        let trained = Group::Heads..=Group::Heads;
        let mut tape = Tape::new(gpu.report().kernels());
        let t = &mut tape;
        let logits = record(t, Mode::Train)?;
        let wanted = t.variable(&store, labels);
        let loss = cross_entropy::cross_entropy(t, logits, wanted)?;
        let seed = t.variable(&store, one);
        let grads = t.backward(&[(loss, seed)])?;
        module.place_gradients(t, &store, &grads, &trained)?;
        let update = UpdateOptions {
            momentum: MOMENTUM,
            weight_decay: 0.0,
            memory_lr_scale: 1.0,
            statistics_momentum: STATISTICS_MOMENTUM,
            loss_scale: None,
        };
        let rate = t.variable(&store, lr);
        module.update(t, &store, &update, rate, &trained, &[])?;
        t.keep(loss);
        let step = compile(t, "linear evaluation")?;
        let mut tape = Tape::forward_only(gpu.report().kernels());
        let logits = record(&mut tape, Mode::Evaluate)?;
        tape.keep(logits);
        let judge = compile(&tape, "linear classifier")?;
        Ok(Self { store, dim, classes, batch, features, labels, lr, step, loss, judge, logits })
    }

    /// Trains by SGD with Nesterov momentum in [`EPOCHS`] passes over `data`, each in an order that follows
    /// from `seed`; an incomplete last batch is filled from the pass's beginning. Returns the last step's
    /// loss.
    ///
    /// # Errors
    /// Features or labels that do not fit, faults of the GPU, a loss that is not finite.
    pub fn train(
        &self,
        gpu: &Gpu,
        data: &Labelled,
        seed: u64,
        observer: &mut dyn Observer,
    ) -> Result<f64> {
        self.check(data)?;
        let all: Vec<u32> = (0..data.labels.len() as u32).collect();
        let per = all.len().div_ceil(self.batch);
        let peak = RATE * self.batch as f64 / 256.0;
        let schedule = Schedule { peak, warmup: 0, total: (per * EPOCHS) as u64 };
        let mut in_flight = InFlight::default();
        for epoch in 0..EPOCHS {
            let order = permutation(seed, epoch, &all);
            for k in 0..per {
                let row = |i: usize| order[i % order.len()] as usize;
                let rows: Vec<usize> = (0..self.batch).map(|i| row(k * self.batch + i)).collect();
                let step = (epoch * per + k) as u64;
                let labels: Vec<u32> = rows.iter().map(|row| data.labels[*row]).collect();
                self.choose(gpu, data, rows)?;
                self.store.upload(gpu, self.labels, &labels)?;
                self.store.upload(gpu, self.lr, &[schedule.rate(step) as f32])?;
                in_flight.push(gpu, self.step.run(gpu)?)?;
                observer.advance("linear evaluation", step + 1, schedule.total);
            }
        }
        let loss = f64::from(self.step.read::<f32>(gpu, self.loss)?[0]);
        if !loss.is_finite() {
            return Err(Error::Internal(format!("linear evaluation: the loss became {loss}")));
        }
        Ok(loss)
    }

    /// Share of `data` whose label has the greatest logit (top-1), 0 to 1; the first of equal ones is taken.
    ///
    /// # Errors
    /// Features or labels that do not fit, faults of the GPU.
    pub fn accuracy(&self, gpu: &Gpu, data: &Labelled) -> Result<f64> {
        self.check(data)?;
        let n = data.labels.len();
        let mut right = 0;
        for first in (0..n).step_by(self.batch) {
            let rows = (first..n).chain(std::iter::repeat(first)).take(self.batch).collect();
            self.choose(gpu, data, rows)?;
            self.judge.run(gpu)?;
            let logits: Vec<f32> = self.judge.read(gpu, self.logits)?;
            for (row, label) in logits.chunks(self.classes).zip(&data.labels[first..]) {
                // Of equals `max_by` takes the last.
                let best = (0..self.classes).rev().max_by(|a, b| row[*a].total_cmp(&row[*b]));
                right += usize::from(best == Some(*label as usize));
            }
        }
        Ok(right as f64 / n as f64)
    }

    fn check(&self, data: &Labelled) -> Result<()> {
        let n = data.labels.len();
        let known = data.labels.iter().all(|label| (*label as usize) < self.classes);
        if n == 0 || data.features.len() != n * self.dim || !known {
            let found = format!("{} values, {n} labels", data.features.len());
            let expected = format!("{} to a label, labels below {}", self.dim, self.classes);
            return Err(Error::shape("linear classifier", format!("{found}: expected {expected}")));
        }
        Ok(())
    }

    fn choose(&self, gpu: &Gpu, data: &Labelled, rows: Vec<usize>) -> Result<()> {
        let vector = |row: usize| &data.features[row * self.dim..(row + 1) * self.dim];
        let vectors: Vec<f32> = rows.into_iter().flat_map(vector).copied().collect();
        self.store.upload(gpu, self.features, &vectors)
    }
}

/// Trains a linear classifier of `classes` on the features of the images `train` and counts how many of `test`
/// it knows. The features are the means over the encoder's last stage in use, of images that are not
/// augmented; the encoder stays as it is. A sample's class is its `kind`.
///
/// # Errors
/// Fewer than 2 training images or no test image, an unknown class, images in tiles, bad files unless
/// `skip_bad`, features that are not finite, faults of the GPU.
pub fn linear_evaluation(
    gpu: &Gpu,
    model: &mut Model,
    classes: &[String],
    [train, test]: [&[Sample]; 2],
    skip_bad: bool,
    observer: &mut dyn Observer,
) -> Result<LinearEvaluation> {
    if model.config.image.tile > 0 {
        return Err(Error::Usage(format!(
            "image.tile = {}: expected 0 for a linear evaluation, which classifies whole images",
            model.config.image.tile
        )));
    }
    let mut of = |what: &str, samples: &[Sample]| {
        let loaded = load(samples, &model.load_options(skip_bad), &|_, _| {})?;
        loaded.skipped.iter().for_each(|e| observer.warn(&format!("left out: {e}")));
        let label = |kept: &usize| {
            let kind = &samples[*kept].kind;
            let class = classes.iter().position(|class| class == kind);
            class.map(|class| class as u32).ok_or_else(|| {
                let name = &samples[*kept].name;
                Error::Usage(format!("{name}: of class '{kind}', which is none of the set's"))
            })
        };
        let labels: Vec<u32> = loaded.kept.iter().map(label).collect::<Result<_>>()?;
        if labels.len() < 2 {
            let n = labels.len();
            return Err(Error::Usage(format!("{n} {what} images: expected at least 2")));
        }
        Ok(Labelled { features: features(gpu, model, what, loaded)?, labels })
    };
    let (known, asked) = (of("training", train)?, of("test", test)?);
    let dim = known.features.len() / known.labels.len();
    let (batch, seed) = (known.labels.len().min(BATCH), model.config.seed);
    let classifier = Classifier::new(gpu, dim, classes.len(), batch, seed)?;
    let loss = classifier.train(gpu, &known, seed, observer)?;
    let accuracy = classifier.accuracy(gpu, &asked)?;
    observer.note(&format!(
        "linear evaluation on {dim} features: last loss {loss:.4}; top-1 accuracy {:.1} % of the images trained \
         on, {:.1} % of {} test images",
        100.0 * classifier.accuracy(gpu, &known)?,
        100.0 * accuracy,
        asked.labels.len()
    ));
    Ok(LinearEvaluation { accuracy, images: asked.labels.len() })
}

/// The pooled features `[N, D]` of images.
fn features(gpu: &Gpu, model: &mut Model, what: &str, images: Loaded) -> Result<Vec<f32>> {
    let (n, batch) = (images.pixels.n, model.config.score.batch);
    let prefix = format!("linear {what}");
    let mut feed = Feed::declare(model, &prefix, images.pixels, batch, gpu)?;
    model.store.allocate(gpu)?;
    feed.prepare(gpu, model)?;
    let mut tape = Tape::forward_only(model.kernels(gpu));
    let t = &mut tape;
    let source = feed.record(t, model)?;
    let x = augment::plain(t, &source.images, source.slots)?;
    let last = model.maps(t, x, Mode::Evaluate)?.pop();
    let map = last.ok_or_else(|| Error::Internal("a model without scales".into()))?;
    let pooled = pool::global_average_pool(t, map)?;
    t.keep(pooled);
    let dim = t.shape(pooled)[1];
    let plan = model.plan(gpu, t, &prefix)?;
    let mut list = Vec::with_capacity(n * dim);
    for first in (0..n).step_by(batch) {
        let chosen: Vec<u32> = (first..first + batch).map(|i| (i % n) as u32).collect();
        feed.choose(gpu, model, &chosen)?;
        plan.run(gpu)?;
        let values: Vec<f32> = plan.read(gpu, pooled)?;
        list.extend_from_slice(&values[..(n - first).min(batch) * dim]);
    }
    match list.iter().find(|v| !v.is_finite()) {
        Some(bad) => Err(Error::Internal(format!("the encoder's features hold {bad}"))),
        None => Ok(list),
    }
}
