//! `anomem predict`.

use super::Common;
use super::progress::Progress;
use crate::anomem::{Observer, Score, Scorer, load_model, score_samples};
use crate::data::{DEFAULT_MAX_PIXELS, DataSpec, Dataset, Format, Sample};
use crate::report::heatmap::{Range, ScoreMap, overlay, write_png};
use crate::report::{ScoreRow, ScoreTable};
use crate::{Error, Result};
use clap::Args;
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
    /// Also write each image with its deviations laid over it, all on one scale.
    #[arg(long)]
    heatmaps: bool,
    /// List and leave out files that cannot be read, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
    #[command(flatten)]
    common: Common,
}

/// All images at `path`: itself, or those below a folder.
fn samples_at(path: &Path) -> Result<Vec<Sample>> {
    if path.is_dir() {
        let spec = DataSpec { format: Format::Plain, dir: path.to_path_buf() };
        Ok(Dataset::open(&spec, &Default::default())?.train)
    } else {
        Ok(vec![Sample::of_file(path)?])
    }
}

impl Predict {
    pub(super) fn run(self) -> Result<()> {
        let mut samples = Vec::new();
        for path in &self.images {
            samples.extend(samples_at(path)?);
        }
        let gpu = self.common.open()?;
        let mut progress = Progress::new(self.common.quiet.ui());
        progress.adapter(&gpu);
        let (mut model, _) = load_model(&gpu, &self.model)?;
        let scorer = Scorer::new(&gpu, &mut model, "scoring")?;
        std::fs::create_dir_all(&self.out).map_err(|e| Error::file(&self.out, e))?;
        let mut scored: Vec<(Sample, Score)> = Vec::new();
        let skipped = score_samples(
            &gpu,
            &model,
            &scorer,
            &samples,
            self.skip_bad,
            &mut progress,
            |sample, _, mut score| {
                if !self.heatmaps {
                    score.heat = Vec::new();
                }
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
            truth: None,
        });
        let file = self.out.join("scores.csv");
        ScoreTable { stages, rows: rows.collect() }.write(&file)?;
        if self.heatmaps {
            let [low, high] = model.heat_range;
            let size = model.config.image.size;
            for (done, (sample, score)) in scored.iter().enumerate() {
                let image = sample.decode(DEFAULT_MAX_PIXELS)?;
                let map = ScoreMap::new(size.height, size.width, &score.heat)?;
                let picture = self.out.join("heatmaps").join(picture_name(&sample.name));
                if let Some(folder) = picture.parent() {
                    std::fs::create_dir_all(folder).map_err(|e| Error::file(folder, e))?;
                }
                write_png(&picture, &overlay(&image, map, Range { low, high }))?;
                progress.advance("drawing", done as u64 + 1, scored.len() as u64);
            }
        }
        super::print(&format!("{}\n", file.display()))
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
