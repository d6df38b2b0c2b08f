//! Standard output and standard error: results, progress, notes, errors.

use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{Error, Result};

/// How a command tells what it is doing, on standard error.
#[derive(Debug, Clone)]
pub struct Ui {
    quiet: bool,
    bars: MultiProgress,
}

impl Ui {
    /// Bars only on a terminal; with `quiet` neither bars nor notes.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let shown = !quiet && io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { quiet, bars: MultiProgress::with_draw_target(target) }
    }

    /// A line about what is going on, above the bars.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            // Nobody is left to be told when standard error is closed.
            self.bars.suspend(|| {
                let _ = writeln!(io::stderr(), "{text}");
            });
        }
    }

    /// Notes the files that `--skip-bad` left out.
    pub fn left_out(&self, errors: &[Error]) {
        errors.iter().for_each(|error| self.note(&format!("left out: {error}")));
    }

    /// A bar with its remaining time for a step called `what`, such as "reading images"; it goes
    /// when dropped.
    #[must_use]
    pub fn bar(&self, what: &'static str) -> Bar {
        let bar = self.bars.add(ProgressBar::no_length());
        bar.set_style(style());
        bar.set_message(what);
        Bar(bar)
    }
}

fn style() -> ProgressStyle {
    const TEMPLATE: &str = "{msg} {bar:32} {human_pos}/{human_len}  {elapsed}, {eta} left";
    ProgressStyle::with_template(TEMPLATE)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}

/// The progress of one step.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// `done` of `all`; from any thread, in any order: it never goes back.
    pub fn update(&self, done: usize, all: usize) {
        if self.0.length().is_none() {
            // Not before, or it would be drawn with nothing to do.
            self.0.enable_steady_tick(Duration::from_millis(200));
        }
        self.0.set_length(all as u64);
        if done as u64 > self.0.position() {
            self.0.set_position(done as u64);
        }
    }

    /// Another name for the step, or figures that go with it.
    pub fn say(&self, what: String) {
        self.0.set_message(what);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Writes a result to standard output. A reader that closed the pipe early, such as `head`, is no
/// fault: the command goes on, unheard.
///
/// # Errors
/// [`Error::File`] when standard output cannot be written for another reason, such as a full disk.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::file("standard output", format!("cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// `value` as indented JSON and a line break.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(value).map_err(|e| Error::Internal(e.to_string()))?;
    print(&(json + "\n"))
}

/// `error: ...` on standard error.
pub(super) fn print_error(error: &Error) {
    let _ = writeln!(io::stderr(), "error: {error}");
}

/// From now on a panic, on any thread, prints one line and where to go with it.
pub(super) fn report_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let _ = writeln!(io::stderr(), "{}", panic_report(panic));
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            default(panic);
        }
    }));
}

fn panic_report(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let message = text.or(payload.downcast_ref().copied()).unwrap_or("no message");
    let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
    format!(
        "error: internal error: {message}{place}\nThis is a fault of anomem {}: please report it \
         with the command line; RUST_BACKTRACE=1 shows more.",
        env!("CARGO_PKG_VERSION")
    )
}
