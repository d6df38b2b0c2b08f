//! `anomem tune`.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use super::ui::print;
use crate::bench::{TunedRow, tune};
use crate::report::write_atomic;
use crate::{Error, Result};

/// Measure on this adapter from which sizes on which kernels and tiles are faster.
///
/// Layers of the ResNets run with the values in use and with others, in turn, once their results agree. A value
/// is replaced where another is faster by more than noise. What is written goes with --tuning FILE, or ANOMEM_TUNING;
/// it changes speed, and results by rounding. Takes some minutes; nothing else should run meanwhile.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  anomem tune --out mine.toml\n  anomem train --tuning mine.toml --data my-set \
                  --out runs/one"
)]
pub(super) struct Tune {
    /// Write what was found to FILE instead of printing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Few small layers, seconds: to see that it works.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    common: Common,
}

impl Tune {
    pub(super) fn run(self) -> Result<()> {
        if self.common.profile.is_some() {
            return Err(Error::Usage("--profile: only for a single training".into()));
        }
        let gpu = self.common.open()?;
        let identity = gpu.report().identity();
        print(&format!(
            "{identity}\n\n{:28} {:>20} {:>8} {:>9}\n",
            "number", "value", "passes", "time"
        ))?;
        let tuning = tune(&gpu, self.quick, &mut |row| print(&rows(row)))?;
        let text = format!(
            "# Made by `anomem tune{}` {} on {identity}, {}.\n{}",
            if self.quick { " --quick" } else { "" },
            env!("CARGO_PKG_VERSION"),
            gpu.report().class,
            tuning.to_toml()
        );
        let Some(path) = self.out else { return print(&format!("\n{text}")) };
        write_atomic(&path, text.as_bytes())?;
        print(&format!("\n{} {}\n", tuning.mark(), path.display()))
    }
}

/// One line for each value, in order; time by that of the value in use, of which is told how a pass varies.
fn rows(row: &TunedRow) -> String {
    let noise = format!("       - 1 ± {:.3}", row.noise);
    let mut lines = vec![(row.before, noise)];
    let tried = row.values.iter().filter(|v| v.passes > 0);
    lines.extend(tried.map(|v| (v.value, format!("{:8} {:9.3}", v.passes, v.time))));
    lines.sort();
    let line = |(value, figures): &(u64, String)| {
        let said = match (*value == row.before, *value == row.chosen) {
            (true, true) => "  kept",
            (true, false) => "  before",
            (false, true) => "  chosen",
            (false, false) => "",
        };
        format!("{:28} {value:20} {figures}{said}\n", row.key)
    };
    lines.iter().map(line).collect()
}
