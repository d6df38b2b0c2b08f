use crate::harness::{Input, close, fill, gpu, run_case, wide};
use crate::reference::cross_entropy as reference;
use anomem::anomem::linear::{Classifier, Labelled};
use anomem::anomem::{EpochRecord, Observer};
use anomem::gpu::{AdapterClass, Gpu, Variant};
use anomem::ops::cross_entropy::cross_entropy;
use proptest::prelude::*;

/// Rows and columns: ones; equal; all different; one under, at and over a workgroup of rows; a linear
/// evaluation's.
const SHAPES: &[[usize; 2]] =
    &[[1, 1], [1, 7], [7, 1], [5, 3], [6, 6], [63, 5], [64, 64], [65, 63], [256, 100], [3, 4096]];

/// Logits far from 0 in some rows, so that exp overflows unless the maximum is subtracted; labels at the
/// maximum, at the least, anywhere, and none of the classes.
fn batch(rows: usize, cols: usize, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut x = fill(rows * cols, seed);
    let mut labels = Vec::new();
    for (r, row) in x.chunks_mut(cols).enumerate() {
        row.iter_mut().for_each(|x| *x = *x * 4.0 + [-90.0, 0.5, 130.0][r % 3]);
        let by = |a: &usize, b: &usize| row[*a].total_cmp(&row[*b]);
        labels.push(match r % 5 {
            0 => (0..cols).max_by(by).unwrap() as u32,
            1 => (0..cols).min_by(by).unwrap() as u32,
            2 => cols as u32 - 1,
            3 => (r * 7 % cols) as u32,
            _ => cols as u32 + (r as u32 / 5),
        });
    }
    (x, labels)
}

fn check(gpu: &Gpu, [rows, cols]: [usize; 2], seed: u64) {
    let (x, labels) = batch(rows, cols, seed);
    let inputs = [Input::Trainable(&[rows, cols], &x), Input::Integers(&[rows], &labels)];
    let record = |t: &mut _, v: &[_]| Ok(vec![cross_entropy(t, v[0], v[1])?]);
    let outcome = run_case(gpu, Variant::Simple, &inputs, &[&[-1.7]], record).unwrap();
    // A row's sum adds roundings that grow as the root of its terms, and so does the mean.
    let root = |n: usize| (n as f64).sqrt() / 16.0;
    let want = reference::forward(&wide(&x), &labels, cols);
    let depth = 1.0 + root(cols) + root(rows);
    let loss = close("loss", &outcome.outputs[0], &want, depth).unwrap();
    let want = reference::backward(&wide(&x), &labels, cols, f64::from(-1.7f32));
    let grad = close("grad_logits", &outcome.grads[0], &want, 1.0 + root(cols)).unwrap();
    println!("cross_entropy [{rows}, {cols}]: worst {loss:.3} and {grad:.3} of the allowance");
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        SHAPES.iter().for_each(|shape| check(gpu, *shape, 1));
    }
}

#[test]
fn more_rows_than_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    check(gpu, [65_535 * 64 + 1, 2], 2);
}

#[test]
fn as_many_columns_as_an_invocation_may_walk() {
    let Some(gpu) = gpu(false) else { return };
    check(gpu, [2, 30_000], 3);
}

/// The loss of one row, and its gradient.
fn of_row(gpu: &Gpu, row: &[f32], label: u32) -> (f32, Vec<f32>) {
    let inputs = [Input::Trainable(&[1, row.len()], row), Input::Integers(&[1], &[label])];
    let record = |t: &mut _, v: &[_]| Ok(vec![cross_entropy(t, v[0], v[1])?]);
    let mut outcome = run_case(gpu, Variant::Simple, &inputs, &[&[1.0]], record).unwrap();
    (outcome.outputs[0][0], outcome.grads.swap_remove(0))
}

#[test]
fn a_row_of_no_class_costs_nothing() {
    let Some(gpu) = gpu(false) else { return };
    for label in [3, u32::MAX] {
        assert_eq!(of_row(gpu, &[1.0, 2.0, 3.0], label), (0.0, vec![0.0; 3]));
    }
    // Where softmax itself is 0 in f32, the loss still says how far off it is.
    assert_eq!(of_row(gpu, &[500.0, 0.0], 1), (500.0, vec![1.0, -1.0]));
}

