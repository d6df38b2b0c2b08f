//! Every setting of a run: typed, read from TOML, checked, written back.
//!
//! A configuration starts as a preset, then files and `--set` arguments change single keys:
//!
//! ```
//! use anomem::anomem::Config;
//! let mut config = Config::preset("tiny")?;
//! config.set("train.epochs=3")?;
//! config.set("network.stem=cifar")?;
//! config.validate()?;
//! # Ok::<(), anomem::Error>(())
//! ```
//!
//! The presets (`presets/*.toml`) say of each value whether the paper states it. There are no hidden
//! defaults: a preset holds every key, and so does [`Config::to_toml`].

use std::fmt::Display;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::autograd::Precision;
use crate::data::Tiling;
use crate::{Error, Result};

const PRESETS: [(&str, &str); 4] = [
    ("tiny", include_str!("presets/tiny.toml")),
    ("surface", include_str!("presets/surface.toml")),
    ("resnet18", include_str!("presets/resnet18.toml")),
    ("resnet50", include_str!("presets/resnet50.toml")),
];

/// All settings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Every random number follows from it; at most 2^63 - 1.
    pub seed: u64,
    /// What the network sees.
    pub image: ImageConfig,
    /// The encoder.
    pub network: NetworkConfig,
    /// The memories, one per scale.
    pub memory: MemoryConfig,
    /// The training loss, eqs. 3-7.
    pub loss: LossConfig,
    /// The optimiser and its schedule.
    pub train: TrainConfig,
    /// How two views are made of one image.
    pub augment: AugmentConfig,
    /// Where anomalies to learn from come from.
    #[serde(default)]
    pub anomalies: AnomalyConfig,
    /// Scores learned from anomalies, eqs. 10-12.
    #[serde(default)]
    pub stage2: Stage2Config,
    /// From deviations to one score, eqs. 8-13.
    pub score: ScoreConfig,
}

/// Section `[image]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// Pixels; images are resized to it.
    pub size: ImageSize,
    /// 1 grey or 3 colour; `None` ("auto") as the training images are.
    #[serde(with = "auto")]
    pub channels: Option<usize>,
    /// Against changing light.
    pub standardise: Standardise,
    /// Pixels of the original image to a side of the tiles that larger images are cut into, each then
    /// resized to `size`; 0: images are not cut.
    #[serde(default)]
    pub tile: usize,
    /// Pixels that neighbouring tiles share at least; `None` ("auto"): a quarter of `tile`.
    #[serde(with = "auto", default)]
    pub overlap: Option<usize>,
}

/// A number in TOML for a square, `[height, width]` otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SizeForm", into = "SizeForm")]
pub struct ImageSize {
    /// Pixels.
    pub height: usize,
    /// Pixels.
    pub width: usize,
}

/// Section `[network]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// The encoder.
    pub backbone: Backbone,
    /// Share of the backbone's channels, a multiple of 1/16.
    pub width: f64,
    /// The first layers.
    pub stem: Stem,
    /// How maps and their gradients lie in memory; with f16 the loss is scaled, see [`crate::ops::loss_scale`].
    #[serde(default)]
    pub precision: Precision,
}

/// Section `[memory]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// How the prototypes come about.
    #[serde(default = "learned")]
    pub kind: MemoryKind,
    /// Stages (1 to 4) whose output maps are the scales, rising.
    pub scales: Vec<usize>,
    /// Prototypes per scale.
    pub slots: Vec<usize>,
    /// What is done to queries and prototypes before they meet.
    pub normalise: Normalise,
    /// Inverse temperature; `None` ("auto") sets it from the data.
    #[serde(with = "auto")]
    pub beta: Option<f64>,
    /// Most retrieval steps in training.
    pub steps_train: usize,
    /// Most retrieval steps when scoring.
    pub steps_score: usize,
    /// Retrieval stops when no component of a vector changes by more; 0 = never early.
    pub tolerance: f64,
    /// How prototypes learn from what was retrieved.
    #[serde(default = "unrolled")]
    pub gradient: MemoryGradient,
    /// Terms of the series of [`MemoryGradient::Implicit`].
    #[serde(default = "gradient_terms")]
    pub gradient_terms: usize,
    /// Where prototypes start.
    pub init: MemoryInit,
    /// After each epoch, prototypes that no query recalled first start anew from features that the
    /// memory recalls badly.
    #[serde(default)]
    pub revive: bool,
}

/// Section `[loss]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// The contrastive loss.
    pub kind: LossKind,
    /// Temperature of [`LossKind::NtXent`].
    pub tau: f64,
    /// Weight of the correlations between components in [`LossKind::BarlowTwins`].
    #[serde(default = "barlow_lambda")]
    pub barlow_lambda: f64,
    /// Share of a map's positions drawn per step, one per scale.
    pub sampling_ratio: Vec<f64>,
    /// Which positions of the two views make a positive pair.
    pub positions: Positions,
    /// Which other vectors count as negatives of [`LossKind::NtXent`].
    pub negatives: Negatives,
    /// What stands between the maps and the contrastive loss.
    pub head: Head,
    /// lambda_s of eq. 7, one per scale.
    pub scale_weights: Vec<f64>,
    /// lambda_V of eq. 7.
    pub variance_weight: f64,
    /// g of eq. 6; `None` ("auto"): see [`Config::variance_target`].
    #[serde(with = "auto")]
    pub variance_target: Option<f64>,
}

