//! `anomem synth`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::ui::print;
use super::{Quiet, args};
use crate::data::Split;
use crate::data::synth::{Family, SynthOptions, generate};
use crate::{Error, Result};

/// Make images of textured surfaces with defects and their masks, in the MVTec AD layout.
///
/// The same options give the same bytes on every machine.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  anomem synth --out surfaces --seed 1 --family metal")]
pub(super) struct Synth {
    /// The folder to write: new, empty, or holding nothing but such a set.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Everything random follows from it.
    #[arg(long, value_name = "N", default_value_t = SynthOptions::default().seed)]
    seed: u64,
    /// What the surfaces are made of: fabric, metal, leather, or mixed for all in turn.
    #[arg(long, default_value = "fabric", value_parser = args::family())]
    family: Family,
    /// Side of the square images, pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = SynthOptions::default().size)]
    size: usize,
    /// Good images for training.
    #[arg(long, value_name = "N", default_value_t = SynthOptions::default().train_good)]
    train_good: usize,
    /// Good images for testing.
    #[arg(long, value_name = "N", default_value_t = SynthOptions::default().test_good)]
    test_good: usize,
    /// Test images of each kind of defect.
    #[arg(long, value_name = "N", default_value_t = SynthOptions::default().per_defect)]
    per_defect: usize,
    /// Write into the folder whatever it holds: files of the same names are replaced, all others
    /// stay.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    quiet: Quiet,
}

impl Synth {
    pub(super) fn run(self) -> Result<()> {
        let options = SynthOptions {
            seed: self.seed,
            family: self.family,
            size: self.size,
            train_good: self.train_good,
            test_good: self.test_good,
            per_defect: self.per_defect,
        };
        let bar = self.quiet.ui().bar("drawing images");
        generate(&self.out, &options, self.force, &|done, all| bar.update(done, all))?;
        drop(bar);
        print(&self.written(&options).map_err(|error| Error::Internal(error.to_string()))?)
    }

    /// What was written, one line per folder.
    fn written(&self, options: &SynthOptions) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let size = options.size;
        writeln!(text, "wrote {}: grey images of {size} x {size}", self.out.display())?;
        writeln!(text, "{:>7} train/good", options.count(Split::Train))?;
        writeln!(text, "{:>7} test/good", options.test_good)?;
        for kind in options.kinds() {
            let name = kind.name();
            writeln!(
                text,
                "{:>7} test/{name}, with masks in ground_truth/{name}",
                options.per_defect
            )?;
        }
        writeln!(text, "        synth.json, these options")?;
        Ok(text)
    }
}
