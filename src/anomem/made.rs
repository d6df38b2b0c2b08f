//! Anomalies made of given images, to measure how well a detector knows them; no label is needed for it.

use super::config::Pseudo;
use super::feed::Feed;
use super::labels::{Composition, Labels};
use super::model::Model;
use super::step::counters_of;
use crate::Result;
use crate::autograd::{Plan, PlanOptions, Tape};
use crate::data::Pixels;
use crate::gpu::Gpu;
use crate::report::Evaluator;
use crate::tensor::Element;

/// Images per step.
const BATCH: usize = 64;
/// Anomalies to make at least, so that few images make no chance figure.
const LEAST: usize = 256;
/// The step that the damage's random numbers count from: none of the training.
const FIRST_STEP: u32 = 3 << 30;

/// AUROC of images that score `anomalous` against those that score `normal`, 0 to 1; none where there are none of
/// either.
///
/// # Errors
/// A score is NaN.
pub(super) fn auroc(normal: &[f32], anomalous: &[f32]) -> Result<Option<f64>> {
    let mut evaluator = Evaluator::new();
    normal.iter().try_for_each(|score| evaluator.add(None, *score))?;
    anomalous.iter().try_for_each(|score| evaluator.add(Some("anomalous"), *score))?;
    Ok(evaluator.finish().overall.image_auroc)
}

/// Anomalies of `pixels`, of each as many as it takes for 256; without damage that can hardly be seen, which may
/// leave none.
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
    let labels = Labels::declare(model, "made", [batch, 1], pseudo, None)?;
    let slab = model.store.slab("made counters");
    let counters = model.store.declare(slab, "made.counters", &[4], Element::U32, false)?;
    model.store.allocate(gpu)?;
    feed.prepare(gpu, model)?;
    let mut tape = Tape::new(gpu.report().kernels());
    let t = &mut tape;
    let source = feed.record(t, model)?;
    let drawn = t.variable(&model.store, counters);
    let (images, _, damaged) = labels.record(t, model)?.make(t, model, &source, drawn)?;
    t.keep(images.pixels);
    let seen = damaged.map(|damaged| damaged.seen);
    seen.iter().for_each(|seen| t.keep(*seen));
    let options = PlanOptions { label: "made anomalies".into(), ..Default::default() };
    let plan = Plan::compile(gpu, t, &model.store, &options)?;
    labels.settle(gpu, model)?;
    let count = n * LEAST.div_ceil(n);
    let image_of = |i: usize| (i % n) as u32;
    let mut made = pixels.chosen(&(0..count).map(image_of).collect::<Vec<_>>())?;
    let mut shown = Vec::new();
    for (k, place) in made.bytes.chunks_mut(batch * len).enumerate() {
        // No image twice, which would be damaged alike. The last batch is filled up from the first images.
        let first = k * batch;
        let indices: Vec<u32> = (first..first + batch).map(image_of).collect();
        let composition = Composition { made: vec![true; batch], ..Composition::normal(indices) };
        feed.choose(gpu, model, &composition.indices)?;
        labels.upload(gpu, model, &composition)?;
        let seed = model.config.seed;
        model.store.upload(gpu, counters, &counters_of(seed, FIRST_STEP + k as u32))?;
        plan.run(gpu)?;
        let words: Vec<u32> = plan.read(gpu, images.pixels)?;
        place.copy_from_slice(&bytemuck::cast_slice(&words)[..place.len()]);
        let seen = match seen {
            Some(seen) => plan.read(gpu, seen)?,
            None => vec![1.0_f32; batch],
        };
        let all = (first..count).zip(&seen);
        shown.extend(all.filter(|(_, seen)| **seen != 0.0).map(|(i, _)| i as u32));
    }
    made.chosen(&shown)
}
