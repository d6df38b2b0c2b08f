//! `--data SPEC`: where the images are and how to read them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Error, Result};

/// What a data specification names.
///
/// Written `DIR` (the layout of the folder is recognised), or `FORMAT:DIR`:
///
/// | text           | meaning                                                              |
/// |----------------|----------------------------------------------------------------------|
/// | `DIR`          | image folder: MVTec AD layout, class folders or plain images         |
/// | `plain:DIR`    | every image below the folder, all normal, whatever its sub-folders   |
/// | `cifar10:DIR`  | the official binary version of CIFAR-10                              |
/// | `cifar100:DIR` | the official binary version of CIFAR-100                             |
/// | `idx:DIR`      | MNIST or Fashion-MNIST idx files, gzipped or not                     |
/// | `svhn:DIR`     | SVHN's cropped digits, `train_32x32.mat` and `test_32x32.mat`        |
///
/// ```
/// use anomem::data::{DataSpec, Format};
/// let spec: DataSpec = "cifar10:/data/cifar".parse()?;
/// assert_eq!(spec.format, Format::Cifar10);
/// assert_eq!(spec.to_string(), "cifar10:/data/cifar");
/// # Ok::<(), anomem::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSpec {
    /// How the folder is read.
    pub format: Format,
    /// The folder.
    pub dir: PathBuf,
}

/// How the folder of a [`DataSpec`] is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Image files, layout recognised from the folders.
    Folder,
    /// Image files, all normal, folders ignored.
    Plain,
    /// CIFAR-10, official binary files.
    Cifar10,
    /// CIFAR-100, official binary files.
    Cifar100,
    /// MNIST-like idx files.
    Idx,
    /// SVHN's cropped digits, MATLAB files; one of the two may be missing.
    Svhn,
}

/// Every prefix that a specification may have.
const PREFIXES: [(&str, Format); 5] = [
    ("plain", Format::Plain),
    ("cifar10", Format::Cifar10),
    ("cifar100", Format::Cifar100),
    ("idx", Format::Idx),
    ("svhn", Format::Svhn),
];

impl DataSpec {
    /// The image folder `dir`, layout recognised.
    pub fn folder(dir: impl AsRef<Path>) -> Self {
        Self { format: Format::Folder, dir: dir.as_ref().to_path_buf() }
    }

    /// Every image below `dir`, all normal.
    pub fn plain(dir: impl AsRef<Path>) -> Self {
        Self { format: Format::Plain, dir: dir.as_ref().to_path_buf() }
    }
}

impl FromStr for DataSpec {
    type Err = Error;

    /// # Errors
    /// [`Error::Usage`] when the text is empty, names no folder, or has an unknown prefix and is
    /// no existing path (paths may hold colons: `C:\tiles`).
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::Usage(format!("empty data SPEC: expected {}", expected())));
        }
        let Some((prefix, dir)) = text.split_once(':') else {
            return Ok(Self::folder(text));
        };
        if let Some(&(_, format)) = PREFIXES.iter().find(|(name, _)| *name == prefix) {
            if dir.is_empty() {
                return Err(Error::Usage(format!(
                    "data SPEC '{text}' names no folder: expected {prefix}:DIR"
                )));
            }
            return Ok(Self { format, dir: PathBuf::from(dir) });
        }
        let is_path = prefix.len() <= 1 || prefix.contains(['/', '\\', '.']);
        if is_path || Path::new(text).exists() {
            return Ok(Self::folder(text));
        }
        Err(Error::Usage(format!(
            "data SPEC '{text}': unknown format '{prefix}', expected {}",
            expected()
        )))
    }
}

fn expected() -> String {
    let formats: Vec<_> = PREFIXES.iter().map(|(name, _)| format!("{name}:DIR")).collect();
    format!("a folder or one of {}", formats.join(", "))
}

impl fmt::Display for DataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = PREFIXES.iter().find(|(_, format)| *format == self.format) {
            write!(f, "{name}:")?;
        }
        write!(f, "{}", self.dir.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_and_writes_it_back() {
        for (text, format, dir) in [
            ("tiles", Format::Folder, "tiles"),
            ("./a:b/tiles", Format::Folder, "./a:b/tiles"),
            ("C:\\tiles", Format::Folder, "C:\\tiles"),
            ("plain:tiles", Format::Plain, "tiles"),
            ("cifar10:/data/c", Format::Cifar10, "/data/c"),
            ("cifar100:c", Format::Cifar100, "c"),
            ("idx:C:\\mnist", Format::Idx, "C:\\mnist"),
            ("svhn:digits", Format::Svhn, "digits"),
        ] {
            let spec: DataSpec = text.parse().unwrap();
            assert_eq!(spec, DataSpec { format, dir: dir.into() });
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_names_nothing() {
        for (text, part) in
            [("", "empty"), ("cifar10:", "cifar10:DIR"), ("cifar11:x", "unknown format 'cifar11'")]
        {
            let message = text.parse::<DataSpec>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
