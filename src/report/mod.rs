//! What is written for people and other programs: metrics, score tables, heat maps.
//!
//! ```text
//! scores, maps, masks -> metrics (Metrics) ; scores (scores.csv) ; heatmap (overlays, sheets)
//! every file -> atomic (temporary name, sync, rename)
//! ```

mod atomic;
mod metrics;

pub use atomic::write_atomic;
pub use metrics::{Evaluator, Metrics, Summary};
