//! `anomem report`, and the pages that `train` and `test` leave in a run folder.

use super::progress::Progress;
use crate::anomem::{
    Checkpoint, Config, EpochRecord, Facts, Glimpse, Journal, Judged, Model, Phase, RunFolder,
    ScaleRecord, Scorer, score_samples,
};
use crate::autograd::Precision;
use crate::data::{DEFAULT_MAX_PIXELS, Sample};
use crate::gpu::Gpu;
use crate::report::chart::{Axis, Level, Lines, Series};
use crate::report::heatmap::{Example, Range};
use crate::report::page::{Curves, Learned, Page, Scored, Shown, Tested, Threshold, keep, kept};
use crate::report::{Judge, Metrics, Picture};
use crate::{Error, Result};
use clap::Args;
use std::collections::HashMap;
use std::path::PathBuf;

/// Images shown of each sort of error, and of finds.
const ERRORS: usize = 6;
const FINDS: usize = 4;
/// Pixels to a side of their pictures.
const SIDE: usize = 192;

/// Write a run's report.html anew: curves, scores, pictures, settings.
///
/// The page needs no other file and no network. `train` and `test` write it by themselves; during a
/// training this shows how far it has come.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  anomem report runs/tiles")]
pub(super) struct Report {
    /// Run folder of `anomem train`.
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

impl Report {
    pub(super) fn run(self) -> Result<()> {
        let folder = RunFolder(self.run);
        page(&folder)?.write(folder.report())?;
        super::print(&format!("{}\n", folder.report().display()))
    }
}

/// Writes the page of a training that ended; that it cannot be made is no fault of the training.
pub(super) fn after_training(
    gpu: &Gpu,
    model: &mut Model,
    glimpse: Result<Glimpse>,
    folder: &RunFolder,
    progress: &Progress,
) {
    let written = || {
        keep(folder.learned(), &glimpse?.learned(gpu, model)?)?;
        page(folder)?.write(folder.report())
    };
    tell(written(), folder, progress);
}

/// A model on labelled images, and what came out.
pub(super) struct Outcome<'a> {
    pub(super) model: &'a Model,
    pub(super) scorer: &'a Scorer,
    pub(super) samples: &'a [Sample],
    /// The set, as it was named.
    pub(super) data: String,
    /// Epochs that the model was trained for.
    pub(super) epoch: usize,
    pub(super) metrics: &'a Metrics,
    pub(super) judged: &'a [Judged],
}

/// Writes the page of a run whose model was tested; that it cannot be made is no fault of the test.
pub(super) fn after_test(
    gpu: &Gpu,
    outcome: &Outcome<'_>,
    folder: &RunFolder,
    progress: &mut Progress,
) {
    let written = outcome.tested(gpu, progress).and_then(|tested| {
        keep(folder.tested(), &tested)?;
        page(folder)?.write(folder.report())
    });
    tell(written, folder, progress);
}

fn tell(written: Result<()>, folder: &RunFolder, progress: &Progress) {
    progress.ui().note(&match written {
        Ok(()) => format!("report: {}", folder.report().display()),
        Err(error) => format!("warning: no report was written: {error}"),
    });
}

