//! Whole trainings on made-up surfaces, a few steps each, and scoring with what they leave.

use super::{StepRow, sized};
use crate::anomem::{
    Config, EpochRecord, Observer, Phase, RunFolder, Scorer, TrainOptions, TrainingSet, train,
};
use crate::data::synth::{SynthOptions, generate};
use crate::data::{DataSpec, Dataset};
use crate::gpu::{AdapterClass, Gpu};
use crate::{Error, Result};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A training to be measured.
pub(super) struct Training {
    /// What rows are called.
    pub name: &'static str,
    preset: &'static str,
    settings: Vec<String>,
    /// Images of a step.
    batch: usize,
    /// Side of the images.
    size: usize,
}

/// Steps of an epoch; two epochs are trained, of which the first warms up.
const STEPS: usize = 4;

/// Every training, at batches for an adapter of this class.
pub(super) fn all(class: AdapterClass) -> Vec<Training> {
    let batch = sized(class, 32, 256);
    let training = |name, preset, batch, size, settings: &[&str]| Training {
        name,
        preset,
        settings: settings.iter().map(|s| (*s).to_owned()).collect(),
        batch,
        size,
    };
    vec![
        training("step tiny 64px", "tiny", batch, 64, &[]),
        training(
            "step tiny 64px, the paper's stages",
            "tiny",
            batch,
            64,
            &["stage2.training=frozen", "stage2.contrast_weight=1.0"],
        ),
        training("step resnet18 32px", "resnet18", batch, 32, &[]),
    ]
}

/// What the epochs of a training said.
struct Heard<'a> {
    gpu: &'a Gpu,
    /// The last record of each phase, and the bytes on the adapter.
    records: Vec<(EpochRecord, u64)>,
    begin: Instant,
    first: Option<Duration>,
}

impl Observer for Heard<'_> {
    fn advance(&mut self, what: &'static str, _: u64, _: u64) {
        if what == "training" {
            let elapsed = self.begin.elapsed();
            self.first.get_or_insert(elapsed);
        }
    }
    fn epoch(&mut self, record: &EpochRecord, _: usize) {
        self.records.retain(|(r, _)| r.phase != record.phase);
        self.records.push((record.clone(), self.gpu.counters().live_bytes));
    }
    fn note(&mut self, _: &str) {}
    fn warn(&mut self, _: &str) {}
}

/// A folder that goes with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("anomem-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| Error::file(&path, e))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Trains for a few steps and scores the images: a row for each phase and one for scoring.
///
/// # Errors
/// Settings that do not fit the adapter, faults of the GPU, no room for the images.
pub(super) fn measure(gpu: &Gpu, training: &Training) -> Result<Vec<StepRow>> {
    let Training { name, preset, settings, batch, size } = training;
    let scratch = Scratch::new()?;
    let data = scratch.0.join("surfaces");
    let options = SynthOptions {
        size: *size,
        train_good: STEPS * batch,
        test_good: 1,
        per_defect: 1,
        ..Default::default()
    };
    generate(&data, &options, false, &|_, _| {})?;
    let mut config = Config::preset(preset)?;
    let own = [
        format!("image.size={size}"),
        format!("train.batch={batch}"),
        "train.epochs=2".to_owned(),
        "train.least_steps=0".to_owned(),
        "score.held_out=0.0".to_owned(),
        format!("stage2.steps={}", 2 * STEPS),
    ];
    own.iter().chain(settings).try_for_each(|setting| config.set(setting))?;
    config.validate()?;
    let spec = DataSpec::plain(data.join("train").join("good"));
    let dataset = Dataset::open(&spec, &Default::default())?;
    let (set, _) = TrainingSet::load(&config, &dataset, false, &|_, _| {})?;
    let pixels = set.pixels.chosen(&(0..set.pixels.n as u32).collect::<Vec<_>>())?;
    let folder = RunFolder(scratch.0.join("run"));
    let mut heard = Heard { gpu, records: Vec::new(), begin: Instant::now(), first: None };
    let options = TrainOptions { resume: false, init: None };
    let mut model = train(gpu, &config, set, &folder, options, None, &mut heard)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let first = heard.first.map(|time| time.as_secs_f64());
    let mut rows: Vec<StepRow> = heard
        .records
        .iter()
        .map(|(record, bytes)| {
            let what = match record.phase {
                Phase::Stage1 => "stage 1",
                Phase::Joint => "both stages together",
                Phase::Stage2 => "stage 2",
            };
            let rate = record.images_per_second;
            StepRow {
                name: format!("{name}: {what}"),
                batch: *batch,
                seconds: *batch as f64 / rate,
                images_per_second: rate,
                host_share: Some(record.host_seconds / record.seconds),
                first_seconds: first.filter(|_| record.phase != Phase::Stage2),
                mib: mib(*bytes),
            }
        })
        .collect();
    let scorer = Scorer::new(gpu, &mut model, "bench")?;
    let one_batch = scorer.batch() * pixels.image_len();
    let chunk = &pixels.bytes[..one_batch.min(pixels.bytes.len())];
    scorer.score(gpu, &model, chunk)?;
    let start = Instant::now();
    let scored = scorer.scores(gpu, &model, &pixels)?.len();
    let seconds = start.elapsed().as_secs_f64();
    rows.push(StepRow {
        name: format!("{name}: scoring"),
        batch: scorer.batch(),
        seconds: seconds * scorer.batch() as f64 / scored as f64,
        images_per_second: scored as f64 / seconds,
        host_share: None,
        first_seconds: None,
        mib: mib(gpu.counters().live_bytes),
    });
    Ok(rows)
}
