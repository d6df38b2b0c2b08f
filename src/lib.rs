//! Anomaly detection via multi-scale contrasted memory.

mod error;
pub use error::{Error, Result};
pub mod anomem;
pub mod autograd;
pub mod data;
pub mod gpu;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod report;
pub mod tensor;
