//! Anomaly detection via multi-scale contrasted memory (AnoMem, arXiv 2211.09041), computed by
//! hand-written WGSL shaders on any GPU.
//!
//! Dependencies point one way: `gpu` ← `tensor` ← `autograd` ← `ops`. wgpu types never leave `gpu`.

mod error;
pub use error::{Error, Result};
pub mod anomem;
pub mod autograd;
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod gpu;
pub mod nn;
pub mod ops;
pub mod report;
pub mod reproduce;
pub mod tensor;
