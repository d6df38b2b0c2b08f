//! The detector: encoder, one memory per scale, and the variables they share with every plan.

use super::config::{
    Backbone, Config, Head, HeadKind, MemoryGradient, MemoryKind, Normalise, Standardise, Stem,
};
use super::heads::Heads;
use crate::autograd::{Plan, PlanOptions, Precision, Tape, Value};
use crate::data::ChannelStats;
use crate::gpu::{Gpu, KernelChoice};
use crate::nn::{
    self, BatchStatistics, Builder, Depth, Group, Initial, Kind, Linear, Mode, Module, ResNet,
    ResNetOptions,
};
use crate::ops::{affine, augment, gather, hopfield, loss_scale, nearest, normalize, rows};
use crate::tensor::{Element, Store, VarId};
use crate::{Error, Result};

/// Smallest length that a vector is divided by, as in PyTorch's `normalize`.
const UNIT_EPS: f32 = 1e-12;

/// Where a standardised image's pixels are centred, so that most stay within 0 to 1.
const STANDARD_MEAN: f32 = 0.5;
/// How far they spread.
const STANDARD_DEVIATION: f32 = 0.2;

/// One memory scale: a stage's map and the prototypes of its D-vectors.
pub struct Scale {
    /// The stage of the encoder, 1 to 4.
    pub stage: usize,
    /// D, channels of the map.
    pub dim: usize,
    /// M, prototypes.
    pub slots: usize,
    /// `[M, D]`.
    pub prototypes: VarId,
    /// Inverse temperature of the retrieval, `[1]`.
    pub beta: VarId,
    /// What stands between the map and the contrastive loss; absent: nothing.
    pub head: Option<[Linear; 2]>,
    /// What learned to score, where there were anomalies.
    pub heads: Option<Heads>,
}

/// What a scale's memory recalls of R queries.
#[derive(Debug, Clone, Copy)]
pub struct Recollection {
    /// `[R, D]`, the only one with a gradient.
    pub retrieved: Value,
    /// u32 `[R]`: the prototype of greatest weight.
    pub slot: Value,
    /// `[R]`: entropy of the weights, 1 = uniform; 0 where one prototype has it all.
    pub entropy: Value,
}

/// Mean and deviation of a scale's figures on held-out normal images.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Calibration {
    /// Mean of the scale's score.
    pub score_mean: f64,
    /// Standard deviation of the scale's score.
    pub score_std: f64,
    /// Mean of the deviation's norm at a position.
    pub position_mean: f64,
    /// Standard deviation of the deviation's norm at a position.
    pub position_std: f64,
}

impl Calibration {
    /// Leaves every figure as it is.
    pub const NONE: Self =
        Self { score_mean: 0.0, score_std: 1.0, position_mean: 0.0, position_std: 1.0 };
}

/// What [`Model::encode`] records.
pub struct Encoded {
    /// The map of each scale, `[N, H, W, D]`.
    pub maps: Vec<Value>,
    /// Of each micro-batch in training; none where the batch was encoded at once.
    pub statistics: Vec<BatchStatistics>,
}

/// A detector and its weights on the GPU.
pub struct Model {
    /// Every setting; `image.channels` is a number.
    pub config: Config,
    /// All variables.
    pub store: Store,
    /// The encoder.
    pub encoder: ResNet,
    /// The memory scales, in order of their stages.
    pub scales: Vec<Scale>,
    /// Parameters and running statistics.
    pub module: Module,
    /// Where gradients are stored in half precision: the state of [`loss_scale`], `[2]`.
    pub loss_scale: Option<VarId>,
    /// Mean and deviation of the training images' channels, pixel range 0 to 1.
    pub channel_stats: ChannelStats,
    /// One per scale, once measured.
    pub calibration: Vec<Calibration>,
    /// Heat from which colours start and at which they end, so that images seen at any time are
    /// drawn on one scale.
    pub heat_range: [f32; 2],
    /// Scores of normal images that were not trained on; none where all were.
    pub normal_scores: Vec<f32>,
    /// AUROC of anomalies made of images kept back against those images, where anomalies were made in
    /// training; needs no labels and tells working trainings from failing ones.
    pub made_auroc: Option<f64>,
}

