//! What a step minimises: stage 1, contrasted memory (eqs. 3 to 7), and the heads' hinge (eqs. 10 to 12).

use super::config::{LossKind, MemoryKind, Negatives, Positions};
use super::heads::{HeadScores, Seen};
use super::labels::OnTape;
use super::model::{Model, Scale, unit};
use crate::autograd::{Tape, Value};
use crate::nn::Mode;
use crate::ops::variance::{self, Variance};
use crate::ops::{activation::relu, affine, barlow, gather, hinge, nt_xent, reduce, select};
use crate::tensor::{Element, Store, VarId};
use crate::{Error, Result};

/// Random draws of different purpose never share a counter; augmentation uses the numbers below.
const PURPOSE_POSITIONS: u32 = 64;

/// Points up to half a cell from a cell's centre belong to it: those inside the other view.
const INSIDE: f32 = 0.5;

/// What one scale contributes to a step, each `[1]`.
#[derive(Debug, Default)]
pub struct Terms {
    /// Stage 1, where it takes part.
    pub contrast: Option<Contrast>,
    /// The image head's double hinge, eqs. 11-12.
    pub image: Option<Value>,
    /// The position head's.
    pub position: Option<Value>,
    /// How the memory was asked; absent where nothing of it is trained.
    pub recall: Option<Recall>,
}

/// Stage 1 at one scale, values `[1]`.
#[derive(Debug)]
pub struct Contrast {
    /// L_CM, eqs. 4-5.
    pub loss: Value,
    /// Of the retrieved vectors, with L_V, eq. 6; absent where nothing is retrieved.
    pub variance: Option<Variance>,
    /// The loss of a network that knows nothing.
    pub chance: f64,
    /// The loss of a network that tells positions apart but not images, where that is less.
    pub position_chance: Option<f64>,
}

impl Contrast {
    /// L_V, eq. 6.
    pub(super) fn l_v(&self) -> Option<Value> {
        self.variance.map(|v| v.loss)
    }
}

/// A memory's answers to `queries` vectors.
#[derive(Debug, Clone, Copy)]
pub struct Recall {
    /// `[1]`: sum of the normalised entropy of the retrieval weights, over the vectors of normal images.
    pub entropy_sum: Value,
    /// u32 `[queries]`: the slot of greatest weight.
    pub slot: Value,
    /// f32 `[B]`: 1 for normal images, of `queries / B` vectors each; all are if absent.
    pub normal: Option<Value>,
    /// Vectors of all images, normal or not.
    pub queries: usize,
    /// `[queries, D]`: the features in the memory's space.
    pub features: Value,
    /// `[queries, D]`: their recollections.
    pub retrieved: Value,
}

/// The weights of the loss terms, constant during training.
pub struct Weights(Vec<[VarId; 4]>);

impl Weights {
    /// Declares, per scale, those of contrast, variance, image and position head, under names that start
    /// with `prefix`.
    ///
    /// # Errors
    /// Names that exist.
    pub fn declare(model: &mut Model, prefix: &str) -> Result<Self> {
        let slab = model.store.slab(&format!("{prefix} loss weights"));
        let mut list = Vec::new();
        for scale in &model.scales {
            let name = |what: &str| format!("{prefix}.weight.{what}.{}", scale.stage);
            let mut one = |what| model.store.declare(slab, &name(what), &[1], Element::F32, false);
            list.push([one("contrast")?, one("variance")?, one("image")?, one("position")?]);
        }
        Ok(Self(list))
    }

    /// Writes the configuration's values; `contrast` is the weight of eq. 7 as a whole.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub fn upload(&self, gpu: &crate::gpu::Gpu, model: &Model, contrast: f64) -> Result<()> {
        let (loss, stage2) = (&model.config.loss, &model.config.stage2);
        for (vars, lambda) in self.0.iter().zip(&loss.scale_weights) {
            let weights = [
                lambda * contrast,
                lambda * contrast * loss.variance_weight,
                *lambda,
                lambda * stage2.position_weight,
            ];
            for (var, weight) in vars.iter().zip(weights) {
                model.store.upload(gpu, *var, &[weight as f32])?;
            }
        }
        Ok(())
    }

    /// Pairs each loss term with its weight: the seeds of the backward pass.
    pub fn seeds(&self, tape: &mut Tape, store: &Store, terms: &[Terms]) -> Vec<(Value, Value)> {
        let mut seeds = Vec::new();
        for (vars, t) in self.0.iter().zip(terms) {
            let contrast = t.contrast.as_ref();
            let values =
                [contrast.map(|c| c.loss), contrast.and_then(Contrast::l_v), t.image, t.position];
            for (value, var) in values.into_iter().zip(vars) {
                seeds.extend(value.map(|v| (v, tape.variable(store, *var))));
            }
        }
        seeds
    }
}

/// Which positions of a scale's map are compared, in each view.
#[derive(Debug, Clone, Copy)]
pub struct Pairs {
    /// u32 `[B, n]`: positions of the first view.
    pub first: Value,
    /// u32 `[B, n]`: positions of the second view, in the same order.
    pub second: Value,
    /// f32 `[B*n]`: 0 where a pair does not count; absent: all count.
    pub valid: Option<Value>,
}