/// Section `[train]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// What training does to the backbone.
    #[serde(default = "tuned")]
    pub backbone: BackboneTraining,
    /// What of the forward pass is run again for the backward pass, instead of kept.
    #[serde(default = "where_memory_asks")]
    pub recompute: Recompute,
    /// Images that are encoded at once, of a batch whose loss is taken as one; 0: the whole batch.
    #[serde(default)]
    pub micro_batch: usize,
    /// Passes over the training images; 0 leaves the network untrained.
    pub epochs: usize,
    /// Steps that a training takes at least: small sets are passed over more often.
    #[serde(default)]
    pub least_steps: usize,
    /// Images per step, each seen in two views.
    pub batch: usize,
    /// Peak learning rate; `None` ("auto"): see [`Config::learning_rate`].
    #[serde(with = "auto")]
    pub lr: Option<f64>,
    /// Nesterov momentum.
    pub momentum: f64,
    /// L2 penalty per step, relative to the learning rate.
    pub weight_decay: f64,
    /// Learning rate of prototypes relative to the encoder's.
    pub memory_lr_scale: f64,
    /// Epochs of linear rise to the peak; at most half of a training.
    pub warmup_epochs: usize,
    /// Learning rate after the rise.
    pub schedule: Schedule,
    /// Leave out an incomplete last batch.
    pub drop_last: bool,
}

/// Section `[augment]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// Least share of the image's area that a crop keeps.
    pub crop_min: f64,
    /// Greatest share.
    pub crop_max: f64,
    /// Probability of a horizontal flip.
    pub flip: f64,
    /// Probability of colour jitter.
    pub jitter_p: f64,
    /// Greatest relative change of brightness.
    pub brightness: f64,
    /// Greatest relative change of contrast.
    pub contrast: f64,
    /// Greatest relative change of saturation.
    pub saturation: f64,
    /// Probability of Gaussian blur.
    pub blur_p: f64,
    /// Least and greatest deviation of the blur, in pixels.
    pub blur_sigma: [f64; 2],
    /// Standard deviation of added noise, pixel range 0 to 1.
    pub noise: f64,
}

/// Section `[anomalies]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnomalyConfig {
    /// What is made of normal images to stand for anomalies.
    pub pseudo: Pseudo,
    /// Which kinds of damage are made, all equally often.
    #[serde(default = "every_damage")]
    pub damage: Vec<DamageKind>,
    /// Share of each batch that is anomalous: made, or drawn from the labelled ones. Stage 1 alone,
    /// with labelled anomalies only, sees them as often as there are.
    pub share: f64,
}

impl Default for AnomalyConfig {
    /// None, as in models written before the section existed.
    fn default() -> Self {
        Self { pseudo: Pseudo::None, damage: every_damage(), share: 0.5 }
    }
}

/// All kinds.
fn every_damage() -> Vec<DamageKind> {
    use DamageKind::{Blob, Line, Rectangle, Scar, Smear, Spot};
    vec![Rectangle, Scar, Blob, Spot, Line, Smear]
}

/// Section `[stage2]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage2Config {
    /// What learns to score; nothing where there are no anomalies.
    pub head: HeadKind,
    /// After stage 1 on a frozen encoder, or together with it.
    pub training: Stage2Training,
    /// Weight of eq. 7 in joint training; 0 leaves stage 1 out.
    pub contrast_weight: f64,
    /// What the heads see.
    pub input: HeadInput,
    /// Cells to a side that the image head's input is averaged to, one per scale; a map of fewer is
    /// taken as it is.
    pub grid: Vec<usize>,
    /// Hidden units.
    pub hidden: usize,
    /// eta of eqs. 11-12: normal scores below 1/eta, anomalous ones above eta.
    pub eta: f64,
    /// Weight of the position head's loss relative to the image head's.
    pub position_weight: f64,
    /// Training steps of a frozen stage 2.
    pub steps: usize,
    /// Peak learning rate of a frozen stage 2.
    pub lr: f64,
}

impl Default for Stage2Config {
    /// None, as in models written before the section existed.
    fn default() -> Self {
        Self {
            head: HeadKind::None,
            training: Stage2Training::Frozen,
            contrast_weight: 1.0,
            input: HeadInput::Deviation,
            grid: Vec::new(),
            hidden: 128,
            eta: 2.0,
            position_weight: 1.0,
            steps: 600,
            lr: 0.02,
        }
    }
}

/// For models written before the key existed.
fn tuned() -> BackboneTraining {
    BackboneTraining::Tuned
}

/// For models written before the key existed.
fn where_memory_asks() -> Recompute {
    Recompute::Auto
}

/// For models written before the key existed.
fn learned() -> MemoryKind {
    MemoryKind::Learned
}

/// For models written before the key existed.
fn unrolled() -> MemoryGradient {
    MemoryGradient::Unrolled
}

/// For models written before the key existed. Measured in f64 on a trained memory, against the solved linear
/// system: at fixed points 4 terms leave 4 % of the gradient at beta 27 and 8 % at 16, 8 terms 1.4 % and 4 %. At
/// beta 16 after 16 steps, not converged, they are off by 0.9 and 2.9 times its norm (unrolled: 7.4).
fn gradient_terms() -> usize {
    4
}

/// For models written before the key existed: the value of Zbontar et al. 2021.
fn barlow_lambda() -> f64 {
    5e-3
}

/// For models written before the key existed.
fn one_per_cent() -> f64 {
    0.01
}

/// For models written before the key existed.
fn no_flips() -> Flips {
    Flips::None
}

/// Section `[score]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreConfig {
    /// How a map of deviations becomes a scale's score.
    pub reduce: Reduce,
    /// Share of positions that [`Reduce::TopK`] averages, and heads of positions alone for an image.
    pub top_k: f64,
    /// Standardise each scale by its mean and deviation on held-out normal images.
    pub standardise: bool,
    /// Share of the training images that is kept back to measure each scale on; 0 measures on those
    /// trained on. Sets of fewer than 20 images keep none back.
    pub held_out: f64,
    /// Accepted rate of false alarms, for verdicts.
    #[serde(default = "one_per_cent")]
    pub max_false_alarms: f64,
    /// Standard deviation of the Gaussian that heat maps are smoothed with, pixels of the map; 0: none.
    #[serde(default)]
    pub smooth: f64,
    /// Flips of an image whose scores and heat maps are averaged.
    #[serde(default = "no_flips")]
    pub flips: Flips,
    /// Images per step.
    pub batch: usize,
}

