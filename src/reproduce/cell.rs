//! One training of a grid: what is asked of it, and what it leaves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::anomem::Config;
use crate::report::Metrics;

/// One training and its test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    /// Unique in its grid; the name of its folder.
    pub name: String,
    /// Assignments on top of the request's configuration.
    pub settings: Vec<String>,
    /// Which images are normal.
    pub images: Selection,
    /// Share of labelled anomalies among the training images, where the protocol draws one.
    pub gamma: f64,
    /// Labelled anomalies are drawn by it.
    pub draw: u64,
}

/// Which images of a set are normal, which are taught.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// One class is normal; a share of the others is taught.
    Class(String),
    /// One super-class of CIFAR-100 is normal; a share of the others is taught.
    Superclass(String),
    /// Every image is normal.
    Whole,
    /// Every image of the training split is trained on, those of the test split are to be classified.
    Classes,
    /// What the set says is normal; every kind of anomaly but this one is taught.
    AllKindsBut(String),
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(name) | Self::Superclass(name) => f.write_str(name),
            Self::Whole => f.write_str("whole set"),
            Self::Classes => f.write_str("all classes"),
            Self::AllKindsBut(kind) => write!(f, "without {kind}"),
        }
    }
}

impl Cell {
    /// The whole configuration.
    ///
    /// # Errors
    /// Settings that do not fit each other.
    pub fn config(&self, base: &Config) -> Result<Config> {
        let mut config = base.clone();
        self.settings.iter().try_for_each(|assignment| config.set(assignment))?;
        config.validate()?;
        Ok(config)
    }
}

/// What a cell leaves behind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CellResult {
    /// The cell's name.
    pub cell: String,
    /// Its settings, beyond those of the grid.
    pub settings: Vec<String>,
    /// Images that took part.
    pub images: Counts,
    /// Fingerprint of the training images.
    pub data: String,
    /// The adapter and its driver.
    pub adapter: String,
    /// Time of the process that finished it; less than the whole where an earlier one was killed.
    pub seconds: f64,
    /// The figures of the test; none of a linear evaluation.
    pub metrics: Metrics,
    /// Top-1 accuracy of a linear evaluation on the test images, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// Images of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Normal images trained on, those kept back for calibration among them.
    pub train: usize,
    /// Labelled anomalies trained on.
    pub taught: usize,
    /// Images tested on.
    pub test: usize,
}
