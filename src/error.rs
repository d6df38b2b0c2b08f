//! The one error type of the crate.

use std::path::{Path, PathBuf};

/// The name of the limit that the user sets.
pub(crate) const MEMORY_BUDGET: &str = "the memory budget";

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, in the words of the person who has to mend it.
///
/// Each message names the operation, file or value, what was found and what was expected.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation was recorded with operands whose shapes or settings do not fit.
    #[error("{op}: {message}")]
    Shape {
        /// The operation, as `family` or `family.kernel`.
        op: String,
        /// Both shapes and what was expected.
        message: String,
    },
    /// A setting, flag or argument has a value that cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file or folder could not be read or written.
    #[error("{path}: {message}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was wrong and what was expected.
        message: String,
    },
    /// No adapter answers, or none matches the request.
    #[error("{0}")]
    NoAdapter(String),
    /// A tensor or kernel needs more than the adapter (or the user's budget) allows.
    #[error("{what} needs {wanted}, but {limit} allows {allowed}")]
    Limit {
        /// The tensor, kernel or plan.
        what: String,
        /// What it needs, with its unit.
        wanted: String,
        /// The limit's name.
        limit: String,
        /// What is allowed, with its unit.
        allowed: String,
    },
    /// The GPU reported a fault while running the named work.
    #[error("GPU error in {context}: {message}")]
    Gpu {
        /// Label of the kernel, plan or transfer.
        context: String,
        /// The driver's or wgpu's own words.
        message: String,
    },
    /// The device went away: driver reset, watchdog, unplugged.
    #[error("the GPU device was lost during {context}: {message}")]
    DeviceLost {
        /// Label of the kernel, plan or transfer.
        context: String,
        /// The driver's words.
        message: String,
    },
    /// GPU memory ran out.
    #[error("out of GPU memory in {context}: {message}")]
    OutOfMemory {
        /// Label of the kernel, plan or transfer.
        context: String,
        /// The driver's words.
        message: String,
    },
    /// A fault of this program: please report it.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// A shape error of operation `op`.
    pub fn shape(op: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Shape { op: op.into(), message: message.into() }
    }

    /// An error about the file or folder at `path`.
    pub fn file(path: impl AsRef<Path>, message: impl ToString) -> Self {
        Self::File { path: path.as_ref().to_path_buf(), message: message.to_string() }
    }

    /// Whether a plan that takes less memory may do.
    pub(crate) fn is_lack_of_memory(&self) -> bool {
        match self {
            Self::OutOfMemory { .. } => true,
            Self::Limit { limit, .. } => limit == MEMORY_BUDGET,
            _ => false,
        }
    }

    /// The process exit code: 2 for what the user can mend, 1 for faults of the program or driver.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Shape { .. }
            | Self::Gpu { .. }
            | Self::DeviceLost { .. }
            | Self::OutOfMemory { .. }
            | Self::Internal(_) => 1,
            Self::Usage(_) | Self::File { .. } | Self::NoAdapter(_) | Self::Limit { .. } => 2,
        }
    }
}