impl Model {
    /// Declares a network of initial weights for images of `channel_stats`' number of channels.
    /// Nothing is allocated yet: [`Self::allocate`] does, after other variables have joined.
    ///
    /// # Errors
    /// A configuration that [`Config::validate`] refuses or that disagrees with the images.
    pub fn declare(mut config: Config, channel_stats: ChannelStats) -> Result<Self> {
        config.validate()?;
        let channels = channel_stats.mean.len();
        match config.image.channels {
            Some(wanted) if wanted != channels => {
                return Err(Error::Internal(format!(
                    "image.channels = {wanted}, but the images were loaded with {channels}"
                )));
            }
            _ => config.image.channels = Some(channels),
        }
        let mut store = Store::new();
        let betas = store.slab("inverse temperatures");
        let mut b = Builder::new(&mut store, config.seed);
        let encoder = ResNet::new(
            &mut b,
            &ResNetOptions {
                depth: match config.network.backbone {
                    Backbone::Resnet18 => Depth::D18,
                    Backbone::Resnet34 => Depth::D34,
                    Backbone::Resnet50 => Depth::D50,
                },
                width: config.network.width,
                stem: match config.network.stem {
                    Stem::Cifar => nn::Stem::Cifar,
                    Stem::S2 => nn::Stem::S2,
                    Stem::Imagenet => nn::Stem::Imagenet,
                },
                channels,
                stages: config.memory.scales.iter().copied().max().unwrap_or(4),
            },
        )?;
        let dim = |stage: usize| encoder.widths()[stage - 1];
        let mut heads = Vec::new();
        for &stage in &config.memory.scales {
            let (name, d) = (format!("head{stage}"), dim(stage));
            heads.push(match config.loss.head {
                Head::None => None,
                Head::Mlp => Some([
                    Linear::new(&mut b, &format!("{name}.0"), d, d)?,
                    Linear::new(&mut b, &format!("{name}.1"), d, d)?,
                ]),
            });
        }
        b.enter(Group::Memory)?;
        let mut prototypes = Vec::new();
        for (&stage, &slots) in config.memory.scales.iter().zip(&config.memory.slots) {
            let (name, d) = (format!("memory{stage}.prototypes"), dim(stage));
            let deviation = match config.memory.normalise {
                Normalise::L2 => (d as f64).powf(-0.5),
                Normalise::None | Normalise::Layer => 1.0,
            };
            let initial = Initial::Normal(deviation);
            prototypes.push(b.parameter(&name, &[slots, d], Kind::Plain, initial)?);
        }
        b.enter(Group::Heads)?;
        let mut judges = Vec::new();
        for (index, &stage) in config.memory.scales.iter().enumerate() {
            judges.push(Heads::declare(&mut b, &config, index, dim(stage))?);
        }
        let module = b.finish()?;
        let loss_scale = match config.network.precision {
            Precision::F32 => None,
            Precision::F16 => {
                let slab = store.slab("loss scale");
                Some(store.declare(slab, "loss_scale", &[2], Element::F32, false)?)
            }
        };
        let mut scales = Vec::new();
        let parts = prototypes.into_iter().zip(heads).zip(judges);
        for ((&stage, &slots), ((prototypes, head), heads)) in
            config.memory.scales.iter().zip(&config.memory.slots).zip(parts)
        {
            let name = format!("memory{stage}.beta");
            let beta = store.declare(betas, &name, &[1], Element::F32, false)?;
            let dim = encoder.widths()[stage - 1];
            scales.push(Scale { stage, dim, slots, prototypes, beta, head, heads });
        }
        Ok(Self {
            config,
            store,
            encoder,
            scales,
            module,
            loss_scale,
            channel_stats,
            calibration: Vec::new(),
            heat_range: [0.0, 1.0],
            normal_scores: Vec::new(),
            made_auroc: None,
        })
    }

