use crate::harness::{Input, close, fill, gpu, run_case, wide};
use crate::reference::select as reference;
use anomem::gpu::{Gpu, Variant};
use anomem::ops::select::rows;
use proptest::prelude::*;

/// Choices, rows of each, columns: all different; all equal; ones; one under, at and over a workgroup of
/// elements; the sizes of a step.
const SHAPES: &[[usize; 3]] = &[
    [2, 3, 5],
    [7, 2, 3],
    [4, 4, 4],
    [1, 1, 1],
    [1, 5, 2],
    [6, 1, 7],
    [5, 3, 1],
    [7, 3, 3],
    [4, 2, 8],
    [13, 5, 1],
    [16, 19, 64],
];

/// Of both kinds, in no pattern; the first and the last are 1.
fn choices(count: usize, seed: u64) -> Vec<f32> {
    let mut choose: Vec<f32> =
        fill(count, seed).iter().map(|v| if *v > 0.0 { 1.0 } else { 0.0 }).collect();
    (choose[0], choose[count - 1]) = (1.0, 1.0);
    choose
}

fn check(gpu: &Gpu, [count, per, cols]: [usize; 3], choose: &[f32]) {
    let shape = [count * per, cols];
    let len = count * per * cols;
    let (a, b, g) = (fill(len, 1), fill(len, 2), fill(len, 3));
    let inputs = [
        Input::Trainable(&shape, &a),
        Input::Trainable(&shape, &b),
        Input::Constant(&[count], choose),
    ];
    let record = |t: &mut _, v: &[_]| Ok(vec![rows(t, v[0], v[1], v[2], per)?]);
    let outcome = run_case(gpu, Variant::Simple, &inputs, &[&g], record).unwrap();
    let wide_choose = wide(choose);
    let want = reference::rows(&wide(&a), &wide(&b), &wide_choose, per, cols);
    // Nothing is computed, so nothing may be off.
    close("y", &outcome.outputs[0], &want, 0.0).unwrap();
    let [of_a, of_b] = reference::rows_backward(&wide(&g), &wide_choose, per, cols);
    close("grad_a", &outcome.grads[0], &of_a, 0.0).unwrap();
    close("grad_b", &outcome.grads[1], &of_b, 0.0).unwrap();
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for shape in SHAPES {
            check(gpu, *shape, &choices(shape[0], 4));
            check(gpu, *shape, &vec![0.0; shape[0]]);
            check(gpu, *shape, &vec![1.0; shape[0]]);
        }
    }
}

#[test]
fn more_elements_than_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    let shape = [2049, 2, 1025];
    check(gpu, shape, &choices(shape[0], 5));
}

/// A side that wants no gradient costs none, and the other's stays.
#[test]
fn one_side_may_be_constant() {
    let Some(gpu) = gpu(false) else { return };
    let (shape, choose) = ([6, 5], [1.0, 0.0, 1.0]);
    let (x, g) = (fill(30, 1), fill(30, 3));
    let want = reference::rows_backward(&wide(&g), &wide(&choose), 2, 5);
    for (side, want) in want.iter().enumerate() {
        let mut inputs = [
            Input::Constant(&shape, &x),
            Input::Constant(&shape, &x),
            Input::Constant(&[3], &choose),
        ];
        inputs[side] = Input::Trainable(&shape, &x);
        let record = |t: &mut _, v: &[_]| Ok(vec![rows(t, v[0], v[1], v[2], 2)?]);
        let outcome = run_case(gpu, Variant::Simple, &inputs, &[&g], record).unwrap();
        close("grad", &outcome.grads[side], want, 0.0).unwrap();
    }
}

/// What was not chosen does not matter: not its NaN, and not the NaN in the gradient of the other's rows.
#[test]
fn what_is_not_chosen_does_not_leak() {
    let Some(gpu) = gpu(false) else { return };
    let (nan, choose) = (f32::NAN, [1.0, 0.0]);
    let (a, b) = ([1.0, 2.0, nan, nan], [nan, nan, 3.0, 4.0]);
    let inputs = [
        Input::Trainable(&[2, 2], &a),
        Input::Trainable(&[2, 2], &b),
        Input::Constant(&[2], &choose),
    ];
    let record = |t: &mut _, v: &[_]| Ok(vec![rows(t, v[0], v[1], v[2], 1)?]);
    let seed = [nan, nan, 7.0, 8.0];
    let outcome = run_case(gpu, Variant::Simple, &inputs, &[&seed], record).unwrap();
    assert_eq!(outcome.outputs[0], [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(outcome.grads[1], [0.0, 0.0, 7.0, 8.0]);
    assert_eq!(outcome.grads[0][2..], [0.0, 0.0]);
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_shapes() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |a: &[usize], b: &[usize], choose: &[usize], per| {
        let inputs = [a, b, choose].map(|shape| Input::Constant(shape, &[]));
        let record = |t: &mut _, v: &[_]| Ok(vec![rows(t, v[0], v[1], v[2], per)?]);
        run_case(gpu, Variant::Simple, &inputs, &[&[]], record).err().unwrap().to_string()
    };
    assert_eq!(
        fails(&[6, 5], &[6, 5], &[3], 3),
        "select.rows: a [6, 5], b [6, 5], choose [3], per 3: expected [R, D] twice and [R / per]"
    );
    assert!(fails(&[6, 5], &[6, 4], &[3], 2).contains("b [6, 4]"));
    assert!(fails(&[6, 5], &[5, 6], &[3], 2).contains("b [5, 6]"));
    assert!(fails(&[6], &[6], &[3], 2).contains("a [6]"));
    assert!(fails(&[6, 5], &[6, 5], &[3, 1], 2).contains("choose [3, 1]"));
    assert!(fails(&[6, 5], &[6, 5], &[6], 0).contains("per 0"));
    assert!(fails(&[0, 5], &[0, 5], &[3], 0).contains("at least 1"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_shape(count in 1usize..40, per in 1usize..9, cols in 1usize..40, seed in 0u64..1000) {
        if let Some(gpu) = gpu(false) {
            check(gpu, [count, per, cols], &choices(count, seed));
        }
    }
}
