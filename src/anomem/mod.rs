//! The method: contrasted memory in training, deviation from prototypes in scoring.
//!
//! ```text
//! Config -> Model (encoder, memories) ; images -> Feed -> objective -> trainer -> checkpoint
//! checkpoint -> Scorer: deviation maps -> scores, heat maps
//! ```

mod checkpoint;
mod config;
mod evaluate;
mod feed;
mod journal;
mod model;
pub mod objective;
mod revival;
mod scorer;
mod start;
mod trainer;

pub use checkpoint::{Checkpoint, Content, Facts, TrainingProgress};
pub use config::{
    AugmentConfig, Backbone, Config, Head, ImageConfig, ImageSize, LossConfig, LossKind,
    MemoryConfig, MemoryInit, Negatives, NetworkConfig, Normalise, Positions, Reduce, Schedule,
    ScoreConfig, Standardise, Stem, TrainConfig,
};
pub use evaluate::{Judged, NearestPixels, score_samples, test};
pub use journal::{EpochRecord, Journal, ScaleRecord};
pub use model::{Calibration, Model, Scale};
pub use scorer::{Score, Scorer};
pub use trainer::{Observer, RunFolder, TrainingSet, load_model, train};