/// Declares an enum whose TOML words are its variants in snake case.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }
    };
}

words! {
    /// Image standardisation.
    Standardise {
        /// Only the training set's mean and deviation.
        None,
        /// Each image to mean 0, deviation 1.
        PerImage,
    }
}
words! {
    /// The encoder's architecture.
    Backbone {
        /// 18 layers, basic blocks.
        Resnet18,
        /// 34 layers, basic blocks.
        Resnet34,
        /// 50 layers, bottleneck blocks.
        Resnet50,
    }
}
words! {
    /// The encoder's first layers.
    Stem {
        /// 3x3 convolution, stride 1.
        Cifar,
        /// 3x3 convolution, stride 2.
        S2,
        /// 7x7 convolution, stride 2, then max-pool, stride 2.
        Imagenet,
    }
}
words! {
    /// What training does to the backbone.
    BackboneTraining {
        /// Its weights learn, its running statistics follow the images.
        Tuned,
        /// Weights and running statistics stay as they start: only memories and heads learn. With
        /// [`MemoryKind::Kmeans`] nothing is left of stage 1.
        Frozen,
    }
}
words! {
    /// How a memory's prototypes come about.
    MemoryKind {
        /// They are trained with the encoder and recalled by eq. 1.
        Learned,
        /// The encoder is trained without a memory; afterwards the k-means centroids of its features are the
        /// prototypes, and the nearest one is recalled. The paper's ablation (table 4).
        Kmeans,
    }
}
words! {
    /// What is done to queries and prototypes before they meet.
    Normalise {
        /// Unit length.
        L2,
        /// Nothing.
        None,
        /// Mean 0, deviation 1 over the channels.
        Layer,
    }
}
words! {
    /// What of the forward pass is run again for the backward pass (Chen et al. 2016, arXiv 1604.06174).
    Recompute {
        /// What makes a step fit into memory or the budget for it: batch norms, then as few of the backbone's blocks,
        /// from the first on, as it takes.
        Auto,
        /// Nothing.
        None,
        /// Batch norms where most memory is in use: a pass over each map.
        Norms,
        /// Those, and each block of the backbone, of which only the result is kept: a third more work.
        Blocks,
    }
}
words! {
    /// How prototypes learn from what was retrieved.
    MemoryGradient {
        /// Back through every step taken, to the prototypes and to the encoder behind the query.
        Unrolled,
        /// At the fixed point, to the prototypes alone: the encoder learns nothing through the retrieval. It costs no
        /// memory per step, so that `steps_train` can reach convergence, as it should; see [`crate::ops::hopfield::Gradient`].
        Implicit,
    }
}
words! {
    /// Where prototypes start.
    MemoryInit {
        /// Features of the first batches.
        Data,
        /// Random vectors.
        Random,
    }
}
words! {
    /// The contrastive loss.
    LossKind {
        /// Normalised temperature-scaled cross entropy (Chen et al. 2020).
        NtXent,
        /// Each component of one view correlates with itself in the other view and with no other component
        /// (Zbontar et al. 2021); without negatives.
        BarlowTwins,
    }
}
words! {
    /// Which positions of the two views make a positive pair.
    Positions {
        /// The same index in both maps.
        Same,
        /// The same point of the image, through both crops and flips.
        Matched,
        /// Drawn separately in each view.
        Independent,
    }
}
words! {
    /// Which other vectors count as negatives.
    Negatives {
        /// All sampled positions of all images.
        Joint,
        /// Only the same position of other images.
        PerPosition,
        /// All but the other positions of the same image.
        ExcludeImage,
    }
}
words! {
    /// What stands between the maps and the contrastive loss.
    Head {
        /// Nothing.
        None,
        /// Two layers, dropped after training.
        Mlp,
    }
}
words! {
    /// What is made of normal images to stand for anomalies.
    Pseudo {
        /// Nothing.
        None,
        /// Copies turned by 90, 180 or 270 degrees, for objects that have an upright (Tack et al. 2020).
        Rotation,
        /// Copies with cut, scarred or stained patches, for surfaces.
        Damage,
    }
}
words! {
    /// A kind of damage, see [`crate::ops::damage`].
    DamageKind {
        /// An upright rectangle of the image's own pixels from another place.
        Rectangle,
        /// A narrow strip of them at any angle.
        Scar,
        /// Irregular patches of the image in another tone, or of another image.
        Blob,
        /// A dark or bright ellipse with an edge from hard to soft.
        Spot,
        /// A thin bright or dark curve, sometimes broken.
        Line,
        /// A rectangle in which the texture is blurred.
        Smear,
    }
}
words! {
    /// What learns to score.
    HeadKind {
        /// Nothing: scores are the deviation's norm, eq. 9.
        None,
        /// One score per image, eq. 10.
        Image,
        /// One score per position, held to where an image is damaged.
        Position,
        /// Both.
        Both,
    }
}
words! {
    /// When the heads are trained.
    Stage2Training {
        /// After stage 1; encoder and memories stay as they are.
        Frozen,
        /// From the start, through encoder and memories.
        Joint,
    }
}
words! {
    /// What the heads see.
    HeadInput {
        /// The deviation from the recollection, eq. 8.
        Deviation,
        /// The encoder's features.
        Features,
        /// Both, side by side.
        Both,
    }
}
words! {
    /// Learning rate after warm-up.
    Schedule {
        /// Half a cosine wave, down to zero at the last step.
        Cosine,
    }
}
words! {
    /// How a map of deviations becomes a scale's score.
    Reduce {
        /// L2 norm over the whole map, eq. 9.
        Norm,
        /// Mean of the positions' norms.
        Mean,
        /// Greatest of the positions' norms.
        Max,
        /// Mean of the greatest norms.
        TopK,
    }
}
words! {
    /// Flips of an image that are judged beside it. More take as many times longer; the mean of their scores is
    /// steadier than one.
    Flips {
        /// The image alone.
        None,
        /// Also left to right: two in all.
        Horizontal,
        /// Also upside down, and both: four in all. For images without an upright.
        Both,
    }
}

