//! Layers: operations with their parameters, initial values and names.
//!
//! ```text
//! Builder declares -> layers hold variables -> Module lists them -> a tape records them
//! ```

mod layers;
mod module;
mod resnet;

pub use layers::{BatchNorm, Conv2d, Linear};
pub use module::{
    BatchStatistics, Builder, Group, Health, Initial, Kind, Module, Parameter, Statistic, Trained,
    UpdateOptions,
};
pub use resnet::{Depth, ResNet, ResNetOptions, Stem};

/// How batch norm behaves while a network is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch, which are also written down for the running ones.
    Train,
    /// Running statistics.
    Evaluate,
}