/// Draws the pairs of every scale from its map `[2B, H, W, D]`: a random share of the positions,
/// without replacement. `counters` as for [`gather::draw`]; `geometry` f32 `[2B, 16]`: crop and flip of
/// each view, see [`crate::ops::augment::draw`].
///
/// # Errors
/// Those of the operations.
pub fn draw_pairs(
    model: &Model,
    tape: &mut Tape,
    maps: &[Value],
    counters: Value,
    geometry: Value,
) -> Result<Vec<Pairs>> {
    let loss = &model.config.loss;
    let mut list = Vec::new();
    for (i, map) in maps.iter().enumerate() {
        let [views, height, width, _] = map_shape(tape, *map)?;
        let (batch, positions) = (views / 2, height * width);
        let count = ((loss.sampling_ratio[i] * positions as f64).round() as usize).max(1);
        let purpose = PURPOSE_POSITIONS + 2 * i as u32;
        let mut draw = |purpose| gather::draw(tape, counters, batch, positions, count, purpose);
        let first = draw(purpose)?;
        let (second, valid) = match loss.positions {
            Positions::Same => (first, None),
            Positions::Independent => (draw(purpose + 1)?, None),
            Positions::Matched => {
                let matched = gather::matched(tape, first, geometry, height, width, INSIDE)?;
                (matched.0, Some(matched.1))
            }
        };
        list.push(Pairs { first, second, valid });
    }
    Ok(list)
}

fn map_shape(tape: &Tape, map: Value) -> Result<[usize; 4]> {
    let shape = tape.shape(map);
    shape
        .try_into()
        .map_err(|_| Error::shape("objective", format!("map {shape:?}: expected [2B, H, W, D]")))
}

/// Records stage 1 at every scale from its map `[2B, H, W, D]`, the first view's images first.
/// `normal`: f32 `[B]`, 0 for anomalies; absent: all are normal.
///
/// # Errors
/// Those of the operations.
pub fn contrast(
    model: &Model,
    tape: &mut Tape,
    maps: &[Value],
    pairs: &[Pairs],
    normal: Option<Value>,
) -> Result<Vec<Terms>> {
    let parts = model.scales.iter().zip(maps).zip(pairs);
    parts
        .map(|((scale, map), pairs)| contrast_of(model, tape, scale, *map, pairs, normal))
        .collect()
}

fn contrast_of(
    model: &Model,
    tape: &mut Tape,
    scale: &Scale,
    map: Value,
    pairs: &Pairs,
    normal: Option<Value>,
) -> Result<Terms> {
    let loss = &model.config.loss;
    let [views, height, width, dim] = map_shape(tape, map)?;
    let batch = views / 2;
    let flat = tape.reshape(map, &[views, height * width, dim])?;
    let both = gather::gather(tape, flat, &[pairs.first, pairs.second])?;
    let [z1, z2] = both[..] else {
        return Err(Error::Internal("two views give two sets of vectors".into()));
    };
    let n = tape.shape(z1)[0];
    let count = n / batch;

    // Only the first branch passes the memory, and only normal images do (eq. 3).
    let (remembered, recall, variance) = match model.config.memory.kind {
        MemoryKind::Learned => {
            let queries = model.space(tape, z1)?;
            let (recall, entropy) = recall(model, tape, scale, queries, normal)?;
            let remembered = match normal {
                Some(normal) => select::rows(tape, recall.retrieved, queries, normal, count)?,
                None => recall.retrieved,
            };
            let target = model.config.variance_target(dim) as f32;
            let variance = variance::variance_loss(tape, recall.retrieved, target, normal)?;
            let entropy_sum = reduce::sum(tape, entropy)?;
            (remembered, Some(Recall { entropy_sum, ..recall }), Some(variance))
        }
        // Plain contrastive learning: there is a memory only after it.
        MemoryKind::Kmeans => (z1, None, None),
    };
    let contrast = match loss.kind {
        LossKind::NtXent => nt_xent_of(model, tape, scale, [remembered, z2], batch, pairs.valid)?,
        LossKind::BarlowTwins => {
            // In one space, so that the views differ by what they show alone.
            let mut branch = |vectors| {
                let z = model.space(tape, vectors)?;
                head(tape, &model.store, scale, z)
            };
            let (a, b) = (branch(remembered)?, branch(z2)?);
            let lambda = loss.barlow_lambda as f32;
            Likeness {
                loss: barlow::barlow_twins(tape, a, b, lambda, pairs.valid)?,
                // Components that do not vary correlate with nothing.
                chance: dim as f64,
                position_chance: None,
            }
        }
    };
    Ok(Terms {
        contrast: Some(Contrast {
            loss: contrast.loss,
            variance,
            chance: contrast.chance,
            position_chance: contrast.position_chance,
        }),
        recall,
        ..Terms::default()
    })
}

/// The contrastive loss of one scale, `[1]`, and what it is of networks that know little: see [`Contrast`].
struct Likeness {
    loss: Value,
    chance: f64,
    position_chance: Option<f64>,
}

