//! Parameters and running statistics: declared once, laid out flat, initialised from a seed. Initial values are drawn when
//! they are written, one variable at a time, so that a network read from a file draws none and no copy of all is kept.

use crate::autograd::{Gradients, Tape, Value};
use crate::gpu::Gpu;
use crate::ops::{affine, finite, loss_scale, optimizer, reduce};
use crate::tensor::{Element, SlabId, Store, VarId};
use crate::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;
use std::iter;

/// Parameters that the optimiser treats alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Weights of the network.
    Encoder,
    /// Prototypes of the memories.
    Memory,
    /// What stands on encoder and memories: heads that are trained with them or after them.
    Heads,
}

impl Group {
    const ALL: [Self; 3] = [Self::Encoder, Self::Memory, Self::Heads];
}

/// The groups that a step trains, from the first to the last; the others stay as they are.
pub type Trained = std::ops::RangeInclusive<Group>;

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
    group: Group,
}

/// What a variable starts from.
#[derive(Debug, Clone, PartialEq)]
pub enum Initial {
    /// One value everywhere.
    Constant(f32),
    /// Normally distributed around 0 with this deviation.
    Normal(f64),
    /// Uniform within this bound of 0.
    Uniform(f64),
    /// These values, in the layout on the GPU.
    Values(Vec<f32>),
}

impl Initial {
    /// N(0, 2 / `fan`): He initialisation (He et al. 2015).
    pub fn he_normal(fan: usize) -> Self {
        Self::Normal((2.0 / fan as f64).sqrt())
    }

    /// Words of 32 bits of the random stream that each value takes.
    fn words(&self) -> u128 {
        match self {
            Self::Constant(_) | Self::Values(_) => 0,
            Self::Normal(_) => 4,
            Self::Uniform(_) => 2,
        }
    }

    fn draw(self, len: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
        match self {
            Self::Constant(value) => vec![value; len],
            // Box and Muller 1958. 1 - u lies in (0, 1], so the logarithm is finite.
            Self::Normal(deviation) => iter::repeat_with(|| {
                let (u, v): (f64, f64) = (random.random(), random.random());
                let radius = (-2.0 * (1.0 - u).ln()).sqrt();
                (deviation * radius * (TAU * v).cos()) as f32
            })
            .take(len)
            .collect(),
            Self::Uniform(bound) => iter::repeat_with(|| random.random::<f64>())
                .map(|u| (bound * (2.0 * u - 1.0)) as f32)
                .take(len)
                .collect(),
            Self::Values(values) => values,
        }
    }
}

/// A variable, what it starts from, and the first word of the random stream that is its own.
type Start = (VarId, Initial, u128);

/// Declares the variables of a network.
pub struct Builder<'a> {
    store: &'a mut Store,
    seed: u64,
    /// Words of the random stream that variables declared so far will take.
    drawn: u128,
    group: Group,
    slabs: [SlabId; 5],
    parameters: Vec<Parameter>,
    statistics: Vec<Statistic>,
    starts: Vec<Start>,
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
        let (parameters, statistics, starts) = (Vec::new(), Vec::new(), Vec::new());
        let group = Group::Encoder;
        Self { store, seed, drawn: 0, group, slabs, parameters, statistics, starts }
    }

    /// What is declared from now on belongs to `group`; the groups come in their order.
    ///
    /// # Errors
    /// A group that was left before.
    pub fn enter(&mut self, group: Group) -> Result<()> {
        if group < self.group {
            let message = format!("group {group:?} after {:?}: it is closed", self.group);
            return Err(Error::Internal(message));
        }
        self.group = group;
        Ok(())
    }

    /// A parameter that starts from `initial`.
    ///
    /// # Errors
    /// A name that exists.
    pub fn parameter(
        &mut self,
        name: &str,
        shape: &[usize],
        kind: Kind,
        initial: Initial,
    ) -> Result<VarId> {
        let group = self.group;
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
        self.start(value, initial);
        Ok(value)
    }

    fn start(&mut self, variable: VarId, initial: Initial) {
        let words = initial.words() * self.store.variable(variable).len() as u128;
        self.starts.push((variable, initial, self.drawn));
        self.drawn += words;
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
        let statistic = Statistic { name: name.to_string(), running, batch, group: self.group };
        self.start(running, Initial::Constant(start));
        self.statistics.push(statistic.clone());
        Ok(statistic)
    }

    /// Closes the list.
    ///
    /// # Errors
    /// A network without parameters or statistics.
    pub fn finish(self) -> Result<Module> {
        let Self { store, seed, parameters, statistics, starts, .. } = self;
        let empty = || Error::Internal("a module without parameters".into());
        parameters.first().ok_or_else(empty)?;
        let mut spans = Vec::new();
        let mut gradients = Vec::new();
        let mut running = Vec::new();
        for (i, first) in Group::ALL.into_iter().enumerate() {
            let of_group = |group: Group| parameters.iter().filter(move |p| p.group == group);
            if let Some((a, b)) = of_group(first).next().zip(of_group(first).next_back()) {
                let mut span = |suffix, from, to| {
                    store.span(&format!("{first:?}{suffix}").to_lowercase(), from, to)
                };
                spans.push(GroupSpan {
                    group: first,
                    values: span("", a.value, b.value)?,
                    velocities: span(".velocity", a.velocity, b.velocity)?,
                    grads: span(".grad", a.grad, b.grad)?,
                });
            }
            for last in Group::ALL.into_iter().skip(i) {
                let trained = first..=last;
                let mut list = parameters.iter().filter(|p| trained.contains(&p.group));
                let (a, b) = (list.next(), list.next_back());
                if let Some(a) = a {
                    let name = format!("{first:?} to {last:?}.grad").to_lowercase();
                    let all = store.span(&name, a.grad, b.unwrap_or(a).grad)?;
                    gradients.push((trained, all));
                }
            }
            let mut list = statistics.iter().filter(|s| s.group == first);
            let (a, b) = (list.next(), list.next_back());
            if let Some(a) = a {
                let b = b.unwrap_or(a);
                let mut span = |suffix, from, to| {
                    store.span(&format!("{first:?}{suffix}").to_lowercase(), from, to)
                };
                let of_running = span(".running", a.running, b.running)?;
                running.push((first, of_running, span(".batch", a.batch, b.batch)?));
            }
        }
        Ok(Module { parameters, statistics, seed, starts, spans, gradients, running })
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
    seed: u64,
    starts: Vec<Start>,
    spans: Vec<GroupSpan>,
    /// All gradients of each range of groups.
    gradients: Vec<(Trained, VarId)>,
    /// Running and batch statistics of each group.
    running: Vec<(Group, VarId, VarId)>,
}