impl Outcome<'_> {
    fn tested(&self, gpu: &Gpu, progress: &mut Progress) -> Result<Tested> {
        let ranked = |anomalous: bool, highest_first: bool| {
            let mut list: Vec<&Judged> =
                self.judged.iter().filter(|j| j.anomalous == anomalous).collect();
            list.sort_by(|a, b| a.score.total_cmp(&b.score));
            if highest_first {
                list.reverse();
            }
            list
        };
        let (mut misses, mut alarms) = (ranked(true, false), ranked(false, true));
        let mut finds = ranked(true, true);
        // No image is both missed and found.
        finds.truncate(FINDS.min(finds.len() / 2));
        misses.truncate(ERRORS.min(misses.len() - finds.len()));
        alarms.truncate(ERRORS);
        let chosen: Vec<&Judged> = [misses.as_slice(), &alarms, &finds].concat();
        let drawn = self.draw(gpu, &chosen, progress)?;
        let pictures = |list: &[&Judged]| -> Vec<Shown> {
            list.iter().filter_map(|judged| drawn.get(judged.name.as_str()).cloned()).collect()
        };
        let rate = self.model.config.score.max_false_alarms;
        let normal = &self.model.normal_scores;
        let threshold = (!normal.is_empty()).then(|| Threshold {
            score: Judge::new(normal, rate).threshold(),
            rate,
            held_out: normal.len(),
        });
        Ok(Tested {
            data: self.data.clone(),
            epoch: self.epoch,
            metrics: self.metrics.clone(),
            scores: self.judged.iter().map(scored).collect(),
            threshold,
            misses: pictures(&misses),
            alarms: pictures(&alarms),
            finds: pictures(&finds),
        })
    }

    /// Scores the images again, for their heat maps: keeping all of them would need much memory.
    fn draw(
        &self,
        gpu: &Gpu,
        chosen: &[&Judged],
        progress: &mut Progress,
    ) -> Result<HashMap<String, Shown>> {
        let by_name: HashMap<&str, &Judged> =
            chosen.iter().map(|judged| (judged.name.as_str(), *judged)).collect();
        let wanted = self.samples.iter().filter(|s| by_name.contains_key(s.name.as_str()));
        let samples: Vec<Sample> = wanted.cloned().collect();
        let [low, high] = self.model.heat_range;
        let mut drawn = HashMap::new();
        score_samples(
            gpu,
            self.model,
            self.scorer,
            &samples,
            false,
            progress,
            |sample, _, score| {
                let Some(judged) = by_name.get(sample.name.as_str()) else { return Ok(()) };
                let image = sample.decode(DEFAULT_MAX_PIXELS)?;
                let mask = sample.decode_mask(DEFAULT_MAX_PIXELS)?;
                let example = Example { image: &image, map: score.map()?, mask: mask.as_ref() };
                let [image, heat, mask] = example.pictures(Range { low, high }, SIDE)?;
                let picture = |raster: Option<_>| raster.as_ref().map(Picture::of).transpose();
                if let (Some(image), Some(heat)) = (picture(image)?, picture(heat)?) {
                    let shown = Shown { scored: scored(judged), image, heat, mask: picture(mask)? };
                    drawn.insert(sample.name.clone(), shown);
                }
                Ok(())
            },
        )?;
        Ok(drawn)
    }
}

fn scored(judged: &Judged) -> Scored {
    let Judged { name, kind, anomalous, score, .. } = judged;
    Scored { name: name.clone(), kind: kind.clone(), anomalous: *anomalous, score: *score }
}

/// What a run folder tells.
fn page(folder: &RunFolder) -> Result<Page> {
    let model = folder.model();
    let facts = if model.exists() { Some(Checkpoint::read(&model)?.facts) } else { None };
    let path = folder.config();
    let config = match (&facts, std::fs::read_to_string(&path)) {
        (_, Ok(config)) => config,
        // A model alone tells its settings too.
        (Some(facts), Err(_)) => facts.config.clone(),
        (None, Err(error)) => {
            let message = format!("{error}; expected the run folder of `anomem train`");
            return Err(Error::file(&path, message));
        }
    };
    let settings = Config::from_toml(&config).map_err(|error| Error::file(&path, error))?;
    let log = if folder.log().exists() { Journal::read(&folder.log())? } else { Vec::new() };
    let learned: Option<Learned> = kept(folder.learned())?;
    let whole = folder.0.canonicalize().unwrap_or_else(|_| folder.0.clone());
    Ok(Page {
        name: whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned(),
        facts: summary(&settings, facts.as_ref(), learned.as_ref(), &log),
        curves: curves(&log, settings.network.precision),
        learned,
        tested: kept(folder.tested())?,
        how_to_test: format!(
            "A set with labelled test images shows how well this model finds what is not normal: \
             anomem test --model {} --data SPEC",
            folder.0.display()
        ),
        config,
    })
}

