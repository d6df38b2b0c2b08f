use crate::harness::{Input, close, fill, gpu, run_case, variants, wide};
use crate::reference::Out;
use crate::reference::normalize as reference;
use anomem::autograd::{Tape, Value};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::normalize::{l2_normalize, layer_normalize};
use proptest::prelude::*;

/// Sums over a row, a square root, a division.
const DEPTH: f64 = 4.0;

type Op = fn(&mut Tape, Value, f32) -> anomem::Result<Value>;
type Forward = fn(&[f64], usize, f64) -> Out;
type Backward = fn(&[f64], usize, &[f64], f64) -> Out;

const KINDS: [(&str, Op, Forward, Backward); 2] = [
    ("l2", l2_normalize, reference::l2, reference::l2_backward),
    ("layer", layer_normalize, reference::layer, reference::layer_backward),
];

fn check(gpu: &Gpu, variant: Variant, [rows, d]: [usize; 2], x: &[f32], eps: f32) -> f64 {
    let (g, mut worst) = (fill(rows * d, 2), 0f64);
    for (kind, op, forward, backward) in KINDS {
        let inputs = [Input::Trainable(&[rows, d], x)];
        let got =
            run_case(gpu, variant, &inputs, &[&g], |t, v| Ok(vec![op(t, v[0], eps)?])).unwrap();
        let (x, g, eps) = (wide(x), wide(&g), f64::from(eps));
        let name = format!("{kind} [{rows}, {d}] {variant:?}");
        for (got, want) in
            [(&got.outputs[0], forward(&x, d, eps)), (&got.grads[0], backward(&x, d, &g, eps))]
        {
            worst = worst.max(close(&name, got, &want, DEPTH).unwrap());
        }
    }
    worst
}

/// Rows whose mean and length differ.
fn rows(rows: usize, d: usize, seed: u64) -> Vec<f32> {
    let (mut x, of_row) = (fill(rows * d, seed), fill(rows, seed + 1));
    for (i, x) in x.iter_mut().enumerate() {
        *x = *x * (1.3 + of_row[i / d]) + of_row[i / d] + 0.1;
    }
    x
}

/// All different; all equal; ones; rows and row lengths one under, at and over a workgroup; long.
const SHAPES: &[[usize; 2]] = &[
    [5, 7],
    [8, 8],
    [1, 1],
    [1, 63],
    [3, 64],
    [2, 65],
    [63, 66],
    [64, 1],
    [65, 5],
    [129, 130],
    [7, 2048],
];

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in variants(gpu) {
            let mut worst = 0f64;
            for &shape in SHAPES {
                let [r, d] = shape;
                worst = worst.max(check(gpu, variant, shape, &rows(r, d, 3), 1e-3));
            }
            println!("normalize {variant:?}: worst {worst:.3} of the allowance");
        }
    }
}

#[test]
fn rows_shorter_than_eps_and_rows_of_zeros() {
    let Some(gpu) = gpu(false) else { return };
    for (variant, d) in variants(gpu).into_iter().flat_map(|v| [(v, 3), (v, 70)]) {
        let mut x = rows(4, d, 4);
        x[..d].fill(0.0);
        x[d..2 * d].iter_mut().for_each(|v| *v *= 1e-3);
        check(gpu, variant, [4, d], &x, 0.5);
    }
}

#[test]
fn variance_survives_a_mean_far_from_zero() {
    let Some(gpu) = gpu(false) else { return };
    for variant in variants(gpu) {
        let x: Vec<f32> = fill(3 * 200, 5).iter().map(|v| v + 1000.0).collect();
        check(gpu, variant, [3, 200], &x, 1e-3);
    }
}

#[test]
fn more_workgroups_than_one_dimension_holds() {
    let Some(gpu) = gpu(false) else { return };
    check(gpu, Variant::Tiled, [65_537, 64], &rows(65_537, 64, 6), 1e-3);
}

#[test]
fn rows_longer_than_a_software_driver_loops() {
    let Some(gpu) = gpu(false) else { return };
    check(gpu, Variant::Simple, [3, 40_000], &rows(3, 40_000, 7), 1e-3);
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_shapes() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |shape: &[usize], eps: f32| {
        let x = fill(shape.iter().product(), 1);
        let inputs = [Input::Trainable(shape, &x)];
        run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| {
            Ok(vec![l2_normalize(t, v[0], eps)?])
        })
        .err()
        .unwrap()
        .to_string()
    };
    assert_eq!(fails(&[2, 3, 4], 1e-6), "l2_normalize: x [2, 3, 4]: expected [R, D]");
    assert!(fails(&[2, 3], -1.0).contains("eps -1"));
    assert!(fails(&[2, 0], 1e-6).contains("at least 1"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_shape(r in 1usize..70, d in 1usize..200, seed in 0u64..1000) {
        if let Some(gpu) = gpu(false) {
            for variant in variants(gpu) {
                check(gpu, variant, [r, d], &rows(r, d, seed), 1e-3);
            }
        }
    }
}
