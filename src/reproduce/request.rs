//! What is asked for: which protocol, on which images, at which size.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::anomem::Config;
use crate::data::DataSpec;
use crate::{Error, Result};

/// Declares an enum whose variants have a name on the command line and a line of help.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($variant:ident = $text:literal, $help:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $(#[doc = $help] $variant),+ }

        impl $name {
            /// All of them, each with its name and what it is.
            pub const ALL: &[(Self, &str, &str)] = &[$((Self::$variant, $text, $help)),+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),+ })
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                let found = Self::ALL.iter().find(|(_, name, _)| *name == text);
                found.map(|(value, ..)| *value).ok_or_else(|| {
                    let known: Vec<&str> = Self::ALL.iter().map(|(_, name, _)| *name).collect();
                    Error::Usage(format!("no {} '{text}': expected one of {}", $what, known.join(", ")))
                })
            }
        }
    };
}

named! {
    /// A protocol of the paper.
    Protocol, "protocol" {
        OneVsAll = "one-vs-all", "Each class in turn is normal, the others are anomalous.";
        Ood = "ood", "A whole set is normal, other sets are anomalous.";
        CrossType = "cross-type", "All kinds of anomalies but one are taught, that one is tested.";
        MemorySize = "memory-size", "Figure 3: prototypes of each scale, one-vs-all.";
        SamplingRatio = "sampling-ratio", "Figure 4: share of positions of each scale, one-vs-all.";
        ScaleWeights = "scale-weights", "Weight of a scale relative to the one before it, one-vs-all.";
        Ablation = "ablation", "Table 4: parts of the method left out, one-vs-all.";
        LinearEval = "linear-eval", "Top-1 accuracy of a linear classifier on the frozen encoder, over all classes.";
    }
}

named! {
    /// How much of a protocol a machine bears.
    Size, "size" {
        Smoke = "smoke", "A minute: shows that every part works, and nothing else.";
        Cpu = "cpu", "Minutes per training on CPU cores: small network, some of the images.";
        Full = "full", "The preset and the images as they are: for GPUs.";
    }
}

/// Most images of each kind; `None` = all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Normal images to train on.
    pub train: Option<usize>,
    /// Labelled anomalies to train on, where a protocol takes all there are.
    pub taught: Option<usize>,
    /// Normal images to test on.
    pub test_normal: Option<usize>,
    /// Anomalous images to test on, of each set in `ood`.
    pub test_anomalous: Option<usize>,
}

impl Protocol {
    /// What it measures, of which its tables print per cent.
    pub(super) fn measure(self) -> &'static str {
        if self == Self::LinearEval { "accuracy" } else { "AUROC" }
    }
}

impl Size {
    /// Settings on top of a preset.
    #[must_use]
    pub fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Smoke => &[
                "image.size=16",
                "network.width=0.0625",
                "memory.slots=[32, 16]",
                "train.epochs=2",
                "train.least_steps=0",
                "train.batch=32",
                "stage2.hidden=16",
                "stage2.steps=20",
                "score.batch=64",
            ],
            // Settings B of the small trainings that this project compared with PyTorch.
            Self::Cpu => &[
                "image.size=32",
                "network.width=0.25",
                "network.stem=s2",
                "memory.slots=[512, 256]",
                "train.epochs=16",
                "train.least_steps=0",
                "train.batch=64",
                "score.held_out=0.0",
                "score.batch=64",
            ],
            Self::Full => &[],
        }
    }

    /// How many images of a set take part.
    #[must_use]
    pub fn limits(self) -> Limits {
        let [train, taught, test_normal, test_anomalous] = match self {
            Self::Smoke => [200, 50, 100, 300].map(Some),
            Self::Cpu => [3_000, 500, 1_000, 3_000].map(Some),
            Self::Full => [None; 4],
        };
        Limits { train, taught, test_normal, test_anomalous }
    }

    /// `preset` at this size, without anomalies made of normal images, which the paper does not have.
    ///
    /// # Errors
    /// No such preset.
    pub fn config(self, preset: &str) -> Result<Config> {
        let mut config = Config::preset(preset)?;
        config.set("anomalies.pseudo=none")?;
        self.settings().iter().try_for_each(|assignment| config.set(assignment))?;
        Ok(config)
    }

    /// Different draws of labelled anomalies, where there are any: the paper's 10, or one.
    pub(super) fn draws(self) -> usize {
        if self == Self::Full { 10 } else { 1 }
    }
}