fn summary(
    config: &Config,
    facts: Option<&Facts>,
    learned: Option<&Learned>,
    log: &[EpochRecord],
) -> Vec<(String, String)> {
    let mut list = Vec::new();
    let mut fact = |what: &str, value: String| list.push((what.to_owned(), value));
    if let Some(facts) = facts {
        fact("Data", facts.progress.data_spec.clone());
    }
    if let Some(learned) = learned {
        let held_out = facts.map_or(0, |facts| facts.normal_scores.len());
        let anomalies = match learned.anomalies {
            0 => String::new(),
            n => format!(", {n} anomalous"),
        };
        let images = learned.images;
        fact(
            "Images",
            format!("{images} normal{anomalies}; {held_out} held out to measure scores on"),
        );
    }
    let size = config.image.size;
    let colour = match config.image.channels {
        Some(1) => ", grey",
        Some(_) => ", colour",
        None => "",
    };
    let tiles = match config.image.tile {
        0 => String::new(),
        side => format!(", tiles of {side} × {side} pixels"),
    };
    fact("Seen at", format!("{} × {} pixels{colour}{tiles}", size.height, size.width));
    let network = format!("{:?}", config.network.backbone).to_lowercase();
    fact("Network", format!("{network}, {} of its width", config.network.width));
    let memories = config.memory.scales.iter().zip(&config.memory.slots);
    let memories = memories.map(|(stage, slots)| format!("{slots} prototypes at stage {stage}"));
    fact("Memory", memories.collect::<Vec<_>>().join(", "));
    let last = log.iter().rfind(|record| record.phase != Phase::Stage2);
    let (done, steps) = last.map_or((0, 0), |record| (record.epoch, record.step));
    let seconds: f64 = log.iter().map(|record| record.seconds).sum();
    fact("Training", format!("{done} epochs, {steps} steps, {}", duration(seconds)));
    fact("Seed", config.seed.to_string());
    if let Some(facts) = facts {
        if let Some(origin) = &facts.progress.origin {
            fact("First weights", format!("{origin} (BLAKE3 {:.12})", origin.blake3));
        }
        fact("Adapter", facts.progress.adapter.clone());
        fact("Fingerprint of the images", format!("{:.16}", facts.progress.data));
        fact("Trained by", format!("anomem {}", facts.program));
    }
    fact("Page by", format!("anomem {}", env!("CARGO_PKG_VERSION")));
    list
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// How a training went: its loss, its memory, and heads that were trained after it.
fn curves(log: &[EpochRecord], precision: Precision) -> Vec<Curves> {
    let (heads, epochs): (Vec<&EpochRecord>, _) =
        log.iter().partition(|record| record.phase == Phase::Stage2);
    let epochs = Track { records: epochs, precision, x: "epoch", at: |r| r.epoch as f64 };
    let heads = Track { records: heads, precision, x: "step", at: |r| r.step as f64 };
    let (training, memory) = (epochs.training(), epochs.memory());
    [training, memory, heads.heads()].into_iter().flatten().collect()
}

/// Records of the same kind in their order.
struct Track<'a> {
    records: Vec<&'a EpochRecord>,
    precision: Precision,
    /// What they are counted in.
    x: &'static str,
    at: fn(&EpochRecord) -> f64,
}

