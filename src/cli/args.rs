//! Arguments that several commands share.

use std::ffi::OsString;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser, ValueParser};

use super::Ui;
use crate::anomem::Config;
use crate::data::synth::Family;
use crate::data::{DataSpec, Dataset, DatasetOptions, Sample};
use crate::gpu::{DeviceSelector, Gpu, OpenOptions, Tuning};
use crate::{Error, Result};

/// Flattened into commands that read a set of images.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// The images: DIR (MVTec AD layout, class folders or plain images), plain:DIR, cifar10:DIR,
    /// cifar100:DIR, idx:DIR or svhn:DIR.
    #[arg(long, value_name = "SPEC", value_parser = data_spec())]
    pub data: DataSpec,
    /// Which class is normal.
    #[command(flatten)]
    pub class: ClassArgs,
    /// List and leave out files that cannot be read, instead of stopping at the first.
    #[arg(long)]
    pub skip_bad: bool,
}

impl DataArgs {
    /// Finds the images and marks the normal ones; decodes none.
    ///
    /// # Errors
    /// Those of [`Dataset::open`].
    pub fn open(&self) -> Result<Dataset> {
        Dataset::open(&self.data, &self.class.options())
    }
}

/// Which class of a class set is normal.
#[derive(Debug, Clone, Default, Args)]
pub struct ClassArgs {
    /// The class that is normal, by name or number from 0; only for sets of classes.
    #[arg(long, value_name = "NAME", conflicts_with = "superclass")]
    pub normal_class: Option<String>,
    /// CIFAR-100: the super-class that is normal.
    #[arg(long, value_name = "NAME")]
    pub superclass: Option<String>,
}

impl ClassArgs {
    /// The same for the library.
    pub fn options(&self) -> DatasetOptions {
        DatasetOptions {
            normal_class: self.normal_class.clone(),
            superclass: self.superclass.clone(),
        }
    }
}

/// Labelled anomalies to learn from.
#[derive(Debug, Clone, Default, Args)]
pub struct LabelledArgs {
    /// Anomalous images to learn from, of any kind; a few are enough. May be given several times.
    #[arg(long, value_name = "DIR")]
    pub anomalies: Vec<PathBuf>,
    /// Where the images of --anomalies are anomalous: white on black, under the same names, with or
    /// without `_mask` behind them. As often as --anomalies, in its order.
    #[arg(long, value_name = "DIR", requires = "anomalies")]
    pub masks: Vec<PathBuf>,
}

impl LabelledArgs {
    /// The images of each folder, with their masks.
    ///
    /// # Errors
    /// Folders without an image or a mask, or masks for some of the folders only.
    pub fn samples(&self) -> Result<Vec<Vec<Sample>>> {
        let Self { anomalies, masks } = self;
        if !masks.is_empty() && masks.len() != anomalies.len() {
            return Err(Error::Usage(format!(
                "--masks: {} folders for {} of --anomalies; expected one for each",
                masks.len(),
                anomalies.len()
            )));
        }
        let masks = masks.iter().map(|dir| Some(dir.as_path())).chain(std::iter::repeat(None));
        anomalies.iter().zip(masks).map(|(dir, masks)| Dataset::anomalies(dir, masks)).collect()
    }
}

/// Flattened into every command that runs on the GPU.
#[derive(Debug, Clone, Default, Args)]
pub struct Common {
    /// The adapter: an index from `anomem devices`, a part of its name, or `software`.
    #[arg(long, value_name = "INDEX|NAME|software", value_parser = device())]
    pub device: Option<DeviceSelector>,
    /// From which sizes on the adapter runs which kernels.
    #[command(flatten)]
    pub tuning: TuningArgs,
    /// Most memory that buffers on the adapter may take together, such as 4GiB or 500MiB.
    #[arg(long, value_name = "SIZE")]
    pub memory_budget: Option<ByteSize>,
    /// Write the time of each kernel to FILE, for chrome://tracing, and print a table.
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Whether progress is shown.
    #[command(flatten)]
    pub quiet: Quiet,
}

impl Common {
    /// Opens the adapter asked for.
    ///
    /// # Errors
    /// Those of [`Gpu::open`].
    pub fn open(&self) -> Result<Gpu> {
        let device = self.device.clone().unwrap_or_default();
        let memory_budget = self.memory_budget.map(|size| size.as_u64());
        let tuning = self.tuning.read()?;
        Gpu::open(&OpenOptions { device, memory_budget, tuning, ..OpenOptions::default() })
    }
}

/// From which sizes on an adapter runs which kernels.
#[derive(Debug, Clone, Default, Args)]
pub struct TuningArgs {
    /// Choose kernels and their tiles by this file, which `anomem tune` wrote for the adapter.
    #[arg(long, value_name = "FILE", env = "ANOMEM_TUNING")]
    pub tuning: Option<PathBuf>,
}

impl TuningArgs {
    /// The file's content, if one is named.
    ///
    /// # Errors
    /// Those of [`Tuning::read`].
    pub fn read(&self) -> Result<Option<Tuning>> {
        self.tuning.as_ref().map(Tuning::read).transpose()
    }
}

/// Flattened into commands that take a while.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Quiet {
    /// No progress bars and no notes; only results and errors.
    #[arg(long, short)]
    pub quiet: bool,
}

impl Quiet {
    /// Standard error as the user wants it.
    pub fn ui(self) -> Ui {
        Ui::new(self.quiet)
    }
}

/// Flattened into commands that take settings; later ones win.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Take over the keys that this TOML file sets.
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Set one key, e.g. train.epochs=3; after every --config.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl ConfigArgs {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.config.is_empty() && self.set.is_empty()
    }

    /// The built-in configuration `preset` with these settings; not yet
    /// [validated](Config::validate), since a command may have settings of its own.
    ///
    /// # Errors
    /// An unknown preset or key, a value of the wrong type, or an unreadable file.
    pub fn resolve(&self, preset: &str) -> Result<Config> {
        let mut config = Config::preset(preset)?;
        self.apply(&mut config)?;
        Ok(config)
    }

    /// Puts these settings on top of `config`.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type, or an unreadable file.
    pub fn apply(&self, config: &mut Config) -> Result<()> {
        self.config.iter().try_for_each(|path| config.merge_file(path))?;
        self.set.iter().try_for_each(|assignment| config.set(assignment))
    }
}

/// Reads a data SPEC; a path that is not UTF-8 is a folder.
pub(super) fn data_spec() -> ValueParser {
    OsStringValueParser::new()
        .try_map(|text: OsString| match text.into_string() {
            Ok(text) => text.parse::<DataSpec>(),
            Err(path) => Ok(DataSpec::folder(PathBuf::from(path))),
        })
        .into()
}

fn device() -> ValueParser {
    ValueParser::new(|text: &str| -> Result<DeviceSelector, Error> { text.parse() })
}

pub(super) fn family() -> ValueParser {
    ValueParser::new(|text: &str| -> Result<Family, Error> { text.parse() })
}
