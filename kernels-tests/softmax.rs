use crate::harness::{Input, close, fill, gpu, run, run_case, variants, wide};
use crate::reference::softmax as reference;
use anomem::gpu::{Gpu, Variant};
use anomem::ops::softmax::softmax;
use proptest::prelude::*;

/// Rows and columns: ones; equal; one under, at and over a workgroup of rows and of columns; the
/// longest rows of the method's memories; over one dispatch dimension of rows.
const SHAPES: &[[usize; 2]] = &[
    [1, 1],
    [1, 7],
    [7, 1],
    [5, 3],
    [6, 6],
    [63, 5],
    [64, 64],
    [65, 63],
    [3, 65],
    [2, 129],
    [3, 4096],
];

/// The magnitude holds the roundings of an exponential; a row's sum adds some that grow as the root of
/// their number.
fn depth(cols: usize) -> f64 {
    1.0 + (cols as f64).sqrt() / 16.0
}

/// Rows of different size and spread, far from 0, so that exp overflows unless the maximum is
/// subtracted.
fn logits(rows: usize, cols: usize) -> Vec<f32> {
    let mut x = fill(rows * cols, 1);
    for (r, row) in x.chunks_mut(cols).enumerate() {
        row.iter_mut().for_each(|x| *x = *x * 3.0 + [-90.0, 0.5, 130.0][r % 3]);
    }
    x
}

fn check(gpu: &Gpu, variant: Variant, shape: [usize; 2], scale: f32) {
    check_of(gpu, variant, shape, scale, &logits(shape[0], shape[1]));
}

fn check_of(gpu: &Gpu, variant: Variant, [rows, cols]: [usize; 2], scale: f32, x: &[f32]) {
    let g = fill(rows * cols, 2);
    let inputs = [Input::Trainable(&[rows, cols], x)];
    let record = |t: &mut _, v: &[_]| Ok(vec![softmax(t, v[0], scale)?]);
    let outcome = run_case(gpu, variant, &inputs, &[&g], record).unwrap();
    let (wide_x, wide_scale) = (wide(x), f64::from(scale));
    let want = reference::forward(&wide_x, cols, wide_scale);
    let y = close("y", &outcome.outputs[0], &want, depth(cols)).unwrap();
    let want = reference::backward(&wide_x, &wide(&g), cols, wide_scale);
    let grad = close("grad_x", &outcome.grads[0], &want, depth(cols)).unwrap();
    println!("softmax [{rows}, {cols}] {variant:?}: worst {y:.3} and {grad:.3} of the allowance");
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in variants(gpu) {
            for shape in SHAPES {
                check(gpu, variant, *shape, 0.75);
            }
            check(gpu, variant, [5, 7], -1.25);
        }
    }
}

/// Rows whose maximum, far above the rest, sits where each lane, first or last, may look.
#[test]
fn a_peak_anywhere_in_the_row() {
    let Some(gpu) = gpu(false) else { return };
    let (rows, cols) = (5, 200);
    let mut x = fill(rows * cols, 3);
    for (r, at) in [0, 63, 64, 150, 199].into_iter().enumerate() {
        x[r * cols + at] = 150.0;
    }
    variants(gpu).into_iter().for_each(|v| check_of(gpu, v, [rows, cols], 0.75, &x));
}

/// One invocation would walk these rows thrice, in more iterations than lavapipe grants a shader.
#[test]
fn rows_longer_than_an_invocation_may_walk() {
    let Some(gpu) = gpu(false) else { return };
    for cols in [20_000, 20_001, 70_001] {
        check(gpu, Variant::Simple, [2, cols], 0.75);
    }
}

#[test]
fn more_rows_than_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    check(gpu, Variant::Simple, [65_535 * 64 + 1, 1], 0.75);
    check(gpu, Variant::Tiled, [65_536, 3], 0.75);
}

#[test]
fn what_is_no_matrix_is_an_error() {
    let Some(gpu) = gpu(false) else { return };
    let x = fill(6, 1);
    let e = run(gpu, &[(&[1, 2, 3], &x)], &x, |t, v| softmax(t, v[0], 1.0)).unwrap_err();
    assert_eq!(e.to_string(), "softmax: x [1, 2, 3]: expected [R, C] with C at most 1048576");
    let e = run(gpu, &[(&[4, 0], &[])], &[], |t, v| softmax(t, v[0], 1.0)).unwrap_err();
    assert!(e.to_string().contains("[4, 0]"), "{e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_shape(rows in 1usize..90, cols in 1usize..90, scale in 0.1f32..4.0) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        variants(gpu).into_iter().for_each(|v| check(gpu, v, [rows, cols], scale));
    }
}
