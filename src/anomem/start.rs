//! Before the first step: running statistics, prototypes and inverse temperatures from the data.

use super::config::{BackboneTraining, MemoryInit, MemoryKind};
use super::feed::Feed;
use super::model::{Encoded, Model};
use super::set::permutation;
use super::step::{augmentation, counters_of};
use crate::autograd::{Plan, PlanOptions, Tape, Value};
use crate::gpu::Gpu;
use crate::nn::{Group, Mode};
use crate::ops::{augment, reduce};
use crate::tensor::{Element, VarId};
use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;

/// Batches that settle the running statistics: with momentum 0.1 they then hold 96 % of the data's.
const BATCHES: usize = 30;
/// Share of each batch that goes into the running statistics, as in PyTorch.
pub(super) const STATISTICS_MOMENTUM: f32 = 0.1;
/// Normalised entropy of the retrieval weights that an automatic beta aims at: neither uniform (the
/// recollection would be the mean prototype) nor a single slot.
const WANTED_ENTROPY: f64 = 0.4;
/// Queries that an automatic beta is measured on.
const MEASURED: usize = 1024;
/// Augmentation counters of these batches: from the top, where no training step comes.
const LAST_STEP: u32 = u32::MAX;

/// The variables that the start needs.
pub(super) struct Start {
    counters: VarId,
    none: VarId,
}

/// D-vectors of one scale in the memory's space, `[rows, D]`.
type Vectors = Vec<f32>;

impl Start {
    /// Declares them.
    ///
    /// # Errors
    /// Names that exist.
    pub(super) fn declare(model: &mut Model) -> Result<Self> {
        let slab = model.store.slab("start");
        let counters = model.store.declare(slab, "start.counters", &[4], Element::U32, false)?;
        let none = model.store.declare(slab, "start.none", &[1], Element::U32, false)?;
        Ok(Self { counters, none })
    }

    /// Settles the running statistics on augmented batches, unless the encoder is frozen; then draws
    /// prototypes that are to be learned from their features and sets beta where the configuration leaves it
    /// to the data.
    ///
    /// # Errors
    /// Faults of the GPU, or features that are not finite.
    pub(super) fn run(
        &self,
        gpu: &Gpu,
        model: &mut Model,
        feed: &Feed,
        train: &[u32],
        batch: usize,
    ) -> Result<()> {
        let mut tape = Tape::forward_only(model.kernels(gpu));
        let (plan, vectors) = {
            let t = &mut tape;
            let source = feed.record(t, model)?;
            let counters = t.variable(&model.store, self.counters);
            let options = augmentation(&model.config);
            let draws = augment::draw(t, &options, counters, source.ids, 2)?;
            let x = augment::views(t, &source.images, source.slots, draws, &options)?;
            let frozen = model.config.train.backbone == BackboneTraining::Frozen;
            let mode = if frozen { Mode::Evaluate } else { Mode::Train };
            let Encoded { maps, statistics } = model.encode(t, x, 2, mode)?;
            let mut vectors: Vec<Value> = Vec::new();
            for (scale, map) in model.scales.iter().zip(maps) {
                let rows = t.len(map) / scale.dim;
                let flat = t.reshape(map, &[rows, scale.dim])?;
                vectors.push(model.space(t, flat)?);
            }
            if !frozen {
                let none = t.variable(&model.store, self.none);
                let trained = Group::Encoder..=Group::Memory;
                let (store, momentum) = (&model.store, STATISTICS_MOMENTUM);
                model.module.update_statistics(t, store, momentum, none, &trained, &statistics)?;
            }
            vectors.iter().for_each(|v| t.keep(*v));
            (model.plan(gpu, t, "start")?, vectors)
        };
        let mut queries: Vec<Vectors> = Vec::new();
        let mut candidates: Vec<Vectors> = vec![Vectors::new(); vectors.len()];
        let mut order: Vec<u32> = Vec::new();
        for k in 0..BATCHES {
            while order.len() < batch {
                order.extend(permutation(model.config.seed, usize::MAX - k, train));
            }
            let chosen: Vec<u32> = order.drain(..batch).collect();
            feed.choose(gpu, model, &chosen)?;
            let counters = counters_of(model.config.seed, LAST_STEP - k as u32);
            model.store.upload(gpu, self.counters, &counters)?;
            plan.run(gpu)?;
            // The first batch queries, the last ones are remembered: enough to choose from.
            if k == 0 {
                queries = vectors.iter().map(|v| plan.read(gpu, *v)).collect::<Result<_>>()?;
            }
            let left = BATCHES - k;
            for (i, scale) in model.scales.iter().enumerate() {
                if left <= batches_for(scale.slots, queries[i].len() / scale.dim) {
                    candidates[i].extend(plan.read::<f32>(gpu, vectors[i])?);
                }
            }
        }
        if let Some(bad) = candidates.iter().flatten().find(|v| !v.is_finite()) {
            return Err(Error::Internal(format!("the untrained network's features hold {bad}")));
        }
        if model.config.memory.kind == MemoryKind::Kmeans {
            return Ok(());
        }
        let mut random = ChaCha8Rng::seed_from_u64(model.config.seed ^ 0x0070_726f_746f_7479);
        if model.config.memory.init == MemoryInit::Data {
            for (scale, list) in model.scales.iter().zip(&candidates) {
                let rows = draw_rows(list, scale.dim, scale.slots, &mut random);
                model.store.upload(gpu, scale.prototypes, &rows)?;
            }
        }
        if model.config.memory.beta.is_none() {
            for (index, list) in queries.iter().enumerate() {
                set_beta(gpu, model, index, list)?;
            }
        }
        Ok(())
    }
}

