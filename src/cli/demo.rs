//! `anomem demo`.

use super::progress::Progress;
use super::{Common, report};
use crate::anomem::{
    Checkpoint, Config, Glimpse, Model, NearestPixels, Observer, RunFolder, Score, Scorer,
    TrainOptions, TrainingSet, score_samples, test, train,
};
use crate::data::synth::{SynthOptions, generate};
use crate::data::{DEFAULT_MAX_PIXELS, DataSpec, Dataset, Raster, Sample};
use crate::gpu::Gpu;
use crate::report::heatmap::{Example, Range, sheet, write_png};
use crate::report::{Metrics, write_atomic};
use crate::{Error, Result};
use clap::Args;
use std::path::PathBuf;

/// Pictures per kind on the contact sheet.
const PICTURES: usize = 3;

/// Make textured surfaces, train on the good ones, find the defects of the others.
///
/// Shows how to go about a set of your own: `anomem synth`, `train`, `test` and `predict` do the same
/// step by step.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  anomem demo --out demo")]
pub(super) struct Demo {
    /// Folder for images, runs and pictures; must not hold a demo yet.
    #[arg(long, value_name = "DIR", default_value = "demo")]
    out: PathBuf,
    /// Every random number follows from it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    common: Common,
}

impl Demo {
    pub(super) fn run(self) -> Result<()> {
        let gpu = self.common.open()?;
        let mut progress = Progress::new(self.common.quiet.ui());
        progress.adapter(&gpu);
        std::fs::create_dir_all(&self.out).map_err(|e| Error::file(&self.out, e))?;
        let surfaces = self.out.join("surfaces");
        {
            let bar = progress.ui().bar("drawing surfaces");
            let options = SynthOptions { seed: self.seed, ..SynthOptions::default() };
            generate(&surfaces, &options, false, &|done, all| bar.update(done, all))?;
        }
        let dataset = Dataset::open(&DataSpec::folder(&surfaces), &Default::default())?;
        let (untrained, _) = self.detector(&gpu, &dataset, Some(0), "untrained", &mut progress)?;
        let (trained, mut model) = self.detector(&gpu, &dataset, None, "run", &mut progress)?;
        let (set, _) = TrainingSet::load(&model.config, &dataset, false, &|_, _| {})?;
        let nearest = NearestPixels::new(&gpu, &mut model, &set.pixels)?;
        let nearest = nearest.test(&gpu, &model, &dataset.test, false)?;
        write_atomic(self.out.join("metrics.json"), trained.to_json()?.as_bytes())?;
        let picture = self.out.join("heatmaps.png");
        self.draw(&gpu, &mut model, &dataset, &picture, &mut progress)?;
        let rows = [
            row("trained", &trained),
            row("same network, untrained", &untrained),
            row("nearest training image, pixel by pixel", &nearest),
        ];
        super::print(&format!(
            "{:<42}{:>14}{:>14}\n{}{}\n{}\n",
            "per cent",
            "image AUROC",
            "pixel AUROC",
            rows.concat(),
            picture.display(),
            self.out.join("run/report.html").display()
        ))
    }

    /// Trains with the `tiny` preset and measures on the test images.
    fn detector(
        &self,
        gpu: &Gpu,
        dataset: &Dataset,
        epochs: Option<usize>,
        name: &str,
        progress: &mut Progress,
    ) -> Result<(Metrics, Model)> {
        let mut config = Config::preset("tiny")?;
        config.seed = self.seed;
        config.train.epochs = epochs.unwrap_or(config.train.epochs);
        let folder = RunFolder(self.out.join(name));
        if folder.model().exists() {
            return Err(Error::Usage(format!(
                "--out {}: holds a demo already; name another folder",
                self.out.display()
            )));
        }
        let (set, _) = TrainingSet::load(&config, dataset, false, &|_, _| {})?;
        let glimpse = Glimpse::of(&set);
        let mut model = train(gpu, &config, set, &folder, TrainOptions::default(), None, progress)?;
        report::after_training(gpu, &mut model, glimpse, &folder, progress);
        let scorer = Scorer::new(gpu, &mut model, "scoring")?;
        let (metrics, judged) = test(gpu, &model, &scorer, &dataset.test, false, progress)?;
        let outcome = report::Outcome {
            model: &model,
            scorer: &scorer,
            samples: &dataset.test,
            data: dataset.spec.to_string(),
            // More than the configuration's, where it asks for some number of steps.
            epoch: Checkpoint::read(&folder.model())?.facts.progress.epoch,
            metrics: &metrics,
            judged: &judged,
        };
        report::after_test(gpu, &outcome, &folder, progress);
        Ok((metrics, model))
    }

    /// A contact sheet of some test images of each kind.
    fn draw(
        &self,
        gpu: &Gpu,
        model: &mut Model,
        dataset: &Dataset,
        picture: &std::path::Path,
        progress: &mut dyn Observer,
    ) -> Result<()> {
        let mut chosen: Vec<Sample> = Vec::new();
        for sample in &dataset.test {
            if chosen.iter().filter(|c| c.kind == sample.kind).count() < PICTURES {
                chosen.push(sample.clone());
            }
        }
        let scorer = Scorer::new(gpu, model, "drawing")?;
        let mut drawn: Vec<(Raster, Option<Raster>, Score)> = Vec::new();
        score_samples(gpu, model, &scorer, &chosen, false, progress, |sample, _, score| {
            let image = sample.decode(DEFAULT_MAX_PIXELS)?;
            drawn.push((image, sample.decode_mask(DEFAULT_MAX_PIXELS)?, score));
            Ok(())
        })?;
        let examples: Vec<Example<'_>> = drawn
            .iter()
            .map(|(image, mask, score)| {
                Ok(Example { image, map: score.map()?, mask: mask.as_ref() })
            })
            .collect::<Result<_>>()?;
        let [low, high] = model.heat_range;
        write_png(picture, &sheet(&examples, Range { low, high }, 128, PICTURES)?)
    }
}

fn row(name: &str, metrics: &Metrics) -> String {
    let per_cent = |v: Option<f64>| v.map_or("-".into(), |v| format!("{:.1}", 100.0 * v));
    let o = &metrics.overall;
    format!("{name:<42}{:>14}{:>14}\n", per_cent(o.image_auroc), per_cent(o.pixel_auroc))
}
