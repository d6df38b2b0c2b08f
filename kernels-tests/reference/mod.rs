//! f64 references, from the definitions, in plain loops. Nothing here imports the crate under test.

pub mod activation;
pub mod add;
pub mod gather;
pub mod hopfield;

/// What a reference computes: the value, and per element the sum of the magnitudes of its terms,
/// from which the tolerance is earned.
pub struct Out {
    pub value: Vec<f64>,
    pub mag: Vec<f64>,
}
