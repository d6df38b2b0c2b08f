//! `memory.revive`: prototypes that no query recalled first for a whole epoch start anew from
//! features that the memory recalls badly.

use super::config::Config;
use super::model::{Model, Scale};
use super::objective::{Recall, Terms, of_normal};
use crate::autograd::{Plan, Tape, Value};
use crate::gpu::Gpu;
use crate::ops::deviation;
use crate::tensor::VarId;
use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

/// What a step keeps of one scale.
pub(super) struct Revival {
    /// `[queries, D]`.
    features: Value,
    /// `[queries]`: norm of feature minus recollection, 0 for anomalies, which are not to be remembered.
    norms: Value,
}

impl Revival {
    /// Records what is needed, nothing where the configuration does not ask for it.
    ///
    /// # Errors
    /// Those of the operations.
    pub(super) fn record(config: &Config, tape: &mut Tape, terms: &[Terms]) -> Result<Vec<Self>> {
        if !config.memory.revive {
            return Ok(Vec::new());
        }
        terms
            .iter()
            .filter_map(|t| t.recall)
            .map(|Recall { features, retrieved, normal, .. }| {
                let norms = deviation::norms(tape, features, retrieved)?;
                let norms = of_normal(tape, norms, normal)?;
                tape.keep(features);
                tape.keep(norms);
                Ok(Self { features, norms })
            })
            .collect()
    }

    /// Replaces the prototypes of `scale` that `used` (u32 `[M]`) does not mark by features of the
    /// last step, drawn without repetition with probabilities that follow their squared deviation
    /// (as k-means++ draws centres; Arthur and Vassilvitskii 2007), and takes their momentum away.
    /// Returns how many.
    ///
    /// # Errors
    /// Faults of the GPU.
    pub(super) fn run(
        &self,
        gpu: &Gpu,
        model: &Model,
        plan: &Plan,
        scale: &Scale,
        used: VarId,
        seed: u64,
    ) -> Result<usize> {
        let used: Vec<u32> = model.store.download(gpu, used)?;
        let norms: Vec<f32> = plan.read(gpu, self.norms)?;
        let slots: Vec<usize> = (0..used.len()).filter(|slot| used[*slot] == 0).collect();
        let rows = draw(&norms, slots.len(), seed);
        if rows.is_empty() {
            return Ok(0);
        }
        let features: Vec<f32> = plan.read(gpu, self.features)?;
        let parameter = model.module.parameters.iter().find(|p| p.value == scale.prototypes);
        let velocity = parameter.map(|p| p.velocity).ok_or_else(|| {
            Error::Internal(format!("stage {}: its prototypes are no parameter", scale.stage))
        })?;
        let mut prototypes: Vec<f32> = model.store.download(gpu, scale.prototypes)?;
        let mut momentum: Vec<f32> = model.store.download(gpu, velocity)?;
        for (slot, row) in slots.iter().zip(&rows) {
            let place = slot * scale.dim..(slot + 1) * scale.dim;
            let feature = &features[row * scale.dim..(row + 1) * scale.dim];
            prototypes[place.clone()].copy_from_slice(feature);
            momentum[place].fill(0.0);
        }
        model.store.upload(gpu, scale.prototypes, &prototypes)?;
        model.store.upload(gpu, velocity, &momentum)?;
        Ok(rows.len())
    }
}

/// Up to `count` rows without repetition, none whose deviation is 0 or not finite.
fn draw(norms: &[f32], count: usize, seed: u64) -> Vec<usize> {
    let weight = |row: usize| {
        let norm = f64::from(norms[row]);
        if norm.is_finite() { norm * norm } else { 0.0 }
    };
    let possible = (0..norms.len()).filter(|row| weight(*row) > 0.0).count();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    index::sample_weighted(&mut random, norms.len(), weight, count.min(possible))
        .map(index::IndexVec::into_vec)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn badly_recalled_rows_are_drawn_and_none_twice() {
        let norms = [0.0, 3.0, f32::NAN, 0.1, 0.0, 0.1];
        let mut first = [0; 6];
        for seed in 0..200 {
            let rows = draw(&norms, 2, seed);
            assert!(rows.len() == 2 && rows[0] != rows[1], "{rows:?}");
            rows.iter().for_each(|row| first[*row] += 1);
        }
        // Row 1 weighs 9 of 9.02, so nearly every draw holds it.
        assert!(first[1] > 190 && first[0] + first[2] + first[4] == 0, "{first:?}");
        let mut all = draw(&norms, 6, 1);
        all.sort_unstable();
        assert_eq!(all, [1, 3, 5]);
        assert!(draw(&norms, 0, 1).is_empty());
    }
}