    /// Takes the memory of all variables and writes their initial values.
    ///
    /// # Errors
    /// No memory, or a fault of the GPU.
    pub fn allocate(&mut self, gpu: &Gpu) -> Result<()> {
        self.store.allocate(gpu)?;
        self.module.initialise(gpu, &self.store)?;
        self.loss_scale
            .iter()
            .try_for_each(|state| self.store.upload(gpu, *state, &loss_scale::START))?;
        let beta = self.config.memory.beta.unwrap_or(1.0) as f32;
        self.scales.iter().try_for_each(|s| self.store.upload(gpu, s.beta, &[beta]))
    }

    /// By what tapes that record the encoder choose kernels: in half precision those for matrix units, where the adapter
    /// has them.
    pub(super) fn kernels(&self, gpu: &Gpu) -> KernelChoice {
        let (report, own) = (gpu.report(), gpu.report().kernels());
        match self.config.network.precision {
            Precision::F32 => own,
            Precision::F16 => {
                let variant = report.cooperative_variant().unwrap_or(own.variant);
                KernelChoice { variant, ..own }
            }
        }
    }

    /// Compiles a tape on which the encoder was recorded.
    ///
    /// # Errors
    /// As [`Plan::compile`].
    pub(super) fn plan(&self, gpu: &Gpu, tape: &Tape, label: &str) -> Result<Plan> {
        Plan::compile(gpu, tape, &self.store, &self.plan_options(label))
    }

    /// What plans do in which the encoder was recorded.
    pub(super) fn plan_options(&self, label: &str) -> PlanOptions {
        let precision = self.config.network.precision;
        PlanOptions { label: label.into(), precision, ..Default::default() }
    }

    /// Mean and deviation that every pixel is normalised by, per channel; of the training images, or
    /// of images standardised one by one.
    #[must_use]
    fn normalisation(&self) -> ([f32; 3], [f32; 3]) {
        let (mut mean, mut std) = ([STANDARD_MEAN; 3], [STANDARD_DEVIATION; 3]);
        if self.config.image.standardise == Standardise::None {
            let stats = self.channel_stats.mean.iter().zip(&self.channel_stats.std);
            for (i, (m, s)) in stats.enumerate() {
                // A set of one colour has no deviation to divide by.
                (mean[i], std[i]) = (*m as f32, s.max(1e-3) as f32);
            }
        }
        (mean, std)
    }

    /// What scores are standardised by: what was measured, or nothing. Learned scores share the margins
    /// of eqs. 11-12 and stay as they are.
    #[must_use]
    pub fn calibration_in_use(&self) -> Vec<Calibration> {
        let measured = self.calibration.iter().copied().map(Some).chain(std::iter::repeat(None));
        let wanted = self.config.score.standardise && self.config.stage2.head == HeadKind::None;
        let one = |c: Option<Calibration>| c.filter(|_| wanted).unwrap_or(Calibration::NONE);
        self.scales.iter().zip(measured).map(|(_, c)| one(c)).collect()
    }

    /// How the network sees the stored images `pixels`, of `shape` `[N, H, W, C]`. Their own means and
    /// deviations, where the configuration asks for them, are `measured` or are to be.
    ///
    /// # Errors
    /// Those of the operation.
    pub(super) fn images(
        &self,
        tape: &mut Tape,
        pixels: Value,
        shape: [usize; 4],
        measured: Option<Value>,
    ) -> Result<augment::Images> {
        let statistics = match (self.config.image.standardise, measured) {
            (Standardise::None, _) => None,
            (Standardise::PerImage, Some(measured)) => Some(measured),
            (Standardise::PerImage, None) => Some(augment::image_statistics(tape, pixels, shape)?),
        };
        let (mean, std) = self.normalisation();
        let size = [shape[1], shape[2]];
        Ok(augment::Images { pixels, shape, size, statistics, mean, std })
    }