/// Most seeds, and most draws.
const MOST_REPEATS: usize = 1_000;

/// A protocol on a set of images.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which protocol.
    pub protocol: Protocol,
    /// The images.
    pub data: DataSpec,
    /// `ood`: sets whose images are anomalous.
    pub against: Vec<DataSpec>,
    /// `cross-type` on a class set: the class that is normal.
    pub normal_class: Option<String>,
    /// CIFAR-100: super-classes instead of classes.
    pub superclasses: bool,
    /// Classes (`cross-type`: kinds) that take part; empty = all.
    pub classes: Vec<String>,
    /// Shares of labelled anomalies among the training images; empty = the protocol's own.
    pub gammas: Vec<f64>,
    /// Values of the setting that a grid varies; empty = the protocol's own.
    pub values: Vec<f64>,
    /// Different draws of labelled anomalies; `None` = the size's own.
    pub draws: Option<usize>,
    /// Different seeds.
    pub seeds: usize,
    /// How large.
    pub size: Size,
    /// Settings of every training, before the protocol's own.
    pub config: Config,
}

impl Request {
    /// Refuses what the protocol has no use for.
    pub(super) fn check(&self) -> Result<()> {
        use Protocol::{
            Ablation, CrossType, LinearEval, MemorySize, OneVsAll, Ood, SamplingRatio, ScaleWeights,
        };
        let protocol = self.protocol;
        let only = |given: bool, flag: &str, fits: &[Protocol]| {
            if given && !fits.contains(&protocol) {
                let fits: Vec<String> = fits.iter().map(ToString::to_string).collect();
                let fits = fits.join(", ");
                return Err(Error::Usage(format!("{flag} with {protocol}: only for {fits}")));
            }
            Ok(())
        };
        let varied = [MemorySize, SamplingRatio, ScaleWeights];
        let classes = [OneVsAll, MemorySize, SamplingRatio, ScaleWeights, Ablation];
        let chosen = [&classes[..], &[CrossType]].concat();
        only(!self.against.is_empty(), "--against", &[Ood])?;
        only(self.normal_class.is_some(), "--normal-class", &[CrossType])?;
        only(self.superclasses, "--superclasses", &classes)?;
        only(!self.classes.is_empty(), "--classes", &chosen)?;
        only(!self.gammas.is_empty(), "--gamma", &classes)?;
        only(!self.values.is_empty(), "--values", &varied)?;
        only(self.draws.is_some(), "--draws", &chosen)?;
        if protocol == Ood && self.against.is_empty() {
            return Err(Error::Usage("ood: name the sets to tell apart with --against".into()));
        }
        for (name, value) in [("--seeds", Some(self.seeds)), ("--draws", self.draws)] {
            if let Some(n) = value.filter(|n| !(1..=MOST_REPEATS).contains(n)) {
                return Err(Error::Usage(format!("{name} {n}: expected 1 to {MOST_REPEATS}")));
            }
        }
        if protocol == LinearEval && self.config.image.tile > 0 {
            return Err(Error::Usage(format!(
                "linear-eval with image.tile = {}: expected 0, since whole images are classified",
                self.config.image.tile
            )));
        }
        self.config.validate()?;
        let last = self.config.seed + self.seeds as u64 - 1;
        Config { seed: last, ..self.config.clone() }.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_of_every_preset_is_valid_and_makes_no_anomalies() {
        for preset in Config::presets() {
            for (size, ..) in Size::ALL {
                let config = size.config(preset).unwrap();
                config.validate().unwrap_or_else(|e| panic!("{preset} at {size}: {e}"));
                assert_eq!(config.anomalies.pseudo, crate::anomem::Pseudo::None);
                assert_eq!(size.settings().is_empty(), *size == Size::Full);
            }
        }
    }

    #[test]
    fn names_are_read_and_written() {
        for (protocol, name, _) in Protocol::ALL {
            assert_eq!(
                (name.parse::<Protocol>().unwrap(), &protocol.to_string()),
                (*protocol, &(*name).to_owned())
            );
        }
        let error = "huge".parse::<Size>().unwrap_err().to_string();
        assert_eq!(error, "no size 'huge': expected one of smoke, cpu, full");
    }
}
