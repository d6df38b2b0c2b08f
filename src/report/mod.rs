//! What is written for people and other programs: metrics, score tables, heat maps.
//!
//! ```text
//! scores -> ranking -+
//! maps, masks -> regions -> pixel_scores -> ranking -+-> metrics (Metrics) -> table (text, JSON)
//! scores, held-out scores -> verdict (p-values) -> scores (scores.csv)
//! images, maps, masks -> heatmap (overlays, contact sheets)
//! every file -> atomic (temporary name, sync, rename)
//! ```

mod atomic;
pub mod heatmap;
mod metrics;
mod pixel_scores;
mod ranking;
mod regions;
mod scores;
mod table;
mod verdict;

pub use atomic::write_atomic;
pub use metrics::{Evaluator, Metrics, Summary};
pub use scores::{ScoreRow, ScoreTable, Truth};
pub use verdict::{Judge, Judgement};
