//! `anomem reproduce`.

use super::args::data_spec;
use super::progress::Progress;
use super::{Common, ConfigArgs};
use crate::data::DataSpec;
use crate::reproduce::{Grid, Jobs, Plan, Protocol, Request, Size};
use crate::{Error, Result};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParser};
use std::path::PathBuf;

/// Run a protocol of the paper and set its table beside the paper's numbers.
///
/// Every training of the protocol is a cell with a folder of its own. An interrupted grid goes on
/// where it stopped; a finished one only writes its table again.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  anomem reproduce one-vs-all --data cifar10:DIR --out runs/ova --size cpu"
)]
pub(super) struct Reproduce {
    /// Which protocol.
    #[arg(value_name = "PROTOCOL", value_parser = protocol())]
    protocol: Protocol,
    /// The images, as of `anomem train`.
    #[arg(long, value_name = "SPEC", value_parser = data_spec())]
    data: DataSpec,
    /// Folder of the grid: cells, table.md, table.csv, table.json, figure.svg.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How much of it this machine bears; only `full` is what the paper measures.
    #[arg(long, value_name = "SIZE", default_value = "full", value_parser = size())]
    size: Size,
    /// Settings to start from; see `anomem presets`. `smoke` and `cpu` change some of them.
    #[arg(long, value_name = "NAME", default_value = "resnet18")]
    preset: String,
    #[command(flatten)]
    settings: ConfigArgs,
    /// Shares of labelled anomalies among the training images, e.g. 0,0.05; one-vs-all and its grids.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    gamma: Vec<f64>,
    /// Classes that are normal in turn (cross-type: kinds left out in turn), by name; otherwise all.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    classes: Vec<String>,
    /// CIFAR-100: its 20 super-classes instead of its 100 classes.
    #[arg(long)]
    superclasses: bool,
    /// ood: a set to tell from the data, such as a folder of images; may be given several times.
    #[arg(long, value_name = "SPEC", value_parser = data_spec())]
    against: Vec<DataSpec>,
    /// cross-type on a set of classes: the one that is normal.
    #[arg(long, value_name = "NAME")]
    normal_class: Option<String>,
    /// memory-size, sampling-ratio, scale-weights: the values that are tried.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    values: Vec<f64>,
    /// Draws of labelled anomalies; otherwise 10 at size full and 1 at others, and 1 for cross-type.
    #[arg(long, value_name = "N")]
    draws: Option<usize>,
    /// Trainings that differ in their seed alone.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seeds: usize,
    /// Run every Nth cell only, from the Kth, so that several processes share one folder.
    #[arg(long, value_name = "K/N", value_parser = ValueParser::new(|text: &str| text.parse::<Jobs>()))]
    jobs: Option<Jobs>,
    /// Keep each cell's model.
    #[arg(long)]
    keep_models: bool,
    /// List and leave out files that cannot be read, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
    #[command(flatten)]
    common: Common,
}

impl Reproduce {
    pub(super) fn run(self) -> Result<()> {
        if self.common.profile.is_some() {
            return Err(Error::Usage("--profile: only for a single training".into()));
        }
        let mut config = self.size.config(&self.preset)?;
        self.settings.apply(&mut config)?;
        let plan = Plan::new(Request {
            protocol: self.protocol,
            data: self.data,
            against: self.against,
            normal_class: self.normal_class,
            superclasses: self.superclasses,
            classes: self.classes,
            gammas: self.gamma,
            values: self.values,
            draws: self.draws,
            seeds: self.seeds,
            size: self.size,
            config,
        })?;
        let grid = Grid::open(plan, &self.out)?;
        let mut progress = Progress::new(self.common.quiet.ui());
        let missing = grid.missing(self.jobs.unwrap_or_default());
        if !missing.is_empty() {
            let gpu = self.common.open()?;
            progress.adapter(&gpu);
            grid.run(&gpu, &missing, self.keep_models, self.skip_bad, &mut progress)?;
        }
        match grid.table()? {
            (_, Some(table)) => {
                table.write(&self.out)?;
                super::print(&table.to_markdown())
            }
            (done, None) => {
                let (all, out) = (grid.cells(), self.out.display());
                super::print(&format!("{done} of {all} cells are done; no table yet in {out}\n"))
            }
        }
    }
}

fn protocol() -> ValueParser {
    one_of(Protocol::ALL.iter().map(|(_, name, help)| (*name, *help)))
        .try_map(|n| n.parse::<Protocol>())
        .into()
}

fn size() -> ValueParser {
    one_of(Size::ALL.iter().map(|(_, name, help)| (*name, *help)))
        .try_map(|n| n.parse::<Size>())
        .into()
}

fn one_of(values: impl Iterator<Item = (&'static str, &'static str)>) -> PossibleValuesParser {
    PossibleValuesParser::new(values.map(|(name, help)| PossibleValue::new(name).help(help)))
}
