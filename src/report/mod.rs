//! What is written for people and other programs: metrics, score tables, heat maps, pages.
//!
//! ```text
//! scores -> ranking -+
//! maps, masks -> regions -> pixel_scores -> ranking -+-> metrics (Metrics) -> table (text, JSON)
//! scores, held-out scores -> verdict (p-values) -> scores (scores.csv)
//! images, maps, masks -> heatmap (overlays, contact sheets) -> picture (PNG, JPEG inside HTML) -+
//! curves, scores -> chart (SVG) -+-> page (report.html)
//! every file -> atomic (temporary name, sync, rename)
//! ```

mod atomic;
pub mod chart;
pub mod heatmap;
mod metrics;
pub mod page;
mod picture;
mod pixel_scores;
mod ranking;
mod regions;
mod scores;
mod table;
mod verdict;

pub use atomic::write_atomic;
pub use metrics::{Evaluator, Metrics, Summary};
pub use picture::Picture;
pub use scores::{ScoreRow, ScoreTable, Truth};
pub use verdict::{Judge, Judgement};
