//! Parameters and running statistics: declared once, laid out flat, initialised from a seed.

use crate::autograd::{Gradients, Tape, Value};
use crate::gpu::Gpu;
use crate::ops::{finite, optimizer, reduce};
use crate::tensor::{Element, SlabId, Store, VarId};
use crate::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Parameters that the optimiser treats alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Weights of the network.
    Encoder,
    /// Prototypes of the memories.
    Memory,
}

/// How a parameter is laid out in checkpoints, which follow torchvision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As on the GPU.
    Plain,
    /// `[KH, KW, I, O]` on the GPU, `[O, I, KH, KW]` in files.
    Convolution,
}

/// One trainable tensor.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name in checkpoints.
    pub name: String,
    /// Its layout in checkpoints.
    pub kind: Kind,
    /// The weights.
    pub value: VarId,
    /// Where the backward pass leaves their gradient.
    pub grad: VarId,
    /// The optimiser's momentum.
    pub velocity: VarId,
    group: Group,
}

/// One running statistic of a batch norm.
#[derive(Debug, Clone)]
pub struct Statistic {
    /// Its name in checkpoints.
    pub name: String,
    /// The running value, used in evaluation.
    pub running: VarId,
    /// The last batch's value.
    pub batch: VarId,
}

/// Declares the variables of a network.
pub struct Builder<'a> {
    store: &'a mut Store,
    random: ChaCha8Rng,
    slabs: [SlabId; 5],
    parameters: Vec<Parameter>,
    statistics: Vec<Statistic>,
    initial: Vec<(VarId, Vec<f32>)>,
}

const VALUES: usize = 0;
const GRADS: usize = 1;
const VELOCITIES: usize = 2;
const RUNNING: usize = 3;
const BATCH: usize = 4;

impl<'a> Builder<'a> {
    /// A builder whose initial values follow from `seed`.
    pub fn new(store: &'a mut Store, seed: u64) -> Self {
        let names = ["parameters", "gradients", "velocities", "running", "batch statistics"];
        let slabs = names.map(|name| store.slab(name));
        let random = ChaCha8Rng::seed_from_u64(seed);
        let (parameters, statistics, initial) = (Vec::new(), Vec::new(), Vec::new());
        Self { store, random, slabs, parameters, statistics, initial }
    }

    /// A parameter with the given initial values.
    ///
    /// # Errors
    /// A name that exists, values of another length, or groups that alternate: each group's
    /// parameters are declared together so that they lie side by side.
    pub fn parameter(
        &mut self,
        name: &str,
        shape: &[usize],
        group: Group,
        kind: Kind,
        values: Vec<f32>,
    ) -> Result<VarId> {
        if self.parameters.last().is_some_and(|p| p.group > group) {
            return Err(Error::Internal(format!("parameter {name}: its group is closed")));
        }
        let [value, grad, velocity] = [
            (VALUES, String::new(), true),
            (GRADS, ".grad".into(), false),
            (VELOCITIES, ".velocity".into(), false),
        ]
        .map(|(slab, suffix, trainable)| {
            let name = format!("{name}{suffix}");
            self.store.declare(self.slabs[slab], &name, shape, Element::F32, trainable)
        });
        let (value, grad, velocity) = (value?, grad?, velocity?);
        let parameter = Parameter { name: name.to_string(), kind, value, grad, velocity, group };
        self.parameters.push(parameter);
        self.initial.push((value, values));
        Ok(value)
    }

    /// A weight drawn from N(0, 2 / `fan`): He initialisation (He et al. 2015).
    ///
    /// # Errors
    /// Those of [`Self::parameter`].
    pub fn he_normal(
        &mut self,
        name: &str,
        shape: &[usize],
        kind: Kind,
        fan: usize,
    ) -> Result<VarId> {
        let deviation = (2.0 / fan as f64).sqrt();
        let values = self.normal(shape.iter().product(), deviation);
        self.parameter(name, shape, Group::Encoder, kind, values)
    }

    /// Normally distributed values (Box and Muller 1958).
    pub fn normal(&mut self, len: usize, deviation: f64) -> Vec<f32> {
        let mut draw = || {
            // 1 - u lies in (0, 1], so the logarithm is finite.
            let (u, v): (f64, f64) = (self.random.random(), self.random.random());
            let radius = (-2.0 * (1.0 - u).ln()).sqrt();
            (deviation * radius * (std::f64::consts::TAU * v).cos()) as f32
        };
        (0..len).map(|_| draw()).collect()
    }

    /// A pair of running and batch statistic `[channels]`, the running one starting at `start`.
    ///
    /// # Errors
    /// A name that exists.
    pub fn statistic(&mut self, name: &str, channels: usize, start: f32) -> Result<Statistic> {
        let mut declare = |slab: usize, name: &str| {
            self.store.declare(self.slabs[slab], name, &[channels], Element::F32, false)
        };
        let running = declare(RUNNING, name)?;
        let batch = declare(BATCH, &format!("{name}.batch"))?;
        let statistic = Statistic { name: name.to_string(), running, batch };
        self.initial.push((running, vec![start; channels]));
        self.statistics.push(statistic.clone());
        Ok(statistic)
    }

