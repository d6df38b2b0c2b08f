//! `anomem train`.

use super::progress::Progress;
use super::{Common, ConfigArgs, DataArgs, report};
use crate::anomem::{Glimpse, RunFolder, TrainingSet, train};
use crate::data::{DataSpec, Dataset};
use crate::gpu::Profile;
use crate::{Error, Result};
use clap::Args;
use std::path::PathBuf;

/// Learn what normal images look like.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  anomem train --data tiles --out runs/tiles --preset tiny")]
pub(super) struct Train {
    #[command(flatten)]
    data: DataArgs,
    /// Run folder to write: model, log, configuration and optimiser state.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Settings to start from; see `anomem presets`.
    #[arg(long, value_name = "NAME", default_value = "tiny")]
    preset: String,
    #[command(flatten)]
    settings: ConfigArgs,
    /// Passes over the images; 0 writes the untrained network.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Every random number follows from it.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Normal images to measure scores and thresholds on, instead of a share of the training images.
    #[arg(long, value_name = "DIR")]
    calibrate: Option<PathBuf>,
    /// Anomalous images to learn from, of any kind; the heads of stage 2 learn to score them.
    #[arg(long, value_name = "DIR")]
    anomalies: Vec<PathBuf>,
    /// Share of the training images that is anomalous, drawn from the other classes of a class set.
    #[arg(long, value_name = "SHARE", conflicts_with = "anomalies")]
    gamma: Option<f64>,
    /// Go on where a killed run of the same settings stopped.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    common: Common,
}

impl Train {
    pub(super) fn run(self) -> Result<()> {
        let mut config = self.settings.resolve(&self.preset)?;
        if let Some(epochs) = self.epochs {
            // No more than asked for.
            (config.train.epochs, config.train.least_steps) = (epochs, 0);
        }
        config.seed = self.seed.unwrap_or(config.seed);
        config.validate()?;
        let folder = RunFolder(self.out.clone());
        let used = folder.model().exists() || folder.training().exists();
        if used && !self.resume {
            return Err(Error::Usage(format!(
                "--out {}: holds a run already; --resume goes on with it, or name another folder",
                self.out.display()
            )));
        }
        let dataset = self.data.open()?;
        let gpu = self.common.open()?;
        let mut progress = Progress::new(self.common.quiet.ui());
        progress.adapter(&gpu);
        let (mut set, skipped) = {
            let bar = progress.ui().bar("decoding images");
            let update = |done, all| bar.update(done, all);
            TrainingSet::load(&config, &dataset, self.data.skip_bad, &update)?
        };
        progress.skipped(&skipped);
        if let Some(folder) = &self.calibrate {
            let held_out = Dataset::open(&DataSpec::plain(folder), &Default::default())?;
            progress.skipped(&set.calibrate_on(&held_out.train, self.data.skip_bad)?);
        }
        for folder in &self.anomalies {
            let anomalies = Dataset::open(&DataSpec::plain(folder), &Default::default())?;
            progress.skipped(&set.add_anomalies(&anomalies.train, self.data.skip_bad)?);
        }
        if let Some(gamma) = self.gamma.filter(|gamma| *gamma > 0.0) {
            let drawn = dataset.draw_anomalies(gamma, config.seed)?;
            progress.skipped(&set.add_anomalies(&drawn, self.data.skip_bad)?);
        }
        let mut profile = self.common.profile.is_some().then(Profile::new);
        let glimpse = Glimpse::of(&set);
        let profile_of = profile.as_mut();
        let mut model = train(&gpu, &config, set, &folder, self.resume, profile_of, &mut progress)?;
        report::after_training(&gpu, &mut model, glimpse, &folder, &progress);
        if let (Some(profile), Some(path)) = (&profile, &self.common.profile) {
            progress.profile(profile, path)?;
        }
        super::print(&format!("{}\n", folder.model().display()))
    }
}