impl Config {
    /// The names that [`Config::preset`] knows.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// The built-in configuration `name`: `tiny`, `surface`, `resnet18` or `resnet50`.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none of that name.
    pub fn preset(name: &str) -> Result<Self> {
        Self::from_toml(Self::preset_text(name)?)
    }

    /// The TOML text of the built-in configuration `name`, with its comments.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none of that name.
    pub fn preset_text(name: &str) -> Result<&'static str> {
        PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text).ok_or_else(|| {
            let known: Vec<_> = Self::presets().collect();
            Error::Usage(format!("no preset `{name}`; there are {}", known.join(", ")))
        })
    }

    /// Reads a complete configuration, as [`Config::to_toml`] writes it.
    ///
    /// # Errors
    /// [`Error::Usage`] with line and column of what is wrong, missing or unknown.
    pub fn from_toml(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| Error::Usage(error.to_string()))
    }

    /// The whole configuration as TOML.
    ///
    /// # Errors
    /// [`Error::Internal`] for integers that TOML cannot hold (above 2^63 - 1).
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Internal(format!("configuration to TOML: {e}")))
    }

    /// Takes over the keys that the TOML file at `path` sets; all others stay.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read, is not TOML, or has an unknown key or a value of
    /// the wrong type; the configuration is then unchanged.
    pub fn merge_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::file(path, format!("cannot be read: {error}")))?;
        let table: Table = text.parse().map_err(|error| Error::file(path, error))?;
        let mut merged = self.clone();
        merged.merge("", table).map_err(|message| Error::file(path, message))?;
        *self = merged;
        Ok(())
    }

    /// Sets one key: `section.key=value`, the value in TOML's notation. A bare word is a string.
    ///
    /// # Errors
    /// [`Error::Usage`] for a missing `=`, an unknown key (naming the nearest known one) or a value
    /// of the wrong type; the configuration is then unchanged.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let (key, text) = assignment.split_once('=').ok_or_else(|| {
            Error::Usage(format!("`{assignment}`: expected key=value, e.g. train.epochs=3"))
        })?;
        let (key, text) = (key.trim(), text.trim());
        let is_bare_word = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
        let value = match text.parse::<Value>() {
            Ok(value) => value,
            Err(_) if is_bare_word => Value::String(text.to_owned()),
            Err(error) => {
                let reason = error.message();
                return Err(Error::Usage(format!("{key} = {text}: not a TOML value: {reason}")));
            }
        };
        self.assign(key, value).map_err(Error::Usage)
    }

    /// Checks every range, and that settings fit each other.
    ///
    /// # Errors
    /// [`Error::Usage`] with one line per fault: key, value and what was expected.
    pub fn validate(&self) -> Result<()> {
        let mut check = Check::default();
        check.that(i64::try_from(self.seed).is_ok(), "seed", self.seed, "at most 2^63 - 1");
        self.image.check(&mut check);
        self.network.check(&mut check);
        self.memory.check(&mut check);
        self.loss.check(self.memory.scales.len(), &mut check);
        self.train.check(&mut check);
        self.augment.check(&mut check);
        self.anomalies.check(self.image.size, &mut check);
        self.stage2.check(self.memory.scales.len(), &mut check);
        let joint = self.stage2.training == Stage2Training::Joint;
        let clustered = self.memory.kind == MemoryKind::Kmeans;
        check.that(
            !(clustered && joint && self.stage2.head != HeadKind::None),
            "memory.kind",
            "\"kmeans\"",
            "\"learned\" with stage2.training = \"joint\", which needs a memory during training; \"frozen\" does not",
        );
        check.that(
            !(self.train.backbone == BackboneTraining::Frozen && self.loss.head == Head::Mlp),
            "loss.head",
            "\"mlp\"",
            "\"none\" with train.backbone = \"frozen\": the projection is a part of what is frozen, and random",
        );
        let placed = !joint
            || self.stage2.head == HeadKind::Image
            || self.anomalies.pseudo != Pseudo::Rotation;
        check.that(
            placed,
            "stage2.head",
            "not \"image\"",
            "\"image\" with anomalies.pseudo = \"rotation\", which has no place in the image",
        );
        self.score.check(&mut check);
        if check.faults.is_empty() { Ok(()) } else { Err(Error::Usage(check.faults.join("\n"))) }
    }

    /// Peak learning rate: as set, or 0.06 * batch / 256.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.train.lr.unwrap_or(0.06 * self.train.batch as f64 / 256.0)
    }

    /// Deviation that eq. 6 asks of each of `dim` retrieved components: as set, or 1, or with unit
    /// vectors 1/sqrt(dim).
    #[must_use]
    pub fn variance_target(&self, dim: usize) -> f64 {
        self.loss.variance_target.unwrap_or(match self.memory.normalise {
            Normalise::L2 => 1.0 / (dim as f64).sqrt(),
            Normalise::None | Normalise::Layer => 1.0,
        })
    }

    /// Assigns every entry of `table`, whose own key is `prefix`.
    fn merge(&mut self, prefix: &str, table: Table) -> Result<(), String> {
        for (name, value) in table {
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(section) => self.merge(&key, section)?,
                value => self.assign(&key, value)?,
            }
        }
        Ok(())
    }

    /// Replaces one value and lets serde judge the outcome, so that a fault is known to be that key's.
    fn assign(&mut self, key: &str, value: Value) -> Result<(), String> {
        let mut root = Table::try_from(&*self).map_err(|error| error.to_string())?;
        let shown = format!("{key} = {value}");
        let slot = leaf(&mut root, key).ok_or_else(|| unknown_key(self, key))?;
        *slot = value;
        *self = root
            .try_into()
            .map_err(|error: toml::de::Error| format!("{shown}: {}", error.message().trim()))?;
        Ok(())
    }
}

