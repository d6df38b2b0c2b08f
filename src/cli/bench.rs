//! `anomem bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Common;
use super::ui::print;
use crate::bench::{Bounds, KernelRow, Limit, Observer, Request, StepRow, run};
use crate::gpu::{AdapterReport, Variant};
use crate::report::write_atomic;
use crate::{Error, Result};

/// Measure kernels, training steps and scoring on this machine, against what it can do at most.
///
/// First multiply-adds in registers and a copy: the bounds. Then each kernel, once its results agree with those
/// of its plain twin. Last whole trainings of a few steps, and scoring. Rates count the work of the definition, so
/// that a kernel that needs fewer products may exceed the bound. Batches are small on software drivers.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  anomem bench\n  anomem bench --only 'conv tiny' --json kernels.json"
)]
pub(super) struct Bench {
    /// Only what has this in its name: `conv`, `224px`, `hopfield`, `step tiny`.
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
    /// Measure other kernels than those that this adapter uses, where an operation has several.
    #[arg(long, value_enum, value_name = "WHICH", conflicts_with = "no_kernels")]
    variant: Option<Which>,
    /// Leave out the kernels.
    #[arg(long)]
    no_kernels: bool,
    /// Leave out the trainings.
    #[arg(long, conflicts_with = "no_kernels")]
    no_steps: bool,
    /// Also write everything to FILE.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// Kernels to measure.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Which {
    /// One invocation per element.
    Simple,
    /// Tiles in workgroup memory.
    Tiled,
    /// Tiles in the registers of subgroups of 4 or 8 lanes.
    Subgroup,
    /// Convolutions in half precision, by the GPU's matrix units.
    Cooperative,
}

impl Which {
    fn variant(self, adapter: &AdapterReport) -> Result<Variant> {
        match self {
            Self::Simple => Ok(Variant::Simple),
            Self::Tiled => Ok(Variant::Tiled),
            Self::Subgroup => adapter.subgroup_variant().ok_or_else(|| {
                Error::Usage(format!(
                    "--variant subgroup: {} has no subgroups of 4 or 8 lanes",
                    adapter.name
                ))
            }),
            Self::Cooperative => adapter.cooperative_variant().ok_or_else(|| {
                Error::Usage(format!(
                    "--variant cooperative: {} multiplies no fragments of 16 x 16 f16",
                    adapter.name
                ))
            }),
        }
    }
}

impl Bench {
    pub(super) fn run(self) -> Result<()> {
        if self.common.profile.is_some() {
            return Err(Error::Usage("--profile: only for a single training; see --json".into()));
        }
        let gpu = self.common.open()?;
        let request = Request {
            only: self.only.unwrap_or_default(),
            variant: self.variant.map(|which| which.variant(gpu.report())).transpose()?,
            no_kernels: self.no_kernels,
            no_steps: self.no_steps,
        };
        let adapter = gpu.report().identity();
        let report = run(&gpu, &request, &mut Table { adapter, kernels: false, steps: false })?;
        if let Some(path) = self.json {
            let text = serde_json::to_string_pretty(&report)
                .map_err(|error| Error::Internal(error.to_string()))?;
            write_atomic(path, format!("{text}\n").as_bytes())?;
        }
        Ok(())
    }
}

/// Prints rows as they come.
struct Table {
    adapter: String,
    /// Whether the head was printed.
    kernels: bool,
    steps: bool,
}

impl Observer for Table {
    fn bounds(&mut self, bounds: &Bounds) -> Result<()> {
        print(&format!(
            "{}: at most {:.0} GFLOP/s (multiply-adds in registers), {:.1} GB/s (copy)\n",
            self.adapter, bounds.gflops, bounds.gb_s
        ))
    }

    fn kernel(&mut self, row: &KernelRow) -> Result<()> {
        if !std::mem::replace(&mut self.kernels, true) {
            print(&format!(
                "\n{:44} {:14} {:>10} {:>8} {:9} {:>8} {:>10} {:>9} {:>10}\n",
                "kernel", "pass", "ms", "rate", "", "of bound", "dispatches", "MiB", "difference"
            ))?;
        }
        let unit = match row.limit {
            Limit::Arithmetic => "GFLOP/s",
            Limit::Memory => "GB/s",
        };
        let difference = row.difference.map_or("same".into(), |d| format!("{d:.0e}"));
        print(&format!(
            "{:44} {:14} {:10.3} {:8.1} {unit:9} {:7.0}% {:10} {:9.1} {difference:>10}\n",
            row.name,
            row.pass,
            row.ms,
            row.rate,
            100.0 * row.share_of_bound,
            row.dispatches,
            row.mib
        ))
    }

    fn step(&mut self, row: &StepRow) -> Result<()> {
        if !std::mem::replace(&mut self.steps, true) {
            print(&format!(
                "\n{:60} {:>6} {:>10} {:>9} {:>9} {:>9} {:>8}\n",
                "step", "batch", "seconds", "images/s", "MiB", "of host", "first s"
            ))?;
        }
        let host = row.host_share.map_or(String::new(), |share| format!("{:.1}%", 100.0 * share));
        let first = row.first_seconds.map_or(String::new(), |seconds| format!("{seconds:.2}"));
        print(&format!(
            "{:60} {:6} {:10.4} {:9.1} {:9.0} {host:>9} {first:>8}\n",
            row.name, row.batch, row.seconds, row.images_per_second, row.mib
        ))
    }
}
