//! The paper's protocols as grids of trainings, and their tables beside the paper's numbers.
//!
//! ```text
//! Request -> Plan: cells (one training each), rows that read them, axis of a figure
//! Plan -> Grid: a folder; each cell trains, is tested and leaves result.json; resumable, shared by jobs
//! all results -> Table -> table.md, table.csv, table.json, figure.svg
//! ```

mod figure;
mod grid;
mod images;
mod notes;
mod paper;
mod plan;
mod request;
mod table;
mod variants;

pub use grid::{CellResult, Counts, Grid, Jobs};
pub use plan::{Cell, Plan, Selection};
pub use request::{Limits, Protocol, Request, Size};
pub use table::Table;
