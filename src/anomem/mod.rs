//! anomem

mod config;

pub use config::{
    AugmentConfig, Backbone, Config, Head, ImageConfig, ImageSize, LossConfig, LossKind,
    MemoryConfig, MemoryInit, Negatives, NetworkConfig, Normalise, Positions, Reduce, Schedule,
    ScoreConfig, Standardise, Stem, TrainConfig,
};