/// NT-Xent of two views `[n, D]` of `batch` images.
fn nt_xent_of(
    model: &Model,
    tape: &mut Tape,
    scale: &Scale,
    [a, b]: [Value; 2],
    batch: usize,
    valid: Option<Value>,
) -> Result<Likeness> {
    let loss = &model.config.loss;
    let n = tape.shape(a)[0];
    let count = n / batch;
    let a = head(tape, &model.store, scale, a)?;
    let b = head(tape, &model.store, scale, b)?;
    let (a, b) = (unit(tape, a)?, unit(tape, b)?);
    let (negatives, others) = match loss.negatives {
        Negatives::Joint => (nt_xent::Negatives::Joint, 2 * n - 1),
        Negatives::PerPosition => (nt_xent::Negatives::PerPosition, 2 * batch - 1),
        Negatives::ExcludeImage => (nt_xent::Negatives::ExcludeImage, 2 * n - 2 * count + 1),
    };
    let options = nt_xent::NtXentOptions { tau: loss.tau as f32, positions: count, negatives };
    // Positions that all images share: a code of the position finds the same position of all others.
    let by_position = loss.positions == Positions::Same && loss.negatives == Negatives::Joint;
    Ok(Likeness {
        loss: nt_xent::nt_xent(tape, a, b, &options, valid)?,
        chance: (others as f64).ln(),
        position_chance: (by_position && count > 1).then(|| ((2 * batch - 1) as f64).ln()),
    })
}

/// Asks the memory with `queries` `[R, D]`. Also returns the entropy of each query's weights, 0 for
/// those of anomalies; the sum is left to the caller.
fn recall(
    model: &Model,
    tape: &mut Tape,
    scale: &Scale,
    queries: Value,
    normal: Option<Value>,
) -> Result<(Recall, Value)> {
    let steps = model.config.memory.steps_train;
    let retrieval = model.retrieve(tape, scale, queries, steps)?;
    let n = tape.shape(queries)[0];
    let entropy = of_normal(tape, retrieval.entropy, normal)?;
    let recall = Recall {
        entropy_sum: entropy,
        slot: retrieval.slot,
        normal,
        queries: n,
        features: queries,
        retrieved: retrieval.retrieved,
    };
    Ok((recall, entropy))
}

/// `values` `[R]` of queries, 0 for those of anomalies: of images where `normal` `[B]` is 0.
///
/// # Errors
/// Queries that are no multiple of the images.
pub(super) fn of_normal(tape: &mut Tape, values: Value, normal: Option<Value>) -> Result<Value> {
    let Some(normal) = normal else { return Ok(values) };
    let n = tape.len(values);
    let column = tape.reshape(values, &[n, 1])?;
    let zeros = affine::affine(tape, column, 0.0, 0.0)?;
    let chosen = select::rows(tape, column, zeros, normal, n / tape.len(normal))?;
    tape.reshape(chosen, &[n])
}

/// Adds the heads' hinge at every scale to `terms`, from its map `[V * B, H, W, D]`. In frozen training
/// nothing of the memory is reported, since nothing of it changes.
///
/// # Errors
/// Those of the operations.
pub(super) fn hinge(
    model: &Model,
    tape: &mut Tape,
    maps: &[Value],
    labels: &OnTape,
    frozen: bool,
    terms: &mut [Terms],
) -> Result<()> {
    let eta = model.config.stage2.eta as f32;
    let weights = labels.weights(tape)?;
    for ((scale, map), terms) in model.scales.iter().zip(maps).zip(terms) {
        let Some(heads) = &scale.heads else { continue };
        let [views, height, width, dim] = map_shape(tape, *map)?;
        let mut memory = None;
        if heads.asks_memory() {
            let vectors = tape.reshape(*map, &[views * height * width, dim])?;
            let z = model.space(tape, vectors)?;
            let (recall, entropy) = recall(model, tape, scale, z, Some(labels.normal_views))?;
            memory = Some([z, recall.retrieved]);
            if terms.recall.is_none() && !frozen {
                let entropy_sum = reduce::sum(tape, entropy)?;
                terms.recall = Some(Recall { entropy_sum, ..recall });
            }
        }
        let seen = Seen { map: *map, memory };
        let HeadScores { image, positions } =
            heads.record(tape, &model.store, seen, Mode::Train)?;
        if let Some(image) = image {
            let normal = labels.normal_views;
            terms.image = Some(hinge::double_hinge(tape, image, normal, eta, Some(weights))?);
        }
        if let Some(positions) = positions {
            let scores = tape.reshape(positions, &[views * height * width])?;
            let (normal, weights) = labels.positions(tape, [height, width])?;
            terms.position = Some(hinge::double_hinge(tape, scores, normal, eta, Some(weights))?);
        }
    }
    Ok(())
}

fn head(tape: &mut Tape, store: &Store, scale: &Scale, vectors: Value) -> Result<Value> {
    let Some([inner, outer]) = &scale.head else { return Ok(vectors) };
    let hidden = inner.forward(tape, store, vectors)?;
    let hidden = relu(tape, hidden)?;
    outer.forward(tape, store, hidden)
}
