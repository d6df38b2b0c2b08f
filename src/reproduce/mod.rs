//! The paper's protocols as grids of trainings, and their tables beside the paper's numbers.
//!
//! ```text
//! Request -> Plan: cells (one training each), rows that read them, axis of a figure
//! Plan -> Grid: a folder; each cell trains, is tested and leaves result.json; resumable, shared by jobs
//! all results -> Table -> table.md, table.csv, table.json, figure.svg
//! ```

mod cell;
mod figure;
mod figures;
mod grid;
mod images;
mod notes;
mod paper;
mod plan;
mod request;
mod table;
mod variants;

pub use cell::{Cell, CellResult, Counts, Selection};
pub use grid::{Grid, Jobs};
pub use plan::Plan;
pub use request::{Limits, Protocol, Request, Size};
pub use table::Table;