    /// Records the encoder; the map of each scale, `[N, H, W, D]`.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn maps(&self, tape: &mut Tape, images: Value, mode: Mode) -> Result<Vec<Value>> {
        let all = self.encoder.forward(tape, &self.store, images, mode)?;
        Ok(self.scales.iter().map(|s| all[s.stage - 1]).collect())
    }

    /// Records the encoder on `views` views that lie behind each other in `images`, `train.micro_batch` images at a time:
    /// the backward pass runs each micro-batch again, so that never more than one has its activations in memory (Gao
    /// et al. 2021, arXiv 2101.06983). Maps come in the order of the images, as those of [`Self::maps`]; only batch norm
    /// tells the micro-batches apart, of each of which it takes the statistics.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn encode(
        &self,
        tape: &mut Tape,
        images: Value,
        views: usize,
        mode: Mode,
    ) -> Result<Encoded> {
        let (batch, most) = (tape.shape(images)[0] / views, self.config.train.micro_batch);
        if most == 0 || most >= batch {
            return Ok(Encoded { maps: self.maps(tape, images, mode)?, statistics: Vec::new() });
        }
        let count = batch.div_ceil(most);
        let sizes: Vec<usize> =
            (1..=count).map(|i| i * batch / count - (i - 1) * batch / count).collect();
        let mut parts = vec![Vec::new(); self.scales.len()];
        let mut statistics = Vec::new();
        for (micro, size) in rows::split(tape, images, views, &sizes)?.into_iter().zip(&sizes) {
            let maps = tape.rerun(|tape| self.maps(tape, micro, mode))?;
            parts.iter_mut().zip(maps).for_each(|(parts, map)| parts.push(map));
            if mode == Mode::Train {
                let share = *size as f64 / batch as f64;
                statistics.push(self.module.batch_statistics(tape, &self.store, share)?);
            }
        }
        let maps = parts.iter().map(|parts| rows::join(tape, parts, views));
        Ok(Encoded { maps: maps.collect::<Result<_>>()?, statistics })
    }

    /// Takes D-vectors `[R, D]` into the space where queries and prototypes meet and where the
    /// deviation is taken.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn space(&self, tape: &mut Tape, vectors: Value) -> Result<Value> {
        match self.config.memory.normalise {
            Normalise::L2 => unit(tape, vectors),
            Normalise::Layer => normalize::layer_normalize(tape, vectors, 1e-5),
            Normalise::None => Ok(vectors),
        }
    }

    /// The prototypes of `scale` `[M, D]` in the memory's [space](Self::space); centroids were taken there.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn patterns(&self, tape: &mut Tape, scale: &Scale) -> Result<Value> {
        let prototypes = tape.variable(&self.store, scale.prototypes);
        match self.config.memory.kind {
            MemoryKind::Learned => self.space(tape, prototypes),
            MemoryKind::Kmeans => Ok(prototypes),
        }
    }

    /// Records the retrieval of `queries` `[R, D]`, which are in the memory's [space](Self::space)
    /// already: eq. 1 in at most `steps` steps, or the nearest centroid.
    ///
    /// # Errors
    /// Those of the operations.
    pub fn retrieve(
        &self,
        tape: &mut Tape,
        scale: &Scale,
        queries: Value,
        steps: usize,
    ) -> Result<Recollection> {
        let patterns = self.patterns(tape, scale)?;
        if self.config.memory.kind == MemoryKind::Kmeans {
            let (distance, slot) = nearest::nearest(tape, queries, patterns)?;
            let map = tape.reshape(patterns, &[1, scale.slots, scale.dim])?;
            let index = tape.reshape(slot, &[1, tape.len(slot)])?;
            let retrieved = gather::gather(tape, map, &[index])?[0];
            let entropy = affine::affine(tape, distance, 0.0, 0.0)?;
            return Ok(Recollection { retrieved, slot, entropy });
        }
        let beta = tape.variable(&self.store, scale.beta);
        let memory = &self.config.memory;
        let options = hopfield::HopfieldOptions {
            steps,
            tolerance: memory.tolerance as f32,
            renormalise: false,
            gradient: match memory.gradient {
                MemoryGradient::Unrolled => hopfield::Gradient::Unrolled,
                MemoryGradient::Implicit => {
                    hopfield::Gradient::Implicit { terms: memory.gradient_terms }
                }
            },
        };
        let hopfield::Retrieval { retrieved, slot, entropy, .. } =
            hopfield::hopfield(tape, queries, patterns, beta, &options)?;
        Ok(Recollection { retrieved, slot, entropy })
    }
}

/// Rows of unit length.
pub(super) fn unit(tape: &mut Tape, vectors: Value) -> Result<Value> {
    normalize::l2_normalize(tape, vectors, UNIT_EPS)
}
