//! f64 references, from the definitions, in plain loops. Nothing here imports the crate under test.

pub mod activation;
pub mod add;
pub mod cosine;
pub mod finite;
pub mod optimizer;
pub mod reduce;
pub mod softmax;
pub mod variance;

/// What a reference computes: the value, and per element the sum of the magnitudes of its terms,
/// from which the tolerance is earned.
pub struct Out {
    pub value: Vec<f64>,
    pub mag: Vec<f64>,
}

/// Central difference of `f` along `x[i]`.
pub fn slope(x: &[f64], i: usize, f: impl Fn(&[f64]) -> f64) -> f64 {
    let h = 1e-5;
    let at = |d: f64| {
        let mut moved = x.to_vec();
        moved[i] += d;
        f(&moved)
    };
    (at(h) - at(-h)) / (2.0 * h)
}
