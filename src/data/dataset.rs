//! Which images there are, which are for training, and which are anomalous.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::spec::{DataSpec, Format};
use super::{binary, folder, svhn};
use crate::{Error, Result};

/// The part of a set that a sample belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Seen in training.
    Train,
    /// Held out.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

/// How the images of a set are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `train/good`, `test/<kind>`, `ground_truth/<kind>`.
    MvtecAd,
    /// `train/<class>` and `test/<class>`.
    ClassFolders,
    /// `<class>/` only. Every fifth image of the normal class, in name order, is held out.
    ClassFoldersUnsplit,
    /// Images with neither kinds nor splits; all are normal.
    PlainImages,
    /// CIFAR-10 binary files.
    Cifar10,
    /// CIFAR-100 binary files.
    Cifar100,
    /// MNIST-like idx files.
    Idx,
    /// SVHN's cropped digits.
    Svhn,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MvtecAd => "MVTec AD layout",
            Self::ClassFolders => "class folders, split into train and test",
            Self::ClassFoldersUnsplit => "class folders without a split",
            Self::PlainImages => "plain images, all normal",
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
            Self::Idx => "idx files",
            Self::Svhn => "SVHN, cropped digits",
        })
    }
}

impl Layout {
    /// Whether someone has to say which class is normal.
    pub fn needs_normal_class(self) -> bool {
        !matches!(self, Self::MvtecAd | Self::PlainImages)
    }
}

/// Where the pixels of a sample are.
#[derive(Debug, Clone)]
pub enum Source {
    /// An image file.
    File(PathBuf),
    /// Record `index` of a binary file.
    Record {
        /// The file, in memory.
        records: Arc<binary::Records>,
        /// Which record, from 0.
        index: usize,
    },
}

/// One image of a set.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Unique within the set: the path below its folder with `/` separators, or `file#record`.
    pub name: String,
    /// Where its pixels are.
    pub source: Source,
    /// Training or test.
    pub split: Split,
    /// `good`, the kind of defect, or the class.
    pub kind: String,
    /// Whether it is anomalous.
    pub anomalous: bool,
    /// The mask of its defect, where there is one.
    pub mask: Option<PathBuf>,
}

impl Sample {
    /// The image file at `path`, of no known kind.
    ///
    /// # Errors
    /// No such file.
    pub fn of_file(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::file(path, "no such file"));
        }
        Ok(Self {
            name: path.display().to_string(),
            source: Source::File(path.to_path_buf()),
            split: Split::Test,
            kind: "unknown".into(),
            anomalous: false,
            mask: None,
        })
    }
}

/// Which class of a class set is normal. Sets that mark their good images need neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetOptions {
    /// The class that is normal, by name or by number (from 0, in the order of the set).
    pub normal_class: Option<String>,
    /// CIFAR-100: the super-class that is normal, instead of `normal_class`.
    pub superclass: Option<String>,
}

/// The images of a set, in a fixed order, split for anomaly detection.
///
/// `train` holds normal images only; `test` holds every test image. In a class set `train` is the
/// normal class of the training split, and every other class of the test split is anomalous.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Where it was read from.
    pub spec: DataSpec,
    /// How it is laid out.
    pub layout: Layout,
    /// Normal images to learn from.
    pub train: Vec<Sample>,
    /// Anomalous images of the training split, which class sets have; see [`Self::draw_anomalies`].
    pub train_anomalies: Vec<Sample>,
    /// Images to be judged.
    pub test: Vec<Sample>,
}

/// Everything found at a [`DataSpec`], before anyone has said what is normal.
#[derive(Debug, Clone)]
pub struct Index {
    /// How the set is laid out.
    pub layout: Layout,
    /// All images, by split and name. `anomalous` is final except where the layout
    /// [needs a normal class](Layout::needs_normal_class).
    pub samples: Vec<Sample>,
    /// The classes of a class set, in the order of the set; empty otherwise.
    pub classes: Vec<String>,
    /// CIFAR-100: super-class names and the super-class of each sample.
    pub superclasses: Option<(Vec<String>, Vec<u8>)>,
    /// Mask files that belong to no image.
    pub orphan_masks: Vec<PathBuf>,
    /// How many files were passed over because of their extension.
    pub ignored: usize,
}

