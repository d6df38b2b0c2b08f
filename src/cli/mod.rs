//! The command line: each command is a file that parses its arguments, calls the library and
//! prints.
//!
//! Results go to standard output; progress, notes and errors to standard error. Exit codes: 0 fine,
//! 2 what the user can mend, 1 a fault of this program or of the driver, 3 an anomaly found where
//! that was asked for.

mod args;
mod bench;
mod check;
mod demo;
mod devices;
mod info;
mod predict;
mod presets;
mod progress;
mod report;
mod reproduce;
mod synth;
mod teach;
mod test;
mod train;
mod tune;
mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::Result;

pub use args::{ClassArgs, Common, ConfigArgs, DataArgs, LabelledArgs, Quiet, TuningArgs};
pub use ui::{Bar, Ui, print};

/// Anomaly detection via multi-scale contrasted memory, on any GPU.
#[derive(Debug, Parser)]
#[command(name = "anomem", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::Bench),
    Check(check::Check),
    Demo(demo::Demo),
    Devices(devices::Devices),
    Info(info::Info),
    Predict(predict::Predict),
    Presets(presets::Presets),
    Report(report::Report),
    Reproduce(reproduce::Reproduce),
    Synth(synth::Synth),
    Teach(teach::Teach),
    Test(test::Test),
    Train(train::Train),
    Tune(tune::Tune),
}

/// Exit code of `predict --fail-on-anomaly`.
const ANOMALY: u8 = 3;

impl Command {
    /// Returns the exit code.
    fn run(self) -> Result<u8> {
        let done = match self {
            Self::Bench(command) => command.run(),
            Self::Check(command) => command.run(),
            Self::Demo(command) => command.run(),
            Self::Devices(command) => command.run(),
            Self::Info(command) => command.run(),
            Self::Predict(command) => return command.run(),
            Self::Presets(command) => command.run(),
            Self::Report(command) => command.run(),
            Self::Reproduce(command) => command.run(),
            Self::Synth(command) => command.run(),
            Self::Teach(command) => command.run(),
            Self::Test(command) => command.run(),
            Self::Train(command) => command.run(),
            Self::Tune(command) => command.run(),
        };
        done.map(|()| 0)
    }
}

/// Runs the command named by the arguments of this process.
pub fn main() -> ExitCode {
    ui::report_panics();
    ExitCode::from(run(std::env::args_os()))
}

/// Runs one command line, `anomem` first, and returns its exit code.
fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version to standard output with 0, faults to standard error with 2. A
            // closed pipe is no fault.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    finish(move || cli.command.run())
}

/// Prints the error of `work`, if any, and turns the outcome into an exit code.
fn finish(work: impl FnOnce() -> Result<u8>) -> u8 {
    // What a panic leaves behind is dropped, so that no half-changed state is seen again.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            ui::print_error(&error);
            error.exit_code()
        }
        // Told by the hook of `ui::report_panics`.
        Err(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::Error;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains(&format!("anomem {name}")), "{name}: {example}");
        }
    }

    #[test]
    fn outcomes_become_exit_codes() {
        assert_eq!(finish(|| Ok(0)), 0);
        assert_eq!(finish(|| Ok(ANOMALY)), 3);
        assert_eq!(finish(|| Err(Error::Usage("a value".into()))), 2);
        assert_eq!(finish(|| Err(Error::Internal("a fault".into()))), 1);
        assert_eq!(finish(|| panic!("on purpose, in a test")), 1);
    }
}
