//! From which sizes on which kernels and tiles are faster: numbers that `anomem tune` measures.
//!
//! They are no part of what is computed: with any of them a kernel's result is the same but for rounding. Which kernel
//! runs is a pure function of shape, variant and these numbers.

use super::adapter::{AdapterClass, Variant};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::LazyLock;
use toml::{Table, Value};

/// Version of the files.
const SCHEMA: i64 = 1;

/// What kernels and their tiles are chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tuning {
    /// Products by [`Variant::Subgroup`].
    pub subgroup: SubgroupTuning,
    /// Products by tiles in workgroup memory.
    pub workgroup: WorkgroupTuning,
    /// Winograd's convolutions, where a variant has them.
    pub winograd: WinogradTuning,
}

/// Products by register tiles of a subgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubgroupTuning {
    /// Multiply-adds from which on the tile is 32 columns wide instead of 16: some drivers take a second longer to
    /// compile it.
    pub wide_from: u64,
    /// Workgroups worth having for a gradient of weights.
    pub split_workgroups: u64,
    /// Fewest pixels that one of them sums.
    pub split_pixels: u64,
}

/// Products by tiles of 128 rows in workgroup memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkgroupTuning {
    /// Most columns of a product that takes tiles 16 columns wide.
    pub narrow_to: u64,
    /// Most columns of one that takes 32; more take 64.
    pub middle_to: u64,
    /// Workgroups worth having for a gradient of weights.
    pub split_workgroups: u64,
    /// Fewest pixels that one of them sums.
    pub split_pixels: u64,
}

/// 3 x 3 convolutions of stride 1 by Winograd's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WinogradTuning {
    /// Channels on either side from which on F(2 x 2, 3 x 3) is used.
    pub two_channels: u64,
    /// The same of F(4 x 4, 3 x 3), on maps that are large enough.
    pub four_channels: u64,
    /// Bytes that the points of one chunk of tiles may take, on both sides of the product: more falls out of a
    /// processor's caches, less makes the dispatches small.
    pub chunk_bytes: u64,
}

/// One number of a [`Tuning`].
pub struct Threshold {
    /// `section.name`, as in a file.
    pub key: &'static str,
    /// In words, for a file.
    pub meaning: &'static str,
    /// Least and most.
    pub range: [u64; 2],
    /// Where it is.
    pub of: fn(&mut Tuning) -> &mut u64,
}

/// Every number, in the order of a file.
pub const THRESHOLDS: &[Threshold] = &[
    Threshold {
        key: "subgroup.wide_from",
        meaning: "multiply-adds of a product from which on its tile is 32 columns wide, not 16",
        range: [0, 1 << 60],
        of: |t| &mut t.subgroup.wide_from,
    },
    Threshold {
        key: "subgroup.split_workgroups",
        meaning: "workgroups worth having for a gradient of weights",
        range: [1, 2048],
        of: |t| &mut t.subgroup.split_workgroups,
    },
    Threshold {
        key: "subgroup.split_pixels",
        meaning: "fewest pixels that one of them sums",
        range: [4, 1 << 20],
        of: |t| &mut t.subgroup.split_pixels,
    },
    Threshold {
        key: "workgroup.narrow_to",
        meaning: "most columns of a product that takes tiles 16 columns wide",
        range: [0, 1 << 20],
        of: |t| &mut t.workgroup.narrow_to,
    },
    Threshold {
        key: "workgroup.middle_to",
        meaning: "most columns of one that takes 32; more take 64",
        range: [0, 1 << 20],
        of: |t| &mut t.workgroup.middle_to,
    },
    Threshold {
        key: "workgroup.split_workgroups",
        meaning: "workgroups worth having for a gradient of weights",
        range: [1, 2048],
        of: |t| &mut t.workgroup.split_workgroups,
    },
    Threshold {
        key: "workgroup.split_pixels",
        meaning: "fewest pixels that one of them sums",
        range: [4, 1 << 20],
        of: |t| &mut t.workgroup.split_pixels,
    },
    Threshold {
        key: "winograd.two_channels",
        meaning: "channels on either side from which on F(2 x 2, 3 x 3) is used; 2048: never",
        range: [4, 2048],
        of: |t| &mut t.winograd.two_channels,
    },
    Threshold {
        key: "winograd.four_channels",
        meaning: "the same of F(4 x 4, 3 x 3), on maps that are large enough",
        range: [4, 2048],
        of: |t| &mut t.winograd.four_channels,
    },
    Threshold {
        key: "winograd.chunk_bytes",
        meaning: "bytes that the points of one chunk of tiles may take",
        // The most is half of what small adapters bind.
        range: [1 << 16, 64 << 20],
        of: |t| &mut t.winograd.chunk_bytes,
    },
];

/// The files of this folder: software, integrated, discrete.
static BUILT_IN: LazyLock<[Tuning; 3]> = LazyLock::new(|| {
    FILES.map(|text| {
        Tuning::from_toml(text).unwrap_or_else(|why| unreachable!("a built-in tuning: {why}"))
    })
});
const FILES: [&str; 3] = [
    include_str!("tuning/software.toml"),
    include_str!("tuning/integrated.toml"),
    include_str!("tuning/discrete.toml"),
];

impl Tuning {
    /// The one built in for a class of adapters.
    pub fn built_in(class: AdapterClass) -> Self {
        let [software, integrated, discrete] = *BUILT_IN;
        match class {
            AdapterClass::Software => software,
            AdapterClass::Integrated => integrated,
            AdapterClass::Discrete => discrete,
        }
    }

