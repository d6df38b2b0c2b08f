//! `anomem train`.

use super::progress::Progress;
use super::{Common, ConfigArgs, DataArgs, LabelledArgs, report};
use crate::anomem::{Glimpse, Pretrained, RunFolder, TrainOptions, TrainingSet, train};
use crate::gpu::Profile;
use crate::report::EventLog;
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
    /// Cut larger images into tiles of SIZE x SIZE of their pixels, so that small defects survive the
    /// resizing to image.size; tests and predictions then do the same.
    #[arg(long, value_name = "SIZE")]
    tile: Option<usize>,
    /// Pixels that neighbouring tiles share at least; a quarter of a tile if not given.
    #[arg(long, value_name = "N")]
    overlap: Option<usize>,
    /// Smooth heat maps by a Gaussian of this deviation, pixels of the map; 0 = not.
    #[arg(long, value_name = "SIGMA")]
    smooth: Option<f64>,
    /// Start the encoder from the weights of torchvision's or timm's ResNet in this safetensors file, with
    /// network.stem=imagenet and network.width=1; see also train.backbone.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Every random number follows from it.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Normal images to measure scores and thresholds on, instead of a share of the training images.
    #[arg(long, value_name = "DIR")]
    calibrate: Option<PathBuf>,
    #[command(flatten)]
    labelled: LabelledArgs,
    /// Share of the training images that is anomalous, drawn from the other classes of a class set.
    #[arg(long, value_name = "SHARE", conflicts_with = "anomalies")]
    gamma: Option<f64>,
    /// Also write loss, rates and memory of each epoch to DIR, for TensorBoard.
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
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
        config.image.tile = self.tile.unwrap_or(config.image.tile);
        config.image.overlap = self.overlap.or(config.image.overlap);
        if self.overlap.is_some() && config.image.tile == 0 {
            return Err(Error::Usage("--overlap: there are no tiles; give --tile SIZE too".into()));
        }
        config.score.smooth = self.smooth.unwrap_or(config.score.smooth);
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
        if let Some(path) = self.init.as_deref().filter(|_| !folder.training().exists()) {
            // A wrong file is told before images are decoded.
            Pretrained::read(path)?;
        }
        let dataset = self.data.open()?;
        let gpu = self.common.open()?;
        let mut progress = Progress::new(self.common.quiet.ui());
        progress.adapter(&gpu);
        if let Some(dir) = &self.tensorboard {
            progress.events_to(EventLog::create(dir, self.resume)?);
        }
        let (mut set, skipped) = {
            let bar = progress.ui().bar("decoding images");
            let update = |done, all| bar.update(done, all);
            TrainingSet::load(&config, &dataset, self.data.skip_bad, &update)?
        };
        progress.skipped(&skipped);
        if let Some(folder) = &self.calibrate {
            progress.skipped(&set.calibrate_on(folder, self.data.skip_bad)?);
        }
        for anomalies in self.labelled.samples()? {
            progress.skipped(&set.add_anomalies(&anomalies, self.data.skip_bad)?);
        }
        if let Some(gamma) = self.gamma.filter(|gamma| *gamma > 0.0) {
            let drawn = dataset.draw_anomalies(gamma, config.seed)?;
            progress.skipped(&set.add_anomalies(&drawn, self.data.skip_bad)?);
        }
        let mut profile = self.common.profile.is_some().then(Profile::new);
        let glimpse = Glimpse::of(&set);
        let profile_of = profile.as_mut();
        let options = TrainOptions { resume: self.resume, init: self.init.as_deref() };
        let mut model = train(&gpu, &config, set, &folder, options, profile_of, &mut progress)?;
        report::after_training(&gpu, &mut model, glimpse, &folder, &progress);
        if let (Some(profile), Some(path)) = (&profile, &self.common.profile) {
            progress.profile(profile, path)?;
        }
        super::print(&format!("{}\n", folder.model().display()))
    }
}