/// Batches of `rows` features each that hold twice as many as there are `slots`, at least one.
fn batches_for(slots: usize, rows: usize) -> usize {
    (2 * slots).div_ceil(rows.max(1)).max(1)
}

/// `count` rows of `vectors` without repetition, as far as there are so many; in random order.
fn draw_rows(vectors: &[f32], dim: usize, count: usize, random: &mut ChaCha8Rng) -> Vectors {
    let rows = vectors.len() / dim;
    let mut chosen = index::sample(random, rows, count.min(rows)).into_vec();
    chosen.shuffle(random);
    let rest: Vec<usize> = chosen.iter().copied().cycle().take(count - chosen.len()).collect();
    chosen.extend(rest);
    chosen.iter().flat_map(|row| &vectors[row * dim..(row + 1) * dim]).copied().collect()
}

/// Halves the interval in log beta until the mean entropy of the last weights is as wanted; it
/// falls as beta rises.
fn set_beta(gpu: &Gpu, model: &mut Model, index: usize, vectors: &[f32]) -> Result<()> {
    let scale = &model.scales[index];
    let (dim, stage, beta) = (scale.dim, scale.stage, scale.beta);
    let rows = (vectors.len() / dim).min(MEASURED);
    let slab = model.store.slab(&format!("queries {stage}"));
    let name = format!("start.queries{stage}");
    let var = model.store.declare(slab, &name, &[rows, dim], Element::F32, false)?;
    model.store.allocate(gpu)?;
    // Spread over the batch, so that all images and positions are among them.
    let stride = vectors.len() / dim / rows;
    let spread = (0..rows).flat_map(|r| &vectors[r * stride * dim..(r * stride + 1) * dim]);
    model.store.upload(gpu, var, &spread.copied().collect::<Vec<f32>>())?;
    let mut tape = Tape::forward_only(gpu.report().kernels());
    let queries = tape.variable(&model.store, var);
    let steps = model.config.memory.steps_train;
    let retrieval = model.retrieve(&mut tape, &model.scales[index], queries, steps)?;
    let sum = reduce::sum(&mut tape, retrieval.entropy)?;
    tape.keep(sum);
    let options = PlanOptions { label: "beta".into(), ..Default::default() };
    let plan = Plan::compile(gpu, &tape, &model.store, &options)?;
    let (mut low, mut high) = (-6.0_f64, 14.0_f64);
    for _ in 0..18 {
        let middle = 0.5 * (low + high);
        model.store.upload(gpu, beta, &[middle.exp2() as f32])?;
        plan.run(gpu)?;
        let entropy = f64::from(plan.read::<f32>(gpu, sum)?[0]) / rows as f64;
        if entropy > WANTED_ENTROPY { low = middle } else { high = middle }
    }
    model.store.upload(gpu, beta, &[(0.5 * (low + high)).exp2() as f32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_twice_the_prototypes() {
        // Of maps of 8 x 8 and 4 x 4 in 32 images: what suffices for one scale does not for the other.
        assert_eq!([2048, 512].map(|rows| batches_for(1024, rows)), [1, 4]);
        assert_eq!(batches_for(1, 2048), 1);
        let vectors: Vec<f32> = (0..8).map(|v| v as f32).collect();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut rows = draw_rows(&vectors, 2, 4, &mut random);
        rows.sort_by(f32::total_cmp);
        assert_eq!(rows, vectors);
    }
}