/// The value at the dotted `key`; `None` for a whole section.
fn leaf<'a>(root: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    let (path, name) = key.rsplit_once('.').map_or((None, key), |(path, name)| (Some(path), name));
    let table = match path {
        None => root,
        Some(path) => path.split('.').try_fold(root, |t, part| t.get_mut(part)?.as_table_mut())?,
    };
    table.get_mut(name).filter(|value| !value.is_table())
}

fn unknown_key(config: &Config, key: &str) -> String {
    let table = Table::try_from(config).unwrap_or_default();
    let known = leaves("", &table);
    let section = format!("{key}.");
    let members: Vec<&str> = known.iter().filter_map(|k| k.strip_prefix(&section)).collect();
    if !members.is_empty() {
        return format!("{key}: is a section; set one of its keys: {}", members.join(", "));
    }
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    // The whole key, or with a little less weight the right name in the wrong section.
    let likeness = |candidate: &str| {
        let whole = strsim::normalized_damerau_levenshtein(key, candidate);
        let name = strsim::normalized_damerau_levenshtein(&last(key), &last(candidate));
        whole.max(0.9 * name)
    };
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(nearest) if likeness(nearest) > 0.5 => {
            format!("{key}: unknown key; did you mean {nearest}?")
        }
        _ => format!("{key}: unknown key; known are {}", known.join(", ")),
    }
}

/// The dotted keys of all values below `table`.
fn leaves(prefix: &str, table: &Table) -> Vec<String> {
    let below = |(name, value): (&String, &Value)| match value {
        Value::Table(section) => leaves(&format!("{prefix}{name}."), section),
        _ => vec![format!("{prefix}{name}")],
    };
    table.iter().flat_map(below).collect()
}

/// Gathers the faults of a configuration.
#[derive(Default)]
struct Check {
    faults: Vec<String>,
}

impl Check {
    fn that(&mut self, ok: bool, key: &str, value: impl Display, expected: &str) {
        if !ok {
            self.faults.push(format!("{key} = {value}: expected {expected}"));
        }
    }

    fn at_least(&mut self, key: &str, value: usize, least: usize) {
        self.that(value >= least, key, value, &format!("at least {least}"));
    }

    fn positive(&mut self, key: &str, value: f64) {
        self.that(value > 0.0 && value.is_finite(), key, value, "a number above 0");
    }

    fn not_negative(&mut self, key: &str, value: f64) {
        self.that(value >= 0.0 && value.is_finite(), key, value, "0 or more");
    }

    fn probability(&mut self, key: &str, value: f64) {
        self.that((0.0..=1.0).contains(&value), key, value, "0 to 1");
    }

    fn share(&mut self, key: &str, value: f64) {
        self.that(value > 0.0 && value <= 1.0, key, value, "above 0 and at most 1");
    }

    fn per_scale(&mut self, key: &str, len: usize, scales: usize) {
        let expected = format!("{scales}, one per entry of memory.scales");
        self.that(len == scales, key, format!("{len} values"), &expected);
    }
}

impl ImageConfig {
    /// How images are cut into tiles, if they are.
    #[must_use]
    pub fn tiling(&self) -> Option<Tiling> {
        let Self { tile: side, overlap, .. } = *self;
        (side > 0).then(|| Tiling { side, overlap: overlap.unwrap_or(side / 4) })
    }

    fn check(&self, check: &mut Check) {
        let ImageSize { height, width } = self.size;
        let fits = (8..=8192).contains(&height) && (8..=8192).contains(&width);
        check.that(fits, "image.size", format!("[{height}, {width}]"), "8 to 8192 pixels each");
        if let Some(channels) = self.channels {
            check.that([1, 3].contains(&channels), "image.channels", channels, "\"auto\", 1 or 3");
        }
        let tile = self.tile == 0 || (8..=1 << 15).contains(&self.tile);
        check.that(tile, "image.tile", self.tile, "8 to 32768 pixels, or 0: images are not cut");
        if let Some(overlap) = self.overlap.filter(|_| self.tile > 0) {
            let expected = format!("at most half of image.tile ({})", self.tile);
            check.that(overlap <= self.tile / 2, "image.overlap", overlap, &expected);
        }
    }
}

impl NetworkConfig {
    fn check(&self, check: &mut Check) {
        // 64 channels in the first stage; kernels read four at a time.
        let whole = (self.width * 16.0).fract() == 0.0 && (0.0625..=4.0).contains(&self.width);
        check.that(whole, "network.width", self.width, "a multiple of 0.0625, up to 4");
    }
}