    /// Closes the list.
    ///
    /// # Errors
    /// A network without parameters or statistics.
    pub fn finish(self) -> Result<Module> {
        let Self { store, parameters, statistics, initial, .. } = self;
        let empty = || Error::Internal("a module without parameters or statistics".into());
        let mut spans = Vec::new();
        for group in [Group::Encoder, Group::Memory] {
            let of_group: Vec<&Parameter> =
                parameters.iter().filter(|p| p.group == group).collect();
            if let (Some(first), Some(last)) = (of_group.first(), of_group.last()) {
                let mut span = |suffix, first, last| {
                    store.span(&format!("{group:?}{suffix}").to_lowercase(), first, last)
                };
                spans.push(GroupSpan {
                    group,
                    values: span("", first.value, last.value)?,
                    grads: span(".grad", first.grad, last.grad)?,
                    velocities: span(".velocity", first.velocity, last.velocity)?,
                });
            }
        }
        let (first, last) = parameters.first().zip(parameters.last()).ok_or_else(empty)?;
        let all_grads = store.span("gradients", first.grad, last.grad)?;
        let (first, last) = statistics.first().zip(statistics.last()).ok_or_else(empty)?;
        let running = store.span("running", first.running, last.running)?;
        let batch = store.span("batch statistics", first.batch, last.batch)?;
        Ok(Module { parameters, statistics, initial, spans, all_grads, running, batch })
    }
}

#[derive(Debug, Clone, Copy)]
struct GroupSpan {
    group: Group,
    values: VarId,
    grads: VarId,
    velocities: VarId,
}

/// All variables of a network, and flat views of them.
pub struct Module {
    /// Trainable tensors, in order of declaration.
    pub parameters: Vec<Parameter>,
    /// Running statistics, in order of declaration.
    pub statistics: Vec<Statistic>,
    initial: Vec<(VarId, Vec<f32>)>,
    spans: Vec<GroupSpan>,
    all_grads: VarId,
    running: VarId,
    batch: VarId,
}

/// How [`Module::update`] steps.
#[derive(Debug, Clone, Copy)]
pub struct UpdateOptions {
    /// Nesterov momentum.
    pub momentum: f32,
    /// L2 penalty on the encoder; prototypes have none.
    pub weight_decay: f32,
    /// Learning rate of prototypes relative to the encoder's.
    pub memory_lr_scale: f32,
    /// Share of the batch's statistics that goes into the running ones.
    pub statistics_momentum: f32,
}

/// What [`Module::update`] measured, each `[1]`.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    /// u32: gradient values that were not finite; the step was skipped if there are any.
    pub non_finite: Value,
    /// f32: sum of squares of all gradients.
    pub grad_square: Value,
}

impl Module {
    /// Writes the initial values.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub fn initialise(&self, gpu: &Gpu, store: &Store) -> Result<()> {
        self.initial.iter().try_for_each(|(var, values)| store.upload(gpu, *var, values))
    }

    /// Lets every gradient live in its place of the flat slab.
    ///
    /// # Errors
    /// A parameter that the loss does not depend on.
    pub fn place_gradients(&self, tape: &mut Tape, store: &Store, grads: &Gradients) -> Result<()> {
        for p in &self.parameters {
            let grad = grads.get(p.value).ok_or_else(|| {
                Error::Internal(format!("the loss does not depend on parameter {}", p.name))
            })?;
            tape.place(grad, store, p.grad)?;
        }
        Ok(())
    }

    /// Records the optimiser: a count of values that are not finite, then, if there are none, SGD
    /// with Nesterov momentum and the running statistics. `lr` is f32 `[1]`.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn update(
        &self,
        tape: &mut Tape,
        store: &Store,
        options: &UpdateOptions,
        lr: Value,
    ) -> Result<Health> {
        let all_grads = tape.variable(store, self.all_grads);
        let non_finite = finite::count(tape, all_grads)?;
        let grad_square = reduce::sum_of_squares(tape, all_grads)?;
        for span in &self.spans {
            let (weight_decay, lr_scale) = match span.group {
                Group::Encoder => (options.weight_decay, 1.0),
                Group::Memory => (0.0, options.memory_lr_scale),
            };
            let sgd = optimizer::Sgd { momentum: options.momentum, weight_decay, lr_scale };
            let values = tape.variable(store, span.values);
            let grads = tape.variable(store, span.grads);
            let velocities = tape.variable(store, span.velocities);
            optimizer::sgd(tape, &sgd, values, grads, velocities, lr, non_finite)?;
        }
        self.update_statistics(tape, store, options.statistics_momentum, non_finite)?;
        Ok(Health { non_finite, grad_square })
    }

    /// Records the running statistics' move towards the batch's, unless `non_finite` (u32 `[1]`)
    /// says otherwise.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn update_statistics(
        &self,
        tape: &mut Tape,
        store: &Store,
        momentum: f32,
        non_finite: Value,
    ) -> Result<()> {
        let running = tape.variable(store, self.running);
        let batch = tape.variable(store, self.batch);
        optimizer::ema(tape, running, batch, momentum, non_finite)
    }
}
