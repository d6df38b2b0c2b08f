//! Anomalies made of given images, to measure how well a detector knows them; no label is needed for it.

use super::config::Pseudo;
use super::feed::Feed;
use super::labels::{Composition, Labels};
use super::model::Model;
use super::step::counters_of;
use crate::autograd::{Plan, PlanOptions, Tape};
use crate::data::Pixels;
use crate::gpu::Gpu;
use crate::report::Evaluator;
use crate::tensor::Element;
use crate::{Error, Result};

/// Images per step.
const BATCH: usize = 64;
/// The step that the damage's random numbers count from: none of the training.
const FIRST_STEP: u32 = 3 << 30;

/// AUROC of images that score `anomalous` against those that score `normal`, 0 to 1.
///
/// # Errors
/// One side is empty, or a score is NaN.
pub(super) fn auroc(normal: &[f32], anomalous: &[f32]) -> Result<f64> {
    let mut evaluator = Evaluator::new();
    normal.iter().try_for_each(|score| evaluator.add(None, *score))?;
    anomalous.iter().try_for_each(|score| evaluator.add(Some("anomalous"), *score))?;
    let auroc = evaluator.finish().overall.image_auroc;
    auroc.ok_or_else(|| Error::Internal("an AUROC of no images".into()))
}

/// An anomaly of each of `pixels`.
///
/// # Errors
/// Faults of the GPU.
pub(super) fn make(
    gpu: &Gpu,
    model: &mut Model,
    pixels: &Pixels,
    pseudo: Pseudo,
) -> Result<Pixels> {
    let (n, len) = (pixels.n, pixels.image_len());
    let all: Vec<u32> = (0..n as u32).collect();
    let batch = BATCH.min(n);
    let mut feed = Feed::declare(model, "made", pixels.chosen(&all)?, batch, gpu)?;
    let labels = Labels::declare(model, "made", batch, 1, pseudo)?;
    let slab = model.store.slab("made counters");
    let counters = model.store.declare(slab, "made.counters", &[4], Element::U32, false)?;
    model.store.allocate(gpu)?;
    feed.prepare(gpu, model)?;
    let mut tape = Tape::new(gpu.report().variant());
    let t = &mut tape;
    let source = feed.record(t, model)?;
    let drawn = t.variable(&model.store, counters);
    let (images, ..) = labels.record(t, model).make(t, model, &source, drawn)?;
    t.keep(images.pixels);
    let options = PlanOptions { label: "made anomalies".into(), ..Default::default() };
    let plan = Plan::compile(gpu, t, &model.store, &options)?;
    labels.settle(gpu, model)?;
    let mut made = pixels.chosen(&all)?;
    for (k, place) in made.bytes.chunks_mut(batch * len).enumerate() {
        // The last batch is filled up from the first images.
        let indices: Vec<u32> = (0..batch).map(|i| ((k * batch + i) % n) as u32).collect();
        let composition = Composition { made: vec![true; batch], ..Composition::normal(indices) };
        feed.choose(gpu, model, &composition.indices)?;
        labels.upload(gpu, model, &composition)?;
        let seed = model.config.seed;
        model.store.upload(gpu, counters, &counters_of(seed, FIRST_STEP + k as u32))?;
        plan.run(gpu)?;
        let words: Vec<u32> = plan.read(gpu, images.pixels)?;
        place.copy_from_slice(&bytemuck::cast_slice(&words)[..place.len()]);
    }
    Ok(made)
}
