//! Anomalies made of given images, to measure how well a detector knows them.

use super::feed::Feed;
use super::labels::{Composition, Labels};
use super::model::Model;
use super::scorer::Scorer;
use super::step::counters_of;
use crate::autograd::{Plan, PlanOptions, Tape};
use crate::data::{Bytes, Pixels};
use crate::gpu::Gpu;
use crate::report::Evaluator;
use crate::tensor::Element;
use crate::{Error, Result};

/// Images per step.
const BATCH: usize = 64;
/// The step that the damage's random numbers count from: none of the training.
const FIRST_STEP: u32 = 3 << 30;

/// AUROC of anomalies made of `pixels`, normal images whose scores are `normal`, against these.
///
/// # Errors
/// Faults of the GPU.
pub(super) fn made_auroc(
    gpu: &Gpu,
    model: &mut Model,
    scorer: &Scorer,
    pixels: &Pixels,
    normal: &[f32],
) -> Result<f64> {
    let made = make(gpu, model, pixels)?;
    let mut evaluator = Evaluator::new();
    normal.iter().try_for_each(|score| evaluator.add(None, *score))?;
    for chunk in made.bytes.chunks(scorer.batch() * made.image_len()) {
        for score in scorer.score(gpu, model, chunk)? {
            evaluator.add(Some("made"), score.score)?;
        }
    }
    let auroc = evaluator.finish().overall.image_auroc;
    auroc.ok_or_else(|| Error::Internal("no image to make anomalies of".into()))
}

/// An anomaly of each of `pixels`, as the configuration makes them.
fn make(gpu: &Gpu, model: &mut Model, pixels: &Pixels) -> Result<Pixels> {
    let Pixels { n, height, width, channels, .. } = *pixels;
    let len = pixels.image_len();
    let copy = |bytes: &[u8]| -> Result<Pixels> {
        let mut copied = Bytes::zeroed(bytes.len())?;
        copied.copy_from_slice(bytes);
        Ok(Pixels { n: bytes.len() / len, height, width, channels, bytes: copied })
    };
    let batch = BATCH.min(n);
    let mut feed = Feed::declare(model, "made", copy(&pixels.bytes)?, batch, gpu)?;
    let labels = Labels::declare(model, "made", batch, 1)?;
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
    let mut made = copy(&pixels.bytes)?;
    for (k, place) in made.bytes.chunks_mut(batch * len).enumerate() {
        // The last batch is filled up from the first images.
        let indices: Vec<u32> = (0..batch).map(|i| ((k * batch + i) % n) as u32).collect();
        let composition =
            Composition { made: vec![true; batch], ..Composition::normal(indices) };
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
