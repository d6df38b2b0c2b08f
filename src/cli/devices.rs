//! `anomem devices`.

use std::fmt::{self, Write};

use clap::Args;

use super::TuningArgs;
use super::ui::{print, print_json};
use crate::gpu::{AdapterReport, Gpu, OpenOptions, list_adapters};
use crate::{Error, Result};

/// List the adapters of this machine, and which one is the default.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  anomem devices --json")]
pub(super) struct Devices {
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tuning: TuningArgs,
}

impl Devices {
    pub(super) fn run(self) -> Result<()> {
        let mut adapters = list_adapters();
        if let Some(tuning) = self.tuning.read()? {
            adapters.iter_mut().for_each(|adapter| adapter.tuning = tuning);
        }
        if self.json {
            print_json(&adapters)?;
        }
        if adapters.is_empty() {
            // Opening fails with what to install on this system.
            return Gpu::open(&OpenOptions::default()).map(drop);
        }
        if self.json {
            return Ok(());
        }
        let mut text = String::new();
        for adapter in &adapters {
            let file = self.tuning.tuning.as_deref();
            let tuning = file.map_or_else(
                || format!("as built in for {} adapters", adapter.class),
                |file| format!("{}, by {}", adapter.tuning.mark(), file.display()),
            );
            describe(&mut text, adapter, &tuning)
                .map_err(|error| Error::Internal(error.to_string()))?;
        }
        print(&text)
    }
}

fn describe(out: &mut String, a: &AdapterReport, tuning: &str) -> fmt::Result {
    let default = if a.default {
        "  (default: the first usable of discrete, integrated, software)"
    } else {
        ""
    };
    let yes = |b: bool| if b { "yes" } else { "no" };
    let subgroup =
        a.subgroup.map_or("none".to_string(), |(low, high)| format!("{low} to {high} lanes"));
    let cooperative = match a.cooperative_matrix.as_slice() {
        [] => "none".to_string(),
        shapes => shapes.join(", "),
    };
    let mib = |bytes: u64| bytes >> 20;
    writeln!(out, "{} {}{default}", a.index, a.name)?;
    if let Some(why) = &a.unusable {
        writeln!(out, "    cannot be used: {why}")?;
    }
    writeln!(out, "    {} through {}, driver {}", a.class, a.backend, a.driver)?;
    writeln!(
        out,
        "    f16 {}, timestamps {}, subgroups {subgroup}",
        yes(a.f16),
        yes(a.timestamps)
    )?;
    writeln!(out, "    cooperative matrices {cooperative}")?;
    writeln!(
        out,
        "    binding up to {} MiB, buffer up to {} MiB, {} storage buffers per shader",
        mib(a.max_binding),
        mib(a.max_buffer),
        a.storage_buffers
    )?;
    writeln!(
        out,
        "    workgroup memory {} KiB, up to {} invocations",
        a.workgroup_memory >> 10,
        a.workgroup_invocations
    )?;
    writeln!(out, "    tuning {tuning}")
}
