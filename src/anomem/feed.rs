//! Training images on their way to a step: resident on the GPU where they fit, else uploaded batch
//! by batch from main memory.

use super::config::{Pseudo, Standardise};
use super::model::Model;
use crate::autograd::{Plan, PlanOptions, Tape};
use crate::data::Pixels;
use crate::gpu::Gpu;
use crate::ops::augment::{self, Images};
use crate::tensor::{Element, Store, VarId};
use crate::{Error, Result};
use std::collections::HashMap;

/// Images that steps draw from.
pub(super) struct Feed {
    pixels: Pixels,
    /// All images, or one batch of them.
    resident: bool,
    batch: usize,
    words: VarId,
    slots: VarId,
    ids: VarId,
    /// Mean and deviation of each resident image, where images are standardised one by one or damaged.
    statistics: Option<VarId>,
}

impl Feed {
    /// Declares the variables for steps of `batch` images under names that start with `prefix`.
    /// The images stay on the GPU if they fit one binding and half of what a memory budget leaves, else each step
    /// uploads its batch.
    ///
    /// # Errors
    /// Names that exist, or an image that does not fit one binding.
    pub(super) fn declare(
        model: &mut Model,
        prefix: &str,
        pixels: Pixels,
        batch: usize,
        gpu: &Gpu,
    ) -> Result<Self> {
        // Byte offsets are u32, and Metal's limits go beyond.
        let limit = gpu.max_binding().min(gpu.max_buffer()).min(u64::from(u32::MAX));
        let bytes = |images: usize| (images * pixels.image_len()).next_multiple_of(4);
        let all = bytes(pixels.n) as u64;
        let resident = all <= limit && gpu.within_budget("images", 2 * all).is_ok();
        let held = if resident { pixels.n } else { batch };
        if bytes(held) as u64 > limit {
            return Err(Error::Limit {
                what: format!("a batch of {batch} images of {} bytes", pixels.image_len()),
                wanted: format!("{} bytes", bytes(held)),
                limit: "max_storage_buffer_binding_size".into(),
                allowed: format!("{limit} bytes"),
            });
        }
        let store = &mut model.store;
        let slab = store.slab(prefix);
        let mut declare = |what: &str, shape: &[usize], element| {
            store.declare(slab, &format!("{prefix}.{what}"), shape, element, false)
        };
        let words = declare("pixels", &[bytes(held) / 4], Element::U32)?;
        let slots = declare("slots", &[batch], Element::U32)?;
        let ids = declare("ids", &[batch], Element::U32)?;
        let measured = model.config.image.standardise == Standardise::PerImage
            || model.config.anomalies.pseudo == Pseudo::Damage;
        let statistics = match resident && measured {
            true => Some(declare("statistics", &[pixels.n, 2], Element::F32)?),
            false => None,
        };
        Ok(Self { pixels, resident, batch, words, slots, ids, statistics })
    }

    /// Whether all images stay on the GPU.
    pub(super) fn is_resident(&self) -> bool {
        self.resident
    }

    /// Uploads what stays, frees it in main memory, and measures it.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub(super) fn prepare(&mut self, gpu: &Gpu, model: &Model) -> Result<()> {
        if !self.resident {
            return Ok(());
        }
        let bytes = std::mem::replace(&mut self.pixels.bytes, Vec::new().into());
        self.upload(gpu, &model.store, &bytes)?;
        drop(bytes);
        let Some(var) = self.statistics else { return Ok(()) };
        let mut tape = Tape::new(gpu.report().kernels());
        let words = tape.variable(&model.store, self.words);
        let Pixels { n, height, width, channels, .. } = self.pixels;
        let shape = [n, height, width, channels];
        let measured = augment::image_statistics(&mut tape, words, shape)?;
        tape.place(measured, &model.store, var)?;
        let options = PlanOptions { label: "image statistics".into(), ..Default::default() };
        Plan::compile(gpu, &tape, &model.store, &options)?.run(gpu)?;
        gpu.wait_all()
    }

    fn upload(&self, gpu: &Gpu, store: &Store, bytes: &[u8]) -> Result<()> {
        let words = packed(bytes, store.variable(self.words).len());
        store.upload(gpu, self.words, &words)
    }

    /// Records the images of a step, and the ids and slots of its batch.
    ///
    /// # Errors
    /// Those of the operations.
    pub(super) fn record(&self, tape: &mut Tape, model: &Model) -> Result<Batch> {
        let store = &model.store;
        let Pixels { n, height, width, channels, .. } = self.pixels;
        let held = if self.resident { n } else { self.batch };
        let shape = [held, height, width, channels];
        let words = tape.variable(store, self.words);
        let measured = self.statistics.map(|var| tape.variable(store, var));
        Ok(Batch {
            images: model.images(tape, words, shape, measured)?,
            statistics: measured,
            slots: tape.variable(store, self.slots),
            ids: tape.variable(store, self.ids),
        })
    }

    /// Makes the images `indices` the next step's batch.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub(super) fn choose(&self, gpu: &Gpu, model: &Model, indices: &[u32]) -> Result<()> {
        let store = &model.store;
        store.upload(gpu, self.ids, &ids_of(indices, self.pixels.n))?;
        if self.resident {
            return store.upload(gpu, self.slots, indices);
        }
        let mut bytes = Vec::with_capacity(indices.len() * self.pixels.image_len());
        for &index in indices {
            bytes.extend_from_slice(self.pixels.image(index as usize));
        }
        self.upload(gpu, store, &bytes)?;
        let slots: Vec<u32> = (0..indices.len() as u32).collect();
        store.upload(gpu, self.slots, &slots)
    }
}

/// What a step draws from.
pub(super) struct Batch {
    /// The images held.
    pub images: Images,
    /// f32 `[N, 2]`: mean and deviation of each, where they have been measured.
    pub statistics: Option<crate::autograd::Value>,
    /// u32 `[B]`: where each image of the batch is held.
    pub slots: crate::autograd::Value,
    /// u32 `[B]`: what its random numbers go by, different for each; that of the set's image, if it is there once.
    pub ids: crate::autograd::Value,
}

/// The number of each image of a batch, and where one of a set of `n` comes again, another one: so that it is not
/// augmented, or damaged, as before.
fn ids_of(indices: &[u32], n: usize) -> Vec<u32> {
    let mut times: HashMap<u32, u32> = HashMap::new();
    let id = |index: &u32| {
        let before = times.entry(*index).or_default();
        let id = before.wrapping_mul(n as u32).wrapping_add(*index);
        *before += 1;
        id
    };
    indices.iter().map(id).collect()
}

/// Four bytes to a word, `words` of them, zeros behind the last byte.
pub(super) fn packed(bytes: &[u8], words: usize) -> Vec<u32> {
    let mut list = vec![0_u32; words];
    bytemuck::cast_slice_mut::<u32, u8>(&mut list)[..bytes.len()].copy_from_slice(bytes);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_comes_again_has_another_number() {
        assert_eq!(ids_of(&[4, 2, 4, 0, 4, 2], 5), [4, 2, 9, 0, 14, 7]);
    }
}
