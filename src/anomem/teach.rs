//! Teaching a trained detector the anomalies that it missed: stage 2 alone, on a frozen encoder.

use super::checkpoint::Checkpoint;
use super::config::{Config, HeadKind, Pseudo, Stage2Training};
use super::made::{auroc, make};
use super::model::Model;
use super::scorer::Scorer;
use super::set::{Divided, Marks, TrainingSet, permutation};
use super::trainer::{Observer, RunFolder, train_heads};
use crate::data::Pixels;
use crate::gpu::Gpu;
use crate::{Error, Result};
use serde::Serialize;

/// One in so many of the anomalies is not taught, to measure on.
const KEPT_BACK: usize = 5;

/// How well a detector tells anomalies from normal images; AUROC, 0 to 1, of tiles where images are cut.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Knowledge {
    /// Anomalies of the set that was taught, kept back; absent where there were too few.
    pub taught: Option<f64>,
    /// Anomalies made of normal images: what it has not been taught. Absent where none could be made that shows,
    /// of images of one value.
    pub made: Option<f64>,
}

/// What teaching changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Taught {
    /// Before.
    pub before: Knowledge,
    /// After.
    pub after: Knowledge,
    /// Images that were taught.
    pub anomalies: usize,
    /// Anomalies that were kept back.
    pub kept_back: usize,
    /// Normal images that they were compared with.
    pub normals: usize,
    /// Whether none of those was trained on.
    pub normals_unseen: bool,
}

/// The configuration that teaching a model of `config` needs.
#[must_use]
pub fn teaching(mut config: Config) -> Config {
    let scales = config.memory.scales.len();
    let stage2 = &mut config.stage2;
    if stage2.head == HeadKind::None {
        stage2.head = HeadKind::Image;
    }
    if stage2.grid.len() != scales {
        // Early maps are averaged to a small grid, the last to a point.
        stage2.grid = (1..=scales).map(|scale| if scale == scales { 1 } else { 2 }).collect();
    }
    stage2.training = Stage2Training::Frozen;
    config
}

/// Teaches the model `known` the last `set.anomalies` images of `set`, whose others are normal, and writes
/// the taught model, which is returned too, into the run folder. `config` is [`teaching`] of the model's.
///
/// # Errors
/// A set without anomalies or without normal images, faults of the GPU, files that cannot be written.
pub fn teach(
    gpu: &Gpu,
    known: &Checkpoint,
    config: Config,
    set: TrainingSet,
    folder: &RunFolder,
    observer: &mut dyn Observer,
) -> Result<(Model, Taught)> {
    if set.anomalies == 0 || set.pixels.n - set.anomalies < 2 {
        return Err(Error::Usage(format!(
            "{}: {} normal images and {} anomalies to teach; expected at least 2 and 1",
            set.spec,
            set.pixels.n - set.anomalies,
            set.anomalies
        )));
    }
    set.check_marks(config.stage2.head)?;
    let is_calibrated = set.is_calibrated();
    let mut images = Divided::of(&config, set)?;
    let Divided { set, split, held_out } = &mut images;
    if !is_calibrated && set.normals != known.facts.progress.normals {
        held_out.unseen = false;
        observer.warn(
            "normal images: others than the model was trained on, so that some of those kept back were trained on, \
             perhaps; there will be no verdicts. Give the same, or unseen ones with --calibrate",
        );
    }
    // By image, as normal ones: tiles of one show the same defect.
    let marks = set.marks.as_ref();
    let all: Vec<u32> = (0..marks.map_or(0, Marks::images) as u32).collect();
    let order = permutation(config.seed, usize::MAX / 4, &all);
    let (kept_back, taught) = order.split_at(order.len() / KEPT_BACK);
    let places = |chosen: &[u32]| marks.map_or(Vec::new(), |marks| marks.places_of(chosen));
    split.anomalies = places(taught);
    split.anomalies.sort_unstable();
    let (kept, normals) =
        (set.pixels.chosen(&places(kept_back))?, held_out.pixels.chosen(&every(&held_out.pixels))?);
    let pseudo = match config.anomalies.pseudo {
        Pseudo::None => Pseudo::Damage,
        pseudo => pseudo,
    };
    let (anomalies, kept_back) = (taught.len(), kept_back.len());
    let (normal_images, normals_unseen) = (held_out.images(), held_out.unseen);
    let mut old = known.load(gpu)?;
    let made = make(gpu, &mut old, &normals, pseudo)?;
    let before = knowledge(gpu, &mut old, [&normals, &kept, &made])?;
    let mut new = train_heads(gpu, known, config, images, folder, observer)?;
    let after = knowledge(gpu, &mut new, [&normals, &kept, &made])?;
    Ok((
        new,
        Taught { before, after, anomalies, kept_back, normals: normal_images, normals_unseen },
    ))
}

/// The numbers of all images.
fn every(pixels: &Pixels) -> Vec<u32> {
    (0..pixels.n as u32).collect()
}

fn knowledge(
    gpu: &Gpu,
    model: &mut Model,
    [normals, kept, made]: [&Pixels; 3],
) -> Result<Knowledge> {
    let scorer = Scorer::new(gpu, model, "knowledge")?;
    let of = |pixels: &Pixels| scorer.scores(gpu, model, pixels);
    let normal = of(normals)?;
    Ok(Knowledge { taught: auroc(&normal, &of(kept)?)?, made: auroc(&normal, &of(made)?)? })
}
