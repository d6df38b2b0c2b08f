//! The whole way in one file: make textured surfaces, train on the good ones, score the rest.
//!
//! `cargo run --release --example 03_train_and_score`

#![allow(
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "an example reports by printing"
)]

use anomem::anomem::{
    Config, EpochRecord, Observer, RunFolder, Scorer, TrainOptions, TrainingSet, test, train,
};
use anomem::data::synth::{SynthOptions, generate};
use anomem::data::{DataSpec, Dataset, DatasetOptions};
use anomem::gpu::{Gpu, OpenOptions};

struct Lines;

impl Observer for Lines {
    fn advance(&mut self, _: &'static str, _: u64, _: u64) {}
    fn epoch(&mut self, record: &EpochRecord, epochs: usize) {
        println!("epoch {} of {epochs}: loss {:.4}", record.epoch, record.loss);
    }
    fn note(&mut self, text: &str) {
        println!("{text}");
    }
    fn warn(&mut self, text: &str) {
        println!("warning: {text}");
    }
}

pub fn main() -> anomem::Result<()> {
    let folder = std::env::temp_dir().join(format!("anomem-example-{}", std::process::id()));
    let few = SynthOptions { train_good: 40, test_good: 10, per_defect: 5, ..Default::default() };
    std::fs::create_dir_all(&folder).map_err(|e| anomem::Error::file(&folder, e))?;
    generate(&folder.join("surfaces"), &few, false, &|_, _| {})?;
    let spec = DataSpec::folder(folder.join("surfaces"));
    let dataset = Dataset::open(&spec, &DatasetOptions::default())?;

    let gpu = Gpu::open(&OpenOptions::default())?;
    let mut config = Config::preset("tiny")?;
    for setting in ["train.epochs=2", "train.batch=16", "image.size=32"] {
        config.set(setting)?;
    }
    let (set, _) = TrainingSet::load(&config, &dataset, false, &|_, _| {})?;
    let run = RunFolder(folder.join("run"));
    let mut model = train(&gpu, &config, set, &run, TrainOptions::default(), None, &mut Lines)?;

    let scorer = Scorer::new(&gpu, &mut model, "scoring")?;
    let (metrics, judged) = test(&gpu, &model, &scorer, &dataset.test, false, &mut Lines)?;
    for image in judged.iter().take(3) {
        println!("{}: {:.3}", image.name, image.score);
    }
    let auroc = metrics.overall.image_auroc.unwrap_or_default();
    println!("image AUROC {auroc:.3} after two epochs on 36 images: a demonstration, no detector");
    std::fs::remove_dir_all(&folder).map_err(|e| anomem::Error::file(&folder, e))?;
    Ok(())
}
