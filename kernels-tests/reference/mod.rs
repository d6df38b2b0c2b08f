//! f64 references, from the definitions, in plain loops. Nothing here imports the crate under test.

pub mod activation;
pub mod add;
pub mod affine;
pub mod augment;
pub mod barlow;
pub mod batch_norm;
pub mod bounds;
pub mod conv2d;
pub mod cosine;
pub mod cross_entropy;
pub mod damage;
pub mod deviation;
pub mod finite;
pub mod flip;
pub mod gather;
pub mod gaussian;
pub mod hinge;
pub mod hopfield;
pub mod kmeans;
pub mod loss_scale;
pub mod matmul;
pub mod nearest;
pub mod normalize;
pub mod nt_xent;
pub mod optimizer;
pub mod pool;
pub mod reduce;
pub mod resize;
pub mod rotation;
pub mod rows;
pub mod select;
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

/// Compares a gradient with central differences of `loss`, all in f64.
fn derivative(at: &[f64], analytic: &[f64], loss: impl Fn(&[f64]) -> f64) {
    assert_eq!(at.len(), analytic.len());
    for (i, analytic) in analytic.iter().enumerate() {
        let numeric = slope(at, i, &loss);
        assert!(
            (numeric - analytic).abs() <= 1e-7 * (1.0 + analytic.abs()),
            "[{i}]: differences give {numeric}, the gradient is {analytic}"
        );
    }
}