impl MemoryConfig {
    fn check(&self, check: &mut Check) {
        let rising = self.scales.windows(2).all(|pair| pair[0] < pair[1]);
        let stages = self.scales.iter().all(|stage| (1..=4).contains(stage));
        let shown = format!("{:?}", self.scales);
        let ok = !self.scales.is_empty() && rising && stages;
        check.that(ok, "memory.scales", shown, "rising stages from 1 to 4, at least one");
        check.per_scale("memory.slots", self.slots.len(), self.scales.len());
        for &slots in &self.slots {
            check.that((2..=65_536).contains(&slots), "memory.slots", slots, "2 to 65536 each");
        }
        if let Some(beta) = self.beta {
            check.positive("memory.beta", beta);
        }
        for (key, steps) in
            [("memory.steps_train", self.steps_train), ("memory.steps_score", self.steps_score)]
        {
            check.that((1..=256).contains(&steps), key, steps, "1 to 256");
        }
        check.not_negative("memory.tolerance", self.tolerance);
        let terms = self.gradient_terms;
        check.that((1..=256).contains(&terms), "memory.gradient_terms", terms, "1 to 256");
        check.that(
            !(self.revive && self.kind == MemoryKind::Kmeans),
            "memory.revive",
            self.revive,
            "false with memory.kind = \"kmeans\", which has no prototypes during training",
        );
    }
}

impl LossConfig {
    fn check(&self, scales: usize, check: &mut Check) {
        check.positive("loss.tau", self.tau);
        check.not_negative("loss.barlow_lambda", self.barlow_lambda);
        check.per_scale("loss.sampling_ratio", self.sampling_ratio.len(), scales);
        self.sampling_ratio.iter().for_each(|&r| check.share("loss.sampling_ratio", r));
        let aligned = self.negatives != Negatives::PerPosition || self.positions == Positions::Same;
        check.that(
            aligned,
            "loss.negatives",
            "\"per_position\"",
            "loss.positions = \"same\" with it, since other draws share no index",
        );
        check.per_scale("loss.scale_weights", self.scale_weights.len(), scales);
        self.scale_weights.iter().for_each(|&w| check.not_negative("loss.scale_weights", w));
        let some_weight = self.scale_weights.iter().any(|&weight| weight != 0.0);
        let shown = format!("{:?}", self.scale_weights);
        check.that(some_weight, "loss.scale_weights", shown, "at least one above 0");
        check.not_negative("loss.variance_weight", self.variance_weight);
        if let Some(target) = self.variance_target {
            check.positive("loss.variance_target", target);
        }
    }
}

impl TrainConfig {
    fn check(&self, check: &mut Check) {
        // One image has no negatives.
        check.at_least("train.batch", self.batch, 2);
        if let Some(lr) = self.lr {
            check.positive("train.lr", lr);
        }
        let momentum = (0.0..1.0).contains(&self.momentum);
        check.that(momentum, "train.momentum", self.momentum, "0 or more and below 1");
        check.not_negative("train.weight_decay", self.weight_decay);
        check.not_negative("train.memory_lr_scale", self.memory_lr_scale);
    }
}

impl AugmentConfig {
    fn check(&self, check: &mut Check) {
        check.share("augment.crop_min", self.crop_min);
        check.share("augment.crop_max", self.crop_max);
        let ordered = self.crop_min <= self.crop_max;
        let expected = format!("at most augment.crop_max ({})", self.crop_max);
        check.that(ordered, "augment.crop_min", self.crop_min, &expected);
        check.probability("augment.flip", self.flip);
        check.probability("augment.jitter_p", self.jitter_p);
        check.probability("augment.brightness", self.brightness);
        check.probability("augment.contrast", self.contrast);
        check.probability("augment.saturation", self.saturation);
        check.probability("augment.blur_p", self.blur_p);
        let [least, greatest] = self.blur_sigma;
        let ok = least > 0.0 && least <= greatest && greatest <= 16.0;
        let expected = "[least, greatest], above 0 and at most 16 pixels";
        check.that(ok, "augment.blur_sigma", format!("{:?}", self.blur_sigma), expected);
        check.probability("augment.noise", self.noise);
    }
}

impl AnomalyConfig {
    fn check(&self, size: ImageSize, check: &mut Check) {
        let fits = self.pseudo != Pseudo::Rotation || size.height == size.width;
        check.that(fits, "anomalies.pseudo", "\"rotation\"", "a square image.size with it");
        let any = self.pseudo != Pseudo::Damage || !self.damage.is_empty();
        check.that(any, "anomalies.damage", "[]", "at least one kind");
        let share = self.share > 0.0 && self.share < 1.0;
        check.that(share, "anomalies.share", self.share, "between 0 and 1");
    }
}

impl Stage2Config {
    fn check(&self, scales: usize, check: &mut Check) {
        if self.head == HeadKind::None {
            return;
        }
        check.per_scale("stage2.grid", self.grid.len(), scales);
        self.grid.iter().for_each(|&cells| check.at_least("stage2.grid", cells, 1));
        check.at_least("stage2.hidden", self.hidden, 1);
        let eta = self.eta >= 1.0 && self.eta.is_finite();
        check.that(eta, "stage2.eta", self.eta, "a number of at least 1");
        check.not_negative("stage2.contrast_weight", self.contrast_weight);
        check.positive("stage2.position_weight", self.position_weight);
        check.positive("stage2.lr", self.lr);
    }
}