impl Index {
    /// Finds the images of `spec`; decodes none.
    ///
    /// # Errors
    /// The folder is missing or unreadable, holds no image, mixes layouts, or a binary file has a
    /// wrong size or header.
    pub fn scan(spec: &DataSpec) -> Result<Self> {
        let dir = &spec.dir;
        if !dir.is_dir() {
            let message =
                if dir.exists() { "is a file; expected a folder" } else { "no such folder" };
            return Err(Error::file(dir, message));
        }
        let index = match spec.format {
            Format::Folder => folder::scan(dir),
            Format::Plain => folder::scan_plain(dir),
            Format::Cifar10 => binary::scan_cifar10(dir),
            Format::Cifar100 => binary::scan_cifar100(dir),
            Format::Idx => binary::scan_idx(dir),
            Format::Svhn => svhn::scan(dir),
        }?;
        if index.samples.is_empty() {
            return Err(no_images(dir, index.ignored));
        }
        Ok(index)
    }

    /// Marks every sample normal or anomalous by its class, or by its super-class, and holds out
    /// test images where the set has no split of its own.
    pub(super) fn label(&mut self, options: &DatasetOptions) -> Result<()> {
        self.mark(options)?;
        if self.layout == Layout::ClassFoldersUnsplit {
            hold_out_every_fifth(&mut self.samples);
        }
        Ok(())
    }

    fn mark(&mut self, options: &DatasetOptions) -> Result<()> {
        let usage = |message: String| Err(Error::Usage(message));
        match (&options.normal_class, &options.superclass, &self.superclasses) {
            (Some(_), Some(_), _) => usage("give a normal class or a super-class, not both".into()),
            (_, Some(_), None) => {
                usage(format!("{}: only CIFAR-100 has super-classes", self.layout))
            }
            (None, Some(wanted), Some((names, of_sample))) => {
                let normal = find_class(names, wanted, "super-class")?;
                for (sample, &class) in self.samples.iter_mut().zip(of_sample) {
                    sample.anomalous = usize::from(class) != normal;
                    sample.kind.clone_from(&names[usize::from(class)]);
                }
                Ok(())
            }
            (Some(wanted), None, _) if self.layout.needs_normal_class() => {
                let normal = &self.classes[find_class(&self.classes, wanted, "class")?];
                for sample in &mut self.samples {
                    sample.anomalous = sample.kind != *normal;
                }
                Ok(())
            }
            (Some(_), None, _) => {
                usage(format!("a normal class was given, but there are none: {}", self.layout))
            }
            (None, None, _) if self.layout.needs_normal_class() => {
                let (count, classes) = (self.classes.len(), list(&self.classes));
                let or = match self.layout {
                    Layout::ClassFoldersUnsplit => "; or plain:DIR if all of them are",
                    _ => "",
                };
                usage(format!(
                    "this set has {count} classes: say which one is normal with --normal-class \
                     (one of {classes}){or}"
                ))
            }
            (None, None, _) => Ok(()),
        }
    }
}

impl Dataset {
    /// Finds the images of `spec` and labels them; decodes none.
    ///
    /// # Errors
    /// Those of [`Index::scan`]; [`Error::Usage`] when the normal class is missing, unknown or not
    /// wanted.
    pub fn open(spec: &DataSpec, options: &DatasetOptions) -> Result<Self> {
        Self::label(spec, Index::scan(spec)?, options)
    }

    /// Labels the images that were found at `spec`.
    ///
    /// # Errors
    /// [`Error::Usage`] when the normal class is missing, unknown or not wanted.
    pub fn label(spec: &DataSpec, mut index: Index, options: &DatasetOptions) -> Result<Self> {
        index.label(options)?;
        Ok(Self::of(spec, index))
    }

