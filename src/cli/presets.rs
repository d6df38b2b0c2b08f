//! `anomem presets`.

use clap::{Args, Subcommand};

use super::ConfigArgs;
use super::ui::print;
use crate::Result;
use crate::anomem::Config;

/// List the built-in configurations, or show one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  anomem presets\n  anomem presets show tiny > mine.toml")]
pub(super) struct Presets {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Name each, with what it is for.
    List,
    /// Print one as TOML, which --config reads back.
    #[command(
        after_help = "Examples:\n  anomem presets show tiny > mine.toml\n  anomem presets show \
                      tiny --config mine.toml --set train.epochs=3"
    )]
    Show {
        /// Which one: see `anomem presets list`.
        name: String,
        /// Shows what they come to, without comments.
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl Presets {
    pub(super) fn run(self) -> Result<()> {
        match self.action.unwrap_or(Action::List) {
            Action::List => list(),
            Action::Show { name, config } => show(&name, &config),
        }
    }
}

fn list() -> Result<()> {
    let mut text = String::new();
    for name in Config::presets() {
        text += &purpose(Config::preset_text(name)?);
        text += "\n";
    }
    print(&text)
}

/// The first comment line: `name: what for`.
fn purpose(preset: &str) -> String {
    preset.lines().next().unwrap_or_default().trim_start_matches('#').trim().to_owned()
}

fn show(name: &str, settings: &ConfigArgs) -> Result<()> {
    if settings.is_empty() {
        return print(Config::preset_text(name)?);
    }
    let config = settings.resolve(name)?;
    config.validate()?;
    print(&config.to_toml()?)
}