    /// Reads a file that `anomem tune` wrote.
    ///
    /// # Errors
    /// A file that cannot be read, of another schema, with a key too many or too few or a value out of range.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
        Self::from_toml(&text).map_err(|why| Error::file(path, why))
    }

    fn from_toml(text: &str) -> Result<Self, String> {
        let mut table: Table = text.parse().map_err(|e: toml::de::Error| e.to_string())?;
        match table.remove("schema") {
            Some(Value::Integer(SCHEMA)) => {}
            found => {
                let found = found.map_or("missing".into(), |v| v.to_string());
                return Err(format!(
                    "schema = {found}: expected {SCHEMA}; `anomem tune` makes such a file"
                ));
            }
        }
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let tuning: Self = table.try_into().map_err(|e: toml::de::Error| words(&e.to_string()))?;
        tuning.validate()?;
        Ok(tuning)
    }

    /// As a file, without the lines that say who made it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let (mut copy, mut section) = (*self, "");
        let mut text = format!("schema = {SCHEMA}\n");
        for Threshold { key, meaning, of, .. } in THRESHOLDS {
            let (its, name) = key.split_once('.').unwrap_or(("", key));
            if its != section {
                text += &format!("\n[{its}]\n");
                section = its;
            }
            let entry = format!("{name} = {}", of(&mut copy));
            text += &format!("{entry:30} # {meaning}\n");
        }
        text
    }

    /// Whether kernels can be chosen by it.
    ///
    /// # Errors
    /// The first value out of range, by its key.
    pub fn validate(&self) -> Result<(), String> {
        let mut copy = *self;
        for Threshold { key, range: [least, most], of, .. } in THRESHOLDS {
            let value = *of(&mut copy);
            if !(*least..=*most).contains(&value) {
                return Err(format!("{key} = {value}: expected {least} to {most}"));
            }
        }
        let WorkgroupTuning { narrow_to, middle_to, .. } = self.workgroup;
        if narrow_to > middle_to {
            return Err(format!(
                "workgroup.narrow_to = {narrow_to}: expected no more than middle_to, {middle_to}"
            ));
        }
        Ok(())
    }

    /// A few letters that differ from those of other values.
    #[must_use]
    pub fn mark(&self) -> String {
        blake3::hash(self.to_toml().as_bytes()).to_hex()[..8].to_owned()
    }
}

/// By what a tape records one kernel of a family and not another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelChoice {
    /// Which of a family's kernels.
    pub variant: Variant,
    /// From which sizes on.
    pub tuning: Tuning,
}

/// The variant's kernels as tuned for the adapters that it was written for.
impl From<Variant> for KernelChoice {
    fn from(variant: Variant) -> Self {
        let class = match variant {
            Variant::Simple | Variant::Subgroup { .. } => AdapterClass::Software,
            _ => AdapterClass::Discrete,
        };
        Self { variant, tuning: Tuning::built_in(class) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_files_are_what_tune_writes() {
        for text in FILES {
            let tuning = Tuning::from_toml(text).unwrap();
            let without: String = text
                .lines()
                .skip_while(|line| line.starts_with('#'))
                .map(|line| format!("{line}\n"))
                .collect();
            assert_eq!(tuning.to_toml(), without);
            assert!(text.starts_with("# "), "{text}: says who measured it, or that nobody did");
        }
    }

    #[test]
    fn every_number_survives_a_file() {
        let mut tuning = Tuning::built_in(AdapterClass::Software);
        for Threshold { key, of, range: [least, most], .. } in THRESHOLDS {
            let before = tuning;
            *of(&mut tuning) += 1;
            assert_ne!(tuning, before, "{key}");
            assert_ne!(tuning.mark(), before.mark(), "{key}");
            assert_eq!(Tuning::from_toml(&tuning.to_toml()).unwrap(), tuning, "{key}");
            for wrong in [least.checked_sub(1), Some(most + 1)].into_iter().flatten() {
                let mut other = tuning;
                *of(&mut other) = wrong;
                let why = Tuning::from_toml(&other.to_toml()).unwrap_err();
                assert!(why.starts_with(&format!("{key} = {wrong}: expected ")), "{why}");
            }
        }
    }

    #[test]
    fn a_file_that_is_none_is_told_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let good = Tuning::built_in(AdapterClass::Discrete).to_toml();
        for (text, parts) in [
            (good.replace("schema = 1", "schema = 2"), &["schema = 2: expected 1"][..]),
            (good.replace("schema = 1", ""), &["schema = missing: expected 1"]),
            (good.replace("middle_to", "midle_to"), &["unknown field `midle_to`", "workgroup"]),
            (
                good.replace("split_pixels = 256 ", "# "),
                &["missing field `split_pixels`", "workgroup"],
            ),
            (good.replace("chunk_bytes = ", "chunk_bytes = -"), &["chunk_bytes"]),
            (good.replace("narrow_to = 16", "narrow_to = 64"), &["workgroup.narrow_to = 64"]),
            ("[[".into(), &["line 1"]),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Tuning::read(&path).unwrap_err().to_string();
            let all = ["mine.toml"].iter().chain(parts).all(|part| error.contains(part));
            assert!(all, "{error}: expected {parts:?}");
        }
        let error = Tuning::read(folder.path().join("no.toml")).unwrap_err().to_string();
        assert!(error.contains("no.toml: cannot be read"), "{error}");
    }
}