impl ScoreConfig {
    fn check(&self, check: &mut Check) {
        check.share("score.top_k", self.top_k);
        let some_left = (0.0..=0.5).contains(&self.held_out);
        check.that(some_left, "score.held_out", self.held_out, "0 to 0.5");
        let rate = self.max_false_alarms > 0.0 && self.max_false_alarms < 1.0;
        check.that(rate, "score.max_false_alarms", self.max_false_alarms, "between 0 and 1");
        let smooth = (0.0..=64.0).contains(&self.smooth);
        check.that(smooth, "score.smooth", self.smooth, "0 to 64 pixels");
        check.at_least("score.batch", self.batch, 1);
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number of pixels or [height, width]")]
enum SizeForm {
    Square(usize),
    Rectangle([usize; 2]),
}

impl From<SizeForm> for ImageSize {
    fn from(form: SizeForm) -> Self {
        let [height, width] = match form {
            SizeForm::Square(side) => [side; 2],
            SizeForm::Rectangle(sides) => sides,
        };
        Self { height, width }
    }
}

impl From<ImageSize> for SizeForm {
    fn from(ImageSize { height, width }: ImageSize) -> Self {
        if height == width { Self::Square(height) } else { Self::Rectangle([height, width]) }
    }
}

/// `None` as the word "auto".
mod auto {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected \"auto\" or a number")]
    enum Form<T> {
        Value(T),
        Word(Word),
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Auto,
    }

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_str("auto"),
        }
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Value(value) => Some(value),
            Form::Word(Word::Auto) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Config {
        Config::preset("tiny").unwrap()
    }

    /// The message of one refused assignment, which must change nothing.
    fn refused(assignment: &str) -> String {
        let mut config = tiny();
        let message = config.set(assignment).unwrap_err().to_string();
        assert_eq!(config, tiny(), "{assignment} changed something");
        message
    }

    #[test]
    fn presets_are_valid_commented_and_round_trip() {
        for (name, text) in PRESETS {
            let config = Config::preset(name).unwrap();
            config.validate().unwrap();
            assert_eq!(Config::from_toml(&config.to_toml().unwrap()).unwrap(), config);
            for line in text.lines().filter(|line| line.contains(" = ")) {
                assert!(line.contains('#'), "{name}: no comment on `{line}`");
            }
        }
        assert_eq!(
            Config::presets().collect::<Vec<_>>(),
            ["tiny", "surface", "resnet18", "resnet50"]
        );
        let message = Config::preset("resnet52").unwrap_err().to_string();
        assert_eq!(message, "no preset `resnet52`; there are tiny, surface, resnet18, resnet50");
    }

    #[test]
    fn set_takes_toml_values_and_bare_words() {
        let mut config = tiny();
        for assignment in [
            "image.size=[48, 96]",
            "image.channels = 3",
            "network.backbone=resnet34",
            "network.stem=\"cifar\"",
            "memory.beta=8",
            "memory.slots=[64,32]",
            "score.reduce=top_k",
            "train.drop_last=false",
            "seed=7",
        ] {
            config.set(assignment).unwrap();
        }
        assert_eq!(config.image.size, ImageSize { height: 48, width: 96 });
        assert_eq!(config.image.channels, Some(3));
        assert_eq!(config.network.backbone, Backbone::Resnet34);
        assert_eq!(config.network.stem, Stem::Cifar);
        assert_eq!(config.memory.beta, Some(8.0));
        assert_eq!(config.memory.slots, [64, 32]);
        assert_eq!(config.score.reduce, Reduce::TopK);
        assert!(!config.train.drop_last);
        assert_eq!(config.seed, 7);
        config.set("memory.beta=auto").unwrap();
        assert_eq!(config.memory.beta, None);
        let again = Config::from_toml(&config.to_toml().unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        for (key, nearest) in [
            ("train.epoch", "train.epochs"),
            ("memory.slot", "memory.slots"),
            ("memroy.beta", "memory.beta"),
            ("beta", "memory.beta"),
            ("loss.epochs", "train.epochs"),
            ("train.epochs.more", "train.epochs"),
        ] {
            let message = refused(&format!("{key}=3"));
            assert_eq!(message, format!("{key}: unknown key; did you mean {nearest}?"));
        }
        assert!(refused("zzzzqqqq=1").contains("known are anomalies.damage, "));
        let message = refused("score=3");
        assert_eq!(
            message,
            "score: is a section; set one of its keys: batch, flips, held_out, max_false_alarms, reduce, smooth, standardise, top_k"
        );
    }

    #[test]
    fn wrong_values_name_key_value_and_what_is_allowed() {
        for (assignment, key_and_value, allowed) in [
            ("network.backbone=resnet52", "network.backbone = \"resnet52\"", "`resnet34`"),
            ("memory.beta=hot", "memory.beta = \"hot\"", "\"auto\" or a number"),
            ("image.size=big", "image.size = \"big\"", "[height, width]"),
            ("train.epochs=-1", "train.epochs = -1", "-1"),
            ("train.epochs=many", "train.epochs = \"many\"", "usize"),
            ("train.drop_last=1", "train.drop_last = 1", "boolean"),
            ("augment.blur_sigma=[1.0]", "augment.blur_sigma = [1.0]", "2"),
            ("train.epochs=[1", "train.epochs = [1", "not a TOML value"),
            ("train.epochs=", "train.epochs = ", "not a TOML value"),
        ] {
            let message = refused(assignment);
            assert!(message.starts_with(key_and_value), "{message}");
            assert!(message.contains(allowed), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        assert!(refused("train.epochs").contains("expected key=value"));
    }

    #[test]
    fn files_change_their_keys_only_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let mut config = tiny();

        std::fs::write(&path, "seed = 3\ntrain.epochs = 2\n[image]\nsize = 32\n").unwrap();
        config.merge_file(&path).unwrap();
        let mut expected = tiny();
        (expected.seed, expected.train.epochs) = (3, 2);
        expected.image.size = ImageSize { height: 32, width: 32 };
        assert_eq!(config, expected);

        for (text, part) in [
            (
                "seed = 4\n[train]\nepochz = 3",
                "train.epochz: unknown key; did you mean train.epochs?",
            ),
            ("seed = 4\n[train]\nepochs = 'x'", "train.epochs = \"x\""),
            ("seed = = 4", "line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = config.merge_file(&path).unwrap_err().to_string();
            assert!(message.contains("mine.toml") && message.contains(part), "{message}");
            assert_eq!(config, expected);
        }
        let missing = config.merge_file(folder.path().join("no.toml")).unwrap_err().to_string();
        assert!(missing.contains("no.toml: cannot be read"), "{missing}");
    }

    #[test]
    fn validate_names_key_value_and_range() {
        for (assignment, expected) in [
            ("image.size=4", "image.size = [4, 4]: expected 8 to 8192 pixels each"),
            ("image.channels=2", "image.channels = 2: expected \"auto\", 1 or 3"),
            ("image.tile=4", "image.tile = 4: expected 8 to 32768 pixels, or 0"),
            ("network.width=0.3", "network.width = 0.3: expected a multiple of 0.0625, up to 4"),
            ("network.width=nan", "network.width = NaN: expected a multiple of 0.0625, up to 4"),
            ("memory.scales=[4, 3]", "memory.scales = [4, 3]: expected rising stages"),
            ("memory.scales=[5]", "memory.scales = [5]: expected rising stages"),
            ("memory.slots=[8]", "memory.slots = 1 values: expected 2, one per entry"),
            ("memory.slots=[1, 8]", "memory.slots = 1: expected 2 to 65536 each"),
            ("memory.beta=-1.0", "memory.beta = -1: expected a number above 0"),
            ("memory.steps_train=0", "memory.steps_train = 0: expected 1 to 256"),
            ("memory.gradient_terms=0", "memory.gradient_terms = 0: expected 1 to 256"),
            ("loss.tau=inf", "loss.tau = inf: expected a number above 0"),
            ("loss.barlow_lambda=-1.0", "loss.barlow_lambda = -1: expected 0 or more"),
            ("loss.sampling_ratio=[0.0, 1.0]", "loss.sampling_ratio = 0: expected above 0"),
            ("loss.scale_weights=[0, 0]", "loss.scale_weights = [0.0, 0.0]: expected at least one"),
            ("train.batch=1", "train.batch = 1: expected at least 2"),
            ("train.momentum=1", "train.momentum = 1: expected 0 or more and below 1"),
            ("augment.crop_max=0.2", "augment.crop_min = 0.5: expected at most augment.crop_max"),
            ("augment.flip=1.5", "augment.flip = 1.5: expected 0 to 1"),
            ("augment.blur_sigma=[2, 1]", "augment.blur_sigma = [2.0, 1.0]: expected [least"),
            ("score.smooth=-1", "score.smooth = -1: expected 0 to 64 pixels"),
            ("score.top_k=0", "score.top_k = 0: expected above 0"),
        ] {
            let mut config = tiny();
            config.set(assignment).unwrap();
            let message = config.validate().unwrap_err().to_string();
            assert!(message.contains(expected), "{assignment}: {message}");
        }
        let mut config = tiny();
        config.set("loss.negatives=per_position").unwrap();
        config.validate().unwrap();
        config.set("loss.positions=matched").unwrap();
        assert!(config.validate().unwrap_err().to_string().contains("loss.positions"));
        config = tiny();
        config.set("stage2.training=frozen").unwrap();
        config.set("memory.kind=kmeans").unwrap();
        config.set("stage2.training=frozen").unwrap();
        config.validate().unwrap();
        config.set("stage2.training=joint").unwrap();
        assert!(config.validate().unwrap_err().to_string().contains("memory.kind = \"kmeans\""));
        config.set("stage2.head=none").unwrap();
        config.validate().unwrap();
        config.set("memory.revive=true").unwrap();
        assert!(config.validate().unwrap_err().to_string().contains("memory.revive = true"));
        config = tiny();
        config.set("train.backbone=frozen").unwrap();
        config.validate().unwrap();
        config.set("loss.head=mlp").unwrap();
        assert!(config.validate().unwrap_err().to_string().contains("train.backbone = \"frozen\""));
        config = tiny();
        config.set("image.overlap=40").unwrap();
        config.validate().unwrap();
        config.set("image.tile=64").unwrap();
        let message = config.validate().unwrap_err().to_string();
        assert_eq!(message, "image.overlap = 40: expected at most half of image.tile (64)");
        config.seed = u64::MAX;
        assert_eq!(config.validate().unwrap_err().to_string().lines().count(), 2);
    }

    #[test]
    fn models_from_before_the_keys_existed_are_read() {
        let mut config = tiny();
        config.set("score.flips=none").unwrap();
        let text = config.to_toml().unwrap();
        let new = [
            "tile = 0",
            "overlap = \"auto\"",
            "smooth = 0.0",
            "flips = \"none\"",
            "backbone = \"tuned\"",
            "recompute = \"auto\"",
            "micro_batch = 0",
            "gradient = \"unrolled\"",
            "gradient_terms = 4",
        ];
        let is_new = |line: &str| new.contains(&line);
        let old: Vec<&str> = text.lines().filter(|line| !is_new(line)).collect();
        assert_eq!(old.len(), text.lines().count() - new.len());
        assert_eq!(Config::from_toml(&old.join("\n")).unwrap(), config);
    }

    #[test]
    fn derived_values() {
        let mut config = tiny();
        config.set("train.lr=auto").unwrap();
        assert_eq!(config.learning_rate(), 0.0075);
        assert_eq!(config.variance_target(64), 0.125);
        config.set("memory.normalise=none").unwrap();
        assert_eq!(config.variance_target(64), 1.0);
        config.set("train.lr=0.2").unwrap();
        config.set("loss.variance_target=0.5").unwrap();
        assert_eq!((config.learning_rate(), config.variance_target(64)), (0.2, 0.5));
        assert_eq!(config.image.tiling(), None);
        config.set("image.tile=512").unwrap();
        assert_eq!(config.image.tiling(), Some(Tiling { side: 512, overlap: 128 }));
        config.set("image.overlap=0").unwrap();
        assert_eq!(config.image.tiling(), Some(Tiling { side: 512, overlap: 0 }));
    }
}
