//! `anomem test`.

use super::progress::Progress;
use super::{Common, DataArgs, report};
use crate::anomem::{NearestPixels, RunFolder, Scorer, TrainingSet, load_model, test};
use crate::report::write_atomic;
use crate::{Error, Result};
use clap::Args;
use std::path::PathBuf;

/// Measure a model on labelled images.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  anomem test --model runs/tiles --data tiles --json tiles.json")]
pub(super) struct Test {
    /// Model file, or the run folder that holds it.
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also measure the distance to the nearest training image, pixel by pixel.
    #[arg(long)]
    baseline: bool,
    #[command(flatten)]
    common: Common,
}

impl Test {
    pub(super) fn run(self) -> Result<()> {
        let dataset = self.data.open()?;
        if dataset.test.is_empty() {
            return Err(Error::Usage(format!("{}: no image to test on", dataset.spec)));
        }
        let gpu = self.common.open()?;
        let mut progress = Progress::new(self.common.quiet.ui());
        progress.adapter(&gpu);
        let (mut model, state) = load_model(&gpu, &self.model)?;
        let scorer = Scorer::new(&gpu, &mut model, "scoring")?;
        let skip_bad = self.data.skip_bad;
        let (metrics, judged) =
            test(&gpu, &model, &scorer, &dataset.test, skip_bad, &mut progress)?;
        super::print(&metrics.to_string())?;
        if self.baseline {
            let (set, _) = TrainingSet::load(&model.config, &dataset, skip_bad, &|_, _| {})?;
            let nearest = NearestPixels::new(&gpu, &mut model, &set.pixels)?;
            let metrics = nearest.test(&gpu, &model, &dataset.test, skip_bad)?;
            super::print("nearest training image, pixel by pixel:\n")?;
            super::print(&metrics.to_string())?;
        }
        if let Some(path) = &self.json {
            write_atomic(path, metrics.to_json()?.as_bytes())?;
        }
        if self.model.is_dir() {
            let outcome = report::Outcome {
                model: &model,
                scorer: &scorer,
                samples: &dataset.test,
                data: dataset.spec.to_string(),
                epoch: state.epoch,
                metrics: &metrics,
                judged: &judged,
            };
            report::after_test(&gpu, &outcome, &RunFolder(self.model), &mut progress);
        }
        Ok(())
    }
}
