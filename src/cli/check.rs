//! `anomem check`.

use clap::Args;

use super::ui::{print, print_json};
use super::{ClassArgs, Quiet, args};
use crate::data::{DataSpec, check};
use crate::{Error, Result};

/// Say what a set of images holds and what is wrong with it.
///
/// Decodes every image and mask. Exit code 2 when a file cannot be used; other findings are
/// told, and are no error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  anomem check surfaces\n  anomem check cifar10:/data/cifar10 \
                  --normal-class dog --json")]
pub(super) struct Check {
    /// DIR (MVTec AD layout, class folders or plain images), plain:DIR, cifar10:DIR, cifar100:DIR,
    /// idx:DIR or svhn:DIR.
    #[arg(value_parser = args::data_spec())]
    spec: DataSpec,
    #[command(flatten)]
    class: ClassArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    quiet: Quiet,
}

impl Check {
    pub(super) fn run(self) -> Result<()> {
        let bar = self.quiet.ui().bar("reading images");
        let progress = |done, all| bar.update(done, all);
        let report = check::check(&self.spec, &self.class.options(), &progress)?;
        drop(bar);
        if self.json { print_json(&report) } else { print(&report.to_string()) }?;
        let unusable = report.unreadable.len() + report.bad_masks.len();
        if unusable == 0 {
            return Ok(());
        }
        let message = format!("{unusable} files cannot be used, as listed");
        Err(Error::file(&self.spec.dir, message))
    }
}