/// How [`Module::update`] steps.
#[derive(Debug, Clone, Copy)]
pub struct UpdateOptions {
    /// Nesterov momentum.
    pub momentum: f32,
    /// L2 penalty on encoder and heads; prototypes have none.
    pub weight_decay: f32,
    /// Learning rate of prototypes relative to the encoder's.
    pub memory_lr_scale: f32,
    /// Share of the batch's statistics that goes into the running ones.
    pub statistics_momentum: f32,
    /// By what gradients are too large: the state of [`loss_scale`], `[2]`.
    pub loss_scale: Option<Value>,
}

/// Copies of the batch statistics that a micro-batch left, before the next one writes its own.
pub struct BatchStatistics {
    /// Of the batch's images.
    share: f64,
    of_groups: Vec<(Group, Value)>,
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
    /// Draws and writes the initial values.
    ///
    /// # Errors
    /// Values of another length than their variable, or a fault of the GPU.
    pub fn initialise(&self, gpu: &Gpu, store: &Store) -> Result<()> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        self.starts.iter().try_for_each(|(var, initial, first_word)| {
            random.set_word_pos(*first_word);
            let values = initial.clone().draw(store.variable(*var).len(), &mut random);
            store.upload(gpu, *var, &values)
        })
    }

    /// Lets the parameter or running statistic `var` start from something else; the others start as they did.
    ///
    /// # Errors
    /// A variable that is not the module's.
    pub fn start_from(&mut self, var: VarId, initial: Initial) -> Result<()> {
        let place = self.starts.iter_mut().find(|(known, ..)| *known == var);
        let wrong = || Error::Internal("no variable of the module to start otherwise".into());
        place.ok_or_else(wrong)?.1 = initial;
        Ok(())
    }

    /// Lets every gradient of the groups `trained` live in its place of the flat slab. A group of which the
    /// loss reaches no parameter keeps gradients of 0, and so its values.
    ///
    /// # Errors
    /// A group that the loss reaches in part.
    pub fn place_gradients(
        &self,
        tape: &mut Tape,
        store: &Store,
        grads: &Gradients,
        trained: &Trained,
    ) -> Result<()> {
        for group in Group::ALL.into_iter().filter(|group| trained.contains(group)) {
            let of_group = || self.parameters.iter().filter(|p| p.group == group);
            if of_group().all(|p| grads.get(p.value).is_none()) {
                continue;
            }
            for p in of_group() {
                let grad = grads.get(p.value).ok_or_else(|| {
                    Error::Internal(format!("the loss does not depend on parameter {}", p.name))
                })?;
                tape.place(grad, store, p.grad)?;
            }
        }
        Ok(())
    }

    /// Keeps every parameter outside the groups `trained` from getting a gradient; before anything is
    /// recorded.
    pub fn freeze(&self, tape: &mut Tape, trained: &Trained) {
        let others = self.parameters.iter().filter(|p| !trained.contains(&p.group));
        others.for_each(|p| tape.freeze(p.value));
    }

    /// Records the optimiser of the groups `trained`: a count of values that are not finite, then, if
    /// there are none, SGD with Nesterov momentum and the running statistics. `lr` is f32 `[1]`; `statistics` as
    /// [`Self::update_statistics`] takes them.
    ///
    /// # Errors
    /// Groups without parameters, or those of the operations.
    pub fn update(
        &self,
        tape: &mut Tape,
        store: &Store,
        options: &UpdateOptions,
        lr: Value,
        trained: &Trained,
        statistics: &[BatchStatistics],
    ) -> Result<Health> {
        let of_trained = self.gradients.iter().find(|(groups, _)| groups == trained);
        let (_, all_grads) = of_trained
            .ok_or_else(|| Error::Internal(format!("groups {trained:?} have no parameters")))?;
        let all_grads = tape.variable(store, *all_grads);
        if let Some(state) = options.loss_scale {
            loss_scale::unscale(tape, all_grads, state)?;
        }
        let non_finite = finite::count(tape, all_grads)?;
        let grad_square = reduce::sum_of_squares(tape, all_grads)?;
        for span in self.spans.iter().filter(|span| trained.contains(&span.group)) {
            let (weight_decay, lr_scale) = match span.group {
                Group::Encoder | Group::Heads => (options.weight_decay, 1.0),
                Group::Memory => (0.0, options.memory_lr_scale),
            };
            let sgd = optimizer::Sgd { momentum: options.momentum, weight_decay, lr_scale };
            let values = tape.variable(store, span.values);
            let grads = tape.variable(store, span.grads);
            let velocities = tape.variable(store, span.velocities);
            optimizer::sgd(tape, &sgd, values, grads, velocities, lr, non_finite)?;
        }
        let momentum = options.statistics_momentum;
        self.update_statistics(tape, store, momentum, non_finite, trained, statistics)?;
        if let Some(state) = options.loss_scale {
            loss_scale::update(tape, non_finite, state, loss_scale::INTERVAL)?;
        }
        Ok(Health { non_finite, grad_square })
    }

    /// Records copies of the batch statistics, those of `share` of a batch's images.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn batch_statistics(
        &self,
        tape: &mut Tape,
        store: &Store,
        share: f64,
    ) -> Result<BatchStatistics> {
        let mut copy = |&(group, _, batch): &(Group, VarId, VarId)| {
            let batch = tape.variable(store, batch);
            Ok((group, affine::affine(tape, batch, 1.0, 0.0)?))
        };
        let of_groups = self.running.iter().map(&mut copy).collect::<Result<_>>()?;
        Ok(BatchStatistics { share, of_groups })
    }

    /// Records the move of the running statistics of the groups `trained` towards the batch's, unless `non_finite` (u32 `[1]`)
    /// says otherwise: towards the mean of its micro-batches' `statistics` by their shares, or what the encoder left
    /// last where there are none.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn update_statistics(
        &self,
        tape: &mut Tape,
        store: &Store,
        momentum: f32,
        non_finite: Value,
        trained: &Trained,
        statistics: &[BatchStatistics],
    ) -> Result<()> {
        for &(group, running, batch) in self.running.iter().filter(|(g, ..)| trained.contains(g)) {
            let running = tape.variable(store, running);
            if statistics.is_empty() {
                let batch = tape.variable(store, batch);
                optimizer::ema(tape, running, batch, momentum, non_finite)?;
            }
            // What comes later shrinks what was added before: so that each adds its share of the momentum in the end.
            let mut later = 1.0;
            for micro in statistics {
                later -= micro.share;
                let adds = f64::from(momentum) * micro.share;
                let by = (adds / (1.0 - f64::from(momentum) * later)) as f32;
                for (_, value) in micro.of_groups.iter().filter(|(of, _)| *of == group) {
                    optimizer::ema(tape, running, *value, by, non_finite)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each variable draws from its own part of one stream, as if all were drawn in order.
    #[test]
    fn initial_values_follow_from_the_seed() {
        let mut store = Store::new();
        let mut b = Builder::new(&mut store, 7);
        let wanted = [
            ("a", 3, Initial::Normal(2.0)),
            ("b", 2, Initial::Constant(1.5)),
            ("c", 5, Initial::Uniform(0.5)),
            ("d", 1, Initial::Normal(1.0)),
        ];
        for (name, len, initial) in &wanted {
            b.parameter(name, &[*len], Kind::Plain, initial.clone()).unwrap();
        }
        let module = b.finish().unwrap();
        let mut stream = ChaCha8Rng::seed_from_u64(7);
        for ((_, len, initial), (_, own, first_word)) in wanted.into_iter().zip(&module.starts) {
            let mut random = ChaCha8Rng::seed_from_u64(module.seed);
            random.set_word_pos(*first_word);
            let values = own.clone().draw(len, &mut random);
            assert_eq!(values, initial.draw(len, &mut stream));
            assert!(values.len() == len && values.iter().all(|v| v.is_finite()));
        }
        // The first normal value of the stream, from the definition.
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let [u, v] = [random.random::<f64>(), random.random()];
        let first = 2.0 * (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos();
        let drawn = Initial::Normal(2.0).draw(1, &mut ChaCha8Rng::seed_from_u64(7));
        assert!((f64::from(drawn[0]) - first).abs() < 1e-6 * first.abs());
    }
}
