//! The command line; see `anomem --help`.

use anomem::gpu::{AdapterReport, list_adapters};
use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;

/// Anomaly detection via multi-scale contrasted memory, on any GPU.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the adapters of this machine, and which one is the default.
    Devices {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let Command::Devices { json } = Cli::parse().command;
    let adapters = list_adapters();
    let mut out = io::stdout().lock();
    let written = if json {
        serde_json::to_writer_pretty(&mut out, &adapters)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        adapters.iter().try_for_each(|a| print(&mut out, a))
    };
    match written {
        // A reader that closes the pipe early, such as `head`, is no fault.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: standard output: {e}");
            ExitCode::from(1)
        }
        _ if adapters.is_empty() => {
            let error = anomem::gpu::Gpu::open(&Default::default()).err();
            let _ =
                writeln!(io::stderr(), "error: {}", error.map_or(String::new(), |e| e.to_string()));
            ExitCode::from(2)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn print(out: &mut impl Write, a: &AdapterReport) -> io::Result<()> {
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
    )
}