impl Track<'_> {
    fn chart(&self, title: &str, y: Axis, series: Vec<Series>) -> Lines {
        Lines {
            title: title.into(),
            x: Axis { whole: true, ..Axis::new(self.x) },
            y,
            series,
            levels: Vec::new(),
            diagonal: None,
            mark: None,
        }
    }

    /// One line.
    fn one(&self, title: &str, unit: &str, value: impl Fn(&EpochRecord) -> f64) -> Lines {
        let points = self.records.iter().map(|r| [(self.at)(r), value(r)]).collect();
        self.chart(title, Axis::new(unit), vec![Series { name: title.to_lowercase(), points }])
    }

    /// A line for each scale that has the value at all.
    fn each(&self, title: &str, y: Axis, value: impl Fn(&ScaleRecord) -> Option<f64>) -> Lines {
        let scales = self.records.last().map_or(&[][..], |record| &record.scales);
        let series = scales.iter().enumerate().map(|(index, scale)| {
            let at = |r: &EpochRecord| r.scales.get(index).and_then(&value).unwrap_or(f64::NAN);
            let points = self.records.iter().map(|r| [(self.at)(r), at(r)]).collect();
            Series { name: format!("stage {}", scale.stage), points }
        });
        self.chart(title, y, series.collect())
    }

    fn has(&self, value: impl Fn(&ScaleRecord) -> bool) -> bool {
        self.records.iter().flat_map(|record| &record.scales).any(value)
    }

    fn training(&self) -> Option<Curves> {
        let last = self.records.last()?;
        let skipped: usize = self.records.iter().map(|r| r.non_finite_steps).sum();
        let skipped = (skipped > 0).then(|| {
            let then = match self.precision {
                Precision::F32 => "a lower train.lr may help",
                Precision::F16 => "some are, where the scale of the loss is tried higher",
            };
            format!("{skipped} steps had gradients that are not finite and were skipped; {then}.")
        });
        let mut charts = vec![self.one("Whole loss", "loss", |r| r.loss)];
        let mut text =
            "One point per epoch. While a loss falls, more epochs are worth their time.".to_owned();
        if self.has(|scale| scale.contrast.is_some()) {
            text += " The contrastive loss tells how well the network recognises an image in another view; a network \
                     that knows nothing stays at the dashed line. The variance loss keeps what is recalled from \
                     becoming all alike.";
            let contrast = |s: &ScaleRecord| Some(s.contrast.as_ref()?.contrast);
            let mut chart = self.each("Contrastive loss", Axis::new("loss"), contrast);
            let scales = last.scales.iter().enumerate();
            chart.levels = scales
                .filter_map(|(series, scale)| {
                    let name = format!("stage {}, knowing nothing", scale.stage);
                    Some(Level { name, value: scale.contrast.as_ref()?.chance, series })
                })
                .collect();
            charts.push(chart);
            let variance = |s: &ScaleRecord| s.contrast.as_ref()?.variance;
            if self.has(|scale| variance(scale).is_some()) {
                charts.push(self.each("Variance loss", Axis::new("loss"), variance));
            }
        }
        let hinges = self.hinges();
        if !hinges.is_empty() {
            text += " The hinges tell how well the heads part normal images, or positions, from anomalous ones.";
        }
        charts.extend(hinges);
        charts.extend([
            self.one("Learning rate", "rate", |r| r.lr),
            self.one("Gradient", "mean norm", |r| r.grad_norm),
            self.one("Speed", "images per second", |r| r.images_per_second),
        ]);
        Some(Curves {
            title: "Training".into(),
            text,
            notes: skipped.into_iter().collect(),
            charts,
        })
    }

    fn memory(&self) -> Option<Curves> {
        let last = self.records.last()?;
        self.has(|scale| scale.memory.is_some()).then_some(())?;
        let entropy = |s: &ScaleRecord| Some(s.memory.as_ref()?.entropy);
        let used = |s: &ScaleRecord| Some(s.memory.as_ref()?.used);
        let variance = |s: &ScaleRecord| s.contrast.as_ref()?.retrieved_variance;
        let revived = |s: &ScaleRecord| Some(s.memory.as_ref()?.revived as f64);
        let mut charts = vec![
            self.each("Entropy of recall", Axis::share("1 = all alike"), entropy),
            self.each("Prototypes in use", Axis::share("share"), used),
        ];
        if self.has(|scale| variance(scale).is_some()) {
            charts.push(self.each("Variance of what is recalled", Axis::new("variance"), variance));
        }
        if self.has(|scale| revived(scale).is_some_and(|count| count > 0.0)) {
            charts.push(self.each("Prototypes started anew", Axis::new("number"), revived));
        }
        Some(Curves {
            title: "Memory".into(),
            text: "Entropy tells how many prototypes a feature recalls together: at 1 all of them \
                   alike, at 0 a single one; a memory at either end is dead. In use is a prototype \
                   that some feature of the epoch recalled first."
                .into(),
            notes: last.scales.iter().filter_map(ScaleRecord::warning).collect(),
            charts,
        })
    }

    fn heads(&self) -> Option<Curves> {
        self.records.last()?;
        let mut charts = vec![self.one("Whole loss", "loss", |r| r.loss)];
        charts.extend(self.hinges());
        charts.push(self.one("Gradient", "mean norm", |r| r.grad_norm));
        Some(Curves {
            title: "Heads".into(),
            text: "After the encoder, the heads learned to score labelled and made-up anomalies \
                   high and normal images low, up to a margin. At 0 all of them are beyond it."
                .into(),
            notes: Vec::new(),
            charts,
        })
    }

    /// What the heads lose, where they take part.
    fn hinges(&self) -> Vec<Lines> {
        let mut charts = Vec::new();
        if self.has(|scale| scale.image_hinge.is_some()) {
            charts.push(self.each("Hinge of images", Axis::new("loss"), |s| s.image_hinge));
        }
        if self.has(|scale| scale.position_hinge.is_some()) {
            charts.push(self.each("Hinge of positions", Axis::new("loss"), |s| s.position_hinge));
        }
        charts
    }
}
