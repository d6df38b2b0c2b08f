//! `anomem teach`.

use super::args::data_spec;
use super::progress::Progress;
use super::{ClassArgs, Common, LabelledArgs, report};
use crate::anomem::{Checkpoint, Config, Glimpse, RunFolder, Taught, TrainingSet, teach, teaching};
use crate::data::{DataSpec, Dataset};
use crate::report::write_atomic;
use crate::{Error, Result};
use clap::Args;
use std::path::PathBuf;

/// Teach a trained model the anomalies that it missed.
///
/// Encoder and memories stay as they are; only the heads that score are trained, in a minute or so. One in
/// five of the anomalies is kept back: on those, and on anomalies made of normal images, the model is
/// measured before and after.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  anomem teach --model runs/tiles --anomalies missed --out runs/taught"
)]
pub(super) struct Teach {
    /// Model file, or the run folder that holds it.
    #[arg(long, value_name = "PATH")]
    model: PathBuf,
    #[command(flatten)]
    labelled: LabelledArgs,
    /// The set whose training images are normal; otherwise the one that the model was trained on, where
    /// it was.
    #[arg(long, value_name = "SPEC", value_parser = data_spec())]
    normals: Option<DataSpec>,
    #[command(flatten)]
    class: ClassArgs,
    /// Normal images that the model was not trained on, to measure scores on; otherwise those that its training
    /// kept back.
    #[arg(long, value_name = "DIR")]
    calibrate: Option<PathBuf>,
    /// Run folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Training steps.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Write the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// List and leave out files that cannot be read, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
    #[command(flatten)]
    common: Common,
}

impl Teach {
    pub(super) fn run(self) -> Result<()> {
        if self.labelled.anomalies.is_empty() {
            return Err(Error::Usage("nothing to teach; expected --anomalies DIR".into()));
        }
        let known = Checkpoint::read(&RunFolder::model_at(&self.model))?;
        let folder = RunFolder(self.out.clone());
        if folder.model().exists() {
            return Err(Error::Usage(format!(
                "--out {}: holds a run already; name another folder",
                self.out.display()
            )));
        }
        let mut config: Config = teaching(known.config()?);
        config.stage2.steps = self.steps.unwrap_or(config.stage2.steps);
        let spec = match &self.normals {
            Some(spec) => spec.clone(),
            None => known.facts.progress.data_spec.parse()?,
        };
        let normals = Dataset::open(&spec, &self.class.options()).map_err(|error| {
            let hint =
                if self.normals.is_some() { "" } else { "; name normal images with --normals" };
            Error::Usage(format!("{error}{hint}"))
        })?;
        let gpu = self.common.open()?;
        let mut progress = Progress::new(self.common.quiet.ui());
        progress.adapter(&gpu);
        let (mut set, skipped) = TrainingSet::load(&config, &normals, self.skip_bad, &|_, _| {})?;
        progress.skipped(&skipped);
        if let Some(folder) = &self.calibrate {
            progress.skipped(&set.calibrate_on(folder, self.skip_bad)?);
        }
        for anomalies in self.labelled.samples()? {
            progress.skipped(&set.add_anomalies(&anomalies, self.skip_bad)?);
        }
        let glimpse = Glimpse::of(&set);
        let (mut model, taught) = teach(&gpu, &known, config, set, &folder, &mut progress)?;
        report::after_training(&gpu, &mut model, glimpse, &folder, &progress);
        super::print(&table(&taught))?;
        if let Some(path) = &self.json {
            let json = serde_json::to_string_pretty(&taught)
                .map_err(|e| Error::Internal(e.to_string()))?;
            write_atomic(path, json.as_bytes())?;
        }
        super::print(&format!("{}\n", folder.model().display()))
    }
}

fn table(taught: &Taught) -> String {
    let Taught { before, after, anomalies, kept_back, normals, normals_unseen } = taught;
    let unseen = if *normals_unseen { " kept back" } else { "" };
    let per_cent = |v: Option<f64>| v.map_or("-".into(), |v| format!("{:.1}", 100.0 * v));
    let row = |name: &str, before, after| {
        format!("{name:<44}{:>10}{:>10}\n", per_cent(before), per_cent(after))
    };
    let mut text = format!(
        "{anomalies} anomalies taught; AUROC against {normals} normal images{unseen}:\n{:<44}{:>10}{:>10}\n",
        "per cent", "before", "after"
    );
    text += &row(
        &format!("{kept_back} anomalies kept back, of the kinds taught"),
        before.taught,
        after.taught,
    );
    text += &row("anomalies made of normal images, not taught", before.made, after.made);
    if let (Some(before), Some(after)) = (before.made, after.made)
        && after < before - 0.01
    {
        text += "The model knows what it was not taught less well than before.\n";
    }
    text
}
