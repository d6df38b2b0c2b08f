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
mod glimpse;
mod heads;
mod journal;
pub mod kmeans;
mod labels;
pub mod linear;
mod made;
mod model;
pub mod objective;
mod pretrained;
mod revival;
mod scorer;
mod set;
mod start;
mod step;
mod teach;
mod trainer;

pub use checkpoint::{Checkpoint, Content, Facts, TrainingProgress};
pub use config::{
    AnomalyConfig, AugmentConfig, Backbone, BackboneTraining, Config, DamageKind, Head, HeadInput,
    HeadKind, ImageConfig, ImageSize, LossConfig, LossKind, MemoryConfig, MemoryInit, MemoryKind,
    Negatives, NetworkConfig, Normalise, Positions, Pseudo, Reduce, Schedule, ScoreConfig,
    Stage2Config, Stage2Training, Standardise, Stem, TrainConfig,
};
pub use evaluate::{Judged, NearestPixels, score_samples, test};
pub use glimpse::Glimpse;
pub use heads::Heads;
pub use journal::{ContrastRecord, EpochRecord, Journal, MemoryRecord, ScaleRecord};
pub use model::{Calibration, Encoded, Model, Recollection, Scale};
pub use pretrained::{Origin, Pretrained};
pub use scorer::{Score, Scorer};
pub use set::TrainingSet;
pub use step::Phase;
pub(crate) use step::augmentation;
pub use teach::{Knowledge, Taught, teach, teaching};
pub use trainer::{Observer, RunFolder, TrainOptions, load_model, train};
