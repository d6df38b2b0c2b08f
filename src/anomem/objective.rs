//! Stage 1, contrasted memory: the loss of one step (eqs. 3 to 7).

use super::config::{Negatives, Positions};
use super::model::{Model, Scale, unit};
use crate::autograd::{Tape, Value};
use crate::ops::{activation::relu, gather, nt_xent, reduce, variance};
use crate::tensor::{Element, Store, VarId};
use crate::{Error, Result};

/// Random draws of different purpose never share a counter; augmentation uses the numbers below.
const PURPOSE_POSITIONS: u32 = 64;

/// Points up to half a cell from a cell's centre belong to it: those inside the other view.
const INSIDE: f32 = 0.5;

/// What one scale contributes to a step, each `[1]` unless said otherwise.
pub struct Terms {
    /// L_CM, eqs. 4-5.
    pub contrast: Value,
    /// L_V, eq. 6.
    pub variance: Value,
    /// Variance of the retrieved vectors, summed over their components.
    pub spread: Value,
    /// Sum over the queries of the normalised entropy of their retrieval weights.
    pub entropy_sum: Value,
    /// u32 `[queries]`: the slot of greatest weight.
    pub slot: Value,
    /// Queries, so many that [`Self::entropy_sum`] is a mean after division.
    pub queries: usize,
    /// The loss of a network that knows nothing.
    pub chance: f64,
    /// The loss of a network that tells positions apart but not images, where that is less.
    pub position_chance: Option<f64>,
    /// `[queries, D]`: the features in the memory's space.
    pub features: Value,
    /// `[queries, D]`: their recollections.
    pub retrieved: Value,
}

/// The weights of the loss terms, constant during training.
pub struct Weights(Vec<[VarId; 2]>);

impl Weights {
    /// Declares lambda_s and lambda_s * lambda_V per scale.
    ///
    /// # Errors
    /// Names that exist.
    pub fn declare(model: &mut Model) -> Result<Self> {
        let slab = model.store.slab("loss weights");
        let mut list = Vec::new();
        for scale in &model.scales {
            let name = |what: &str| format!("weight.{what}.{}", scale.stage);
            let mut one = |what| model.store.declare(slab, &name(what), &[1], Element::F32, false);
            list.push([one("contrast")?, one("variance")?]);
        }
        Ok(Self(list))
    }

    /// Writes the configuration's values.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub fn upload(&self, gpu: &crate::gpu::Gpu, model: &Model) -> Result<()> {
        let loss = &model.config.loss;
        for (vars, lambda) in self.0.iter().zip(&loss.scale_weights) {
            model.store.upload(gpu, vars[0], &[*lambda as f32])?;
            model.store.upload(gpu, vars[1], &[(lambda * loss.variance_weight) as f32])?;
        }
        Ok(())
    }

    /// Pairs each loss term with its weight: the seeds of the backward pass.
    pub fn seeds(&self, tape: &mut Tape, store: &Store, terms: &[Terms]) -> Vec<(Value, Value)> {
        let mut seeds = Vec::new();
        for (vars, t) in self.0.iter().zip(terms) {
            seeds.push((t.contrast, tape.variable(store, vars[0])));
            seeds.push((t.variance, tape.variable(store, vars[1])));
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

/// Records the terms of every scale from its map `[2B, H, W, D]`, the first view's images first.
///
/// # Errors
/// Those of the operations.
pub fn record(
    model: &Model,
    tape: &mut Tape,
    maps: &[Value],
    pairs: &[Pairs],
) -> Result<Vec<Terms>> {
    let parts = model.scales.iter().zip(maps).zip(pairs);
    parts.map(|((scale, map), pairs)| one_scale(model, tape, scale, *map, pairs)).collect()
}

fn one_scale(
    model: &Model,
    tape: &mut Tape,
    scale: &Scale,
    map: Value,
    pairs: &Pairs,
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

    // Only the first branch passes the memory (eq. 3); every image is normal.
    let queries = model.space(tape, z1)?;
    let retrieval = model.retrieve(tape, scale, queries, model.config.memory.steps_train)?;
    let target = model.config.variance_target(dim) as f32;
    let variance = variance::variance_loss(tape, retrieval.retrieved, target, None)?;
    let a = head(tape, &model.store, scale, retrieval.retrieved)?;
    let b = head(tape, &model.store, scale, z2)?;
    let (a, b) = (unit(tape, a)?, unit(tape, b)?);
    let (negatives, others) = match loss.negatives {
        Negatives::Joint => (nt_xent::Negatives::Joint, 2 * n - 1),
        Negatives::PerPosition => (nt_xent::Negatives::PerPosition, 2 * batch - 1),
        Negatives::ExcludeImage => (nt_xent::Negatives::ExcludeImage, 2 * n - 2 * count + 1),
    };
    let options = nt_xent::NtXentOptions { tau: loss.tau as f32, positions: count, negatives };
    let contrast = nt_xent::nt_xent(tape, a, b, &options, pairs.valid)?;
    let entropy_sum = reduce::sum(tape, retrieval.entropy)?;
    // Positions that all images share: a code of the position finds the same position of all others.
    let by_position = loss.positions == Positions::Same && loss.negatives == Negatives::Joint;
    let position_chance = (by_position && count > 1).then(|| ((2 * batch - 1) as f64).ln());
    Ok(Terms {
        contrast,
        variance: variance.loss,
        spread: variance.total,
        entropy_sum,
        slot: retrieval.slot,
        queries: n,
        chance: (others as f64).ln(),
        position_chance,
        features: queries,
        retrieved: retrieval.retrieved,
    })
}

fn head(tape: &mut Tape, store: &Store, scale: &Scale, vectors: Value) -> Result<Value> {
    let Some([inner, outer]) = &scale.head else { return Ok(vectors) };
    let hidden = inner.forward(tape, store, vectors)?;
    let hidden = relu(tape, hidden)?;
    outer.forward(tape, store, hidden)
}
