//! `anomem predict`.

use super::Common;
use super::progress::Progress;
use crate::anomem::{Model, Observer, Score, Scorer, load_model, score_samples};
use crate::data::{DEFAULT_MAX_PIXELS, DataSpec, Dataset, Sample};
use crate::report::heatmap::{Range, overlay, write_png};
use crate::report::{Judge, ScoreRow, ScoreTable};
use crate::{Error, Result};
use clap::Args;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Score images and draw what looks wrong in them.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  anomem predict --model runs/tiles photos/ --out judged --heatmaps"
)]
pub(super) struct Predict {
    /// Model file, or the run folder that holds it.
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    /// Images, or folders of images.
    #[arg(value_name = "PATH", required = true)]
    images: Vec<PathBuf>,
    /// Folder for scores.csv and heat maps.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Share of normal images that may be called anomalous; the model's own setting if not given.
    #[arg(long, value_name = "RATE")]
    max_false_alarms: Option<f64>,
    /// End with exit code 3 if any image is called anomalous.
    #[arg(long)]
    fail_on_anomaly: bool,
    /// Also write each image with its deviations laid over it, all on one scale.
    #[arg(long)]
    heatmaps: bool,
    /// Smooth heat maps by a Gaussian of this deviation, pixels of the map; the model's own setting if
    /// not given.
    #[arg(long, value_name = "SIGMA")]
    smooth: Option<f64>,
    /// List and leave out files that cannot be read, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
    #[command(flatten)]
    common: Common,
}

/// All images at `path`: itself, or those below a folder, by their names there; of one folder of
/// several, which may hold the same names, with its own name before them.
fn samples_at(path: &Path, several: bool) -> Result<Vec<Sample>> {
    if !path.is_dir() {
        return Ok(vec![Sample::of_file(path)?]);
    }
    let mut samples = Dataset::open(&DataSpec::plain(path), &Default::default())?.train;
    if several {
        let named = |s: &mut Sample| s.name = path.join(&s.name).display().to_string();
        samples.iter_mut().for_each(named);
    }
    Ok(samples)
}

/// That each image has a heat map of its own.
fn check_pictures(samples: &[Sample]) -> Result<()> {
    let mut seen = HashMap::new();
    for sample in samples {
        let picture = picture_name(&sample.name);
        if let Some(other) = seen.insert(picture.clone(), &sample.name) {
            return Err(Error::Usage(format!(
                "--heatmaps: {other} and {} would both be drawn as {}; give them in two calls",
                sample.name,
                picture.display()
            )));
        }
    }
    Ok(())
}

impl Predict {
    /// Returns the exit code.
    pub(super) fn run(self) -> Result<u8> {
        let mut samples = Vec::new();
        let several = self.images.iter().filter(|path| path.is_dir()).count() > 1;
        for path in &self.images {
            samples.extend(samples_at(path, several)?);
        }
        if self.heatmaps {
            check_pictures(&samples)?;
        }
        let gpu = self.common.open()?;
        let mut progress = Progress::new(self.common.quiet.ui());
        progress.adapter(&gpu);
        let (mut model, _) = load_model(&gpu, &self.model)?;
        model.config.score.smooth = self.smooth.unwrap_or(model.config.score.smooth);
        if model.config.image.tile == 0 {
            // Places of a batch that stay empty are computed too.
            let batch = &mut model.config.score.batch;
            *batch = (*batch).min(samples.len().max(1));
        }
        model.config.validate()?;
        let judge = self.judge(&model)?;
        if let Some(warning) = judge.as_ref().and_then(Judge::warning) {
            progress.warn(&warning);
        }
        let scorer = Scorer::new(&gpu, &mut model, "scoring")?;
        std::fs::create_dir_all(&self.out).map_err(|e| Error::file(&self.out, e))?;
        let [low, high] = model.heat_range;
        let range = Range { low, high };
        let mut scored: Vec<(Sample, Score)> = Vec::new();
        let skipped = score_samples(
            &gpu,
            &model,
            &scorer,
            &samples,
            self.skip_bad,
            &mut progress,
            |sample, _, mut score| {
                if self.heatmaps {
                    self.draw(sample, &score, range)?;
                }
                // Kept, the maps of many images would fill the memory.
                score.heat = Vec::new();
                scored.push((sample.clone(), score));
                Ok(())
            },
        )?;
        progress.skipped(&skipped);
        let stages = model.scales.iter().map(|s| s.stage).collect();
        let rows = scored.iter().map(|(sample, score)| ScoreRow {
            path: sample.name.clone(),
            score: score.score,
            scales: score.scales.clone(),
            judgement: judge.as_ref().map(|judge| judge.judge(score.score)),
            truth: None,
        });
        let table = ScoreTable { stages, rows: rows.collect() };
        let alarms = table.rows.iter().filter(|r| r.judgement.is_some_and(|j| j.anomalous)).count();
        let file = self.out.join("scores.csv");
        table.write(&file)?;
        if judge.is_some() {
            super::print(&format!("{alarms} of {} images are anomalous\n", table.rows.len()))?;
        }
        super::print(&format!("{}\n", file.display()))?;
        Ok(if self.fail_on_anomaly && alarms > 0 { super::ANOMALY } else { 0 })
    }

    /// Writes an image with its heat map over it.
    fn draw(&self, sample: &Sample, score: &Score, range: Range) -> Result<()> {
        let image = sample.decode(DEFAULT_MAX_PIXELS)?;
        let picture = self.out.join("heatmaps").join(picture_name(&sample.name));
        if let Some(folder) = picture.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
        }
        write_png(&picture, &overlay(&image, score.map()?, range))
    }

    /// What verdicts are made with; nothing where the model holds no scores of held-out images.
    fn judge(&self, model: &Model) -> Result<Option<Judge>> {
        let rate = self.max_false_alarms.unwrap_or(model.config.score.max_false_alarms);
        if !(rate > 0.0 && rate < 1.0) {
            return Err(Error::Usage(format!(
                "--max-false-alarms {rate}: expected 0 to 1, as 0.01"
            )));
        }
        if !model.normal_scores.is_empty() {
            let judge = Judge::new(&model.normal_scores, rate);
            return match judge.warning() {
                // A gate that never closes.
                Some(warning) if self.fail_on_anomaly => {
                    Err(Error::Usage(format!("--fail-on-anomaly: {warning}")))
                }
                _ => Ok(Some(judge)),
            };
        }
        if self.fail_on_anomaly || self.max_false_alarms.is_some() {
            return Err(Error::Usage(format!(
                "{}: no normal image was held out of its training, so there are no verdicts; \
                 train with score.held_out above 0 and at least 20 images, or with --calibrate",
                self.model.display()
            )));
        }
        Ok(None)
    }
}

/// Where the heat map of an image goes, below the folder: as the image, never outside.
fn picture_name(name: &str) -> PathBuf {
    let parts = Path::new(name).components().filter_map(|c| match c {
        std::path::Component::Normal(part) => Some(part),
        _ => None,
    });
    let mut file: std::ffi::OsString = parts.collect::<PathBuf>().into();
    file.push(".png");
    file.into()
}
