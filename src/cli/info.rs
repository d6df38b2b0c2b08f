//! `anomem info`.

use crate::Result;
use crate::anomem::{Checkpoint, RunFolder};
use crate::report::Judge;
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;

/// Say what a model file holds.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  anomem info runs/tiles")]
pub(super) struct Info {
    /// Model file, or the run folder that holds it.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// As JSON, with every setting.
    #[arg(long)]
    json: bool,
    /// List every tensor.
    #[arg(long)]
    tensors: bool,
}

impl Info {
    pub(super) fn run(self) -> Result<()> {
        let file = RunFolder::model_at(&self.path);
        let checkpoint = Checkpoint::read(&file)?;
        let facts = &checkpoint.facts;
        if self.json {
            return super::ui::print_json(facts);
        }
        let config = checkpoint.config()?;
        let p = &facts.progress;
        let tensors = checkpoint.tensors()?;
        let values: usize = tensors.iter().map(|t| t.2.iter().product::<usize>()).sum();
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<14}{value}");
        };
        line("file", file.display().to_string());
        line("written by", format!("anomem {} (format {})", facts.program, facts.format));
        line(
            "network",
            format!(
                "{:?}, width {}, {:?} stem; {} tensors, {values} values",
                config.network.backbone,
                config.network.width,
                config.network.stem,
                tensors.len()
            ),
        );
        let size = config.image.size;
        let channels = facts.channel_mean.len();
        let tiles = match config.image.tiling() {
            None => String::new(),
            Some(t) => {
                format!(", from tiles of {0} x {0} that share {1} pixels", t.side, t.overlap)
            }
        };
        line("images", format!("{} x {} x {channels}{tiles}", size.height, size.width));
        line(
            "memory",
            format!("stages {:?}, {:?} prototypes", config.memory.scales, config.memory.slots),
        );
        let (epochs, steps, seed) = (p.epoch, p.step, config.seed);
        line("training", format!("{epochs} epochs, {steps} steps, seed {seed}"));
        if let Some(origin) = &p.origin {
            line("init", format!("{origin} (BLAKE3 {:.12})", origin.blake3));
        }
        line("data", format!("{} (fingerprint {:.12})", p.data_spec, p.data));
        line("adapter", p.adapter.clone());
        for (stage, c) in config.memory.scales.iter().zip(&facts.calibration) {
            let normal =
                format!("score {:.4} +- {:.4} on normal images", c.score_mean, c.score_std);
            line(&format!("stage {stage}"), normal);
        }
        let rate = config.score.max_false_alarms;
        let judge = Judge::new(&facts.normal_scores, rate);
        let n = facts.normal_scores.len();
        let verdict = match judge.threshold() {
            Some(score) => format!("anomalous above {score:.4}"),
            None => "none".to_owned(),
        };
        line("verdict", format!("{verdict} (false-alarm rate {rate}, {n} held-out images)"));
        super::print(&text)?;
        if self.tensors {
            for (name, dtype, shape) in tensors {
                super::print(&format!("{name:<40} {dtype} {shape:?}\n"))?;
            }
        }
        Ok(())
    }
}