    /// Every image below `dir` as an anomaly to learn from; with the masks of their names below `masks`.
    ///
    /// # Errors
    /// No image, no mask, or a mask of no image.
    pub fn anomalies(dir: &Path, masks: Option<&Path>) -> Result<Vec<Sample>> {
        let mut samples = Self::open(&DataSpec::plain(dir), &Default::default())?.train;
        samples.iter_mut().for_each(|sample| sample.anomalous = true);
        if let Some(masks) = masks {
            folder::add_masks(&mut samples, masks)?;
        }
        Ok(samples)
    }

    /// The images that were found at `spec` as one normal set, whatever their classes; marked defects
    /// are left out. Where nothing is held out, every fifth image is.
    #[must_use]
    pub fn all_normal(spec: &DataSpec, mut index: Index) -> Self {
        if index.layout.needs_normal_class() {
            index.samples.iter_mut().for_each(|sample| sample.anomalous = false);
        }
        index.samples.retain(|sample| !sample.anomalous);
        if index.samples.iter().all(|sample| sample.split == Split::Train) {
            hold_out_every_fifth(&mut index.samples);
        }
        Self::of(spec, index)
    }

    fn of(spec: &DataSpec, index: Index) -> Self {
        let (train, test): (Vec<_>, Vec<_>) =
            index.samples.into_iter().partition(|sample| sample.split == Split::Train);
        let (train_anomalies, train) = train.into_iter().partition(|sample| sample.anomalous);
        Self { spec: spec.clone(), layout: index.layout, train, train_anomalies, test }
    }

    /// Anomalies to learn from, drawn from the training split so that they make up a share `gamma` of
    /// all training images; in order of the set.
    ///
    /// # Errors
    /// A `gamma` outside of 0 to 1, or more anomalies asked for than there are.
    pub fn draw_anomalies(&self, gamma: f64, seed: u64) -> Result<Vec<Sample>> {
        if !(0.0..1.0).contains(&gamma) {
            return Err(Error::Usage(format!("gamma = {gamma}: expected 0 or more and below 1")));
        }
        let wanted = (gamma / (1.0 - gamma) * self.train.len() as f64).round() as usize;
        let found = self.train_anomalies.len();
        if wanted > found {
            return Err(Error::Usage(format!(
                "{}: gamma = {gamma} asks for {wanted} anomalies to learn from, but the training split \
                 holds {found}; name a folder of them instead",
                self.spec
            )));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut chosen = index::sample(&mut random, found, wanted).into_vec();
        chosen.sort_unstable();
        Ok(chosen.into_iter().map(|i| self.train_anomalies[i].clone()).collect())
    }
}

/// Moves anomalous samples and every fifth normal one to the test split.
fn hold_out_every_fifth(samples: &mut [Sample]) {
    let mut normal = 0;
    for sample in samples {
        if !sample.anomalous {
            normal += 1;
        }
        if sample.anomalous || normal % 5 == 0 {
            sample.split = Split::Test;
        }
    }
}

/// The position of the class called `wanted`, or numbered so.
fn find_class(names: &[String], wanted: &str, what: &str) -> Result<usize> {
    let by_name = names.iter().position(|name| name == wanted);
    let by_number = || wanted.parse().ok().filter(|&number| number < names.len());
    by_name.or_else(by_number).ok_or_else(|| {
        Error::Usage(format!("no {what} '{wanted}': expected one of {}", list(names)))
    })
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text += &format!(", … {} in all", names.len());
    }
    text
}

fn no_images(dir: &Path, ignored: usize) -> Error {
    if let Some(format) = binary::format_of(dir) {
        let message = format!("no image files, but a binary set: write {format}:{}", dir.display());
        return Error::file(dir, message);
    }
    let extensions = folder::EXTENSIONS.join(", ");
    Error::file(
        dir,
        format!("no images: expected files ending in {extensions} ({ignored} other files)"),
    )
}