/// Not promised by WGSL, so only asked of the drivers that CI runs: logits that are NaN are not hidden.
#[test]
fn nan_passes_through() {
    let Some(gpu) = gpu(false) else { return };
    if gpu.report().class == AdapterClass::Software {
        for at in 0..3 {
            let mut row = [1.0, 2.0, 3.0];
            row[at] = f32::NAN;
            let (loss, grad) = of_row(gpu, &row, 1);
            assert!(loss.is_nan() && grad.iter().any(|g| g.is_nan()), "{at}: {loss} {grad:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_shapes() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |logits: &[usize], labels: &[usize]| {
        let inputs = [Input::Constant(logits, &[]), Input::Integers(labels, &[])];
        let record = |t: &mut _, v: &[_]| Ok(vec![cross_entropy(t, v[0], v[1])?]);
        run_case(gpu, Variant::Simple, &inputs, &[&[]], record).err().unwrap().to_string()
    };
    assert_eq!(
        fails(&[5, 3], &[4]),
        "cross_entropy: logits [5, 3], labels [4]: expected [R, C] and [R]"
    );
    for (logits, labels) in [(&[5][..], &[5][..]), (&[5, 3], &[5, 1]), (&[5, 3, 1], &[5])] {
        assert!(fails(logits, labels).ends_with("expected [R, C] and [R]"));
    }
    assert!(fails(&[5, 30_001], &[5]).ends_with("too many columns for one invocation"));
    assert!(fails(&[4, 0], &[4]).contains("[4, 0]"));
}

struct Silent;

impl Observer for Silent {
    fn advance(&mut self, _: &'static str, _: u64, _: u64) {}
    fn epoch(&mut self, _: &EpochRecord, _: usize) {}
    fn note(&mut self, _: &str) {}
    fn warn(&mut self, _: &str) {}
}

/// Vectors of 5 components, far from 0 and of different spread, whose class is the greatest of three sums of
/// them.
fn of_three_classes(len: usize, seed: u64) -> Labelled {
    let (mut features, mut labels) = (Vec::new(), Vec::new());
    for x in fill(len * 5, seed).chunks(5) {
        let sums = [x[0] - x[3], x[1] + 0.5 * x[4], x[2] + 0.5 * x[3]];
        labels.push((0..3).max_by(|a, b| sums[*a].total_cmp(&sums[*b])).unwrap() as u32);
        features.extend(x.iter().zip([0.1, 1.0, 10.0, 5.0, 1.0]).map(|(x, s)| s * x + 3.0));
    }
    Labelled { features, labels }
}

#[test]
fn a_linear_classifier_learns_what_is_linear() {
    let Some(gpu) = gpu(false) else { return };
    // No whole number of batches.
    let (known, asked) = (of_three_classes(600, 1), of_three_classes(333, 2));
    let classifier = Classifier::new(gpu, 5, 3, 64, 7).unwrap();
    let before = classifier.accuracy(gpu, &asked).unwrap();
    let loss = classifier.train(gpu, &known, 7, &mut Silent).unwrap();
    let after = classifier.accuracy(gpu, &asked).unwrap();
    println!("linear classifier: {before:.3} untrained, {after:.3} trained, loss {loss:.4}");
    assert!(before < 0.8 && after > 0.95 && loss < 0.25);
    let again = Classifier::new(gpu, 5, 3, 64, 7).unwrap();
    assert_eq!(again.train(gpu, &known, 7, &mut Silent).unwrap().to_bits(), loss.to_bits());

    // Labels of other vectors teach nothing.
    let wrong = Labelled { labels: of_three_classes(600, 3).labels, ..known };
    let blind = Classifier::new(gpu, 5, 3, 64, 7).unwrap();
    blind.train(gpu, &wrong, 7, &mut Silent).unwrap();
    assert!(blind.accuracy(gpu, &asked).unwrap() < 0.6);

    let error = |of: Labelled| classifier.accuracy(gpu, &of).unwrap_err().to_string();
    let part = "linear classifier: 10 values, 2 labels: expected 5 to a label, labels below 3";
    assert_eq!(error(Labelled { features: vec![0.0; 10], labels: vec![0, 3] }), part);
    assert!(error(Labelled { features: vec![0.0; 9], labels: vec![0, 1] }).contains("9 values"));
    assert!(error(Labelled { features: Vec::new(), labels: Vec::new() }).contains("0 labels"));
    assert!(Classifier::new(gpu, 5, 3, 1, 7).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_shape(rows in 1usize..90, cols in 1usize..90, seed in 0u64..1000) {
        if let Some(gpu) = gpu(false) {
            check(gpu, [rows, cols], seed);
        }
    }
}
