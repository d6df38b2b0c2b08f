use crate::harness::{Input, close, fill, gpu, run_case, wide};
use crate::reference::optimizer as reference;
use anomem::autograd::{Tape, Value};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::optimizer::{Sgd, ema, sgd};
use proptest::prelude::*;

/// Momentum, decay and learning rate all different, so that no two can be confused.
const OPTIONS: Sgd = Sgd { momentum: 0.75, weight_decay: 0.125, lr_scale: 0.5 };
const LR: f32 = 0.375;

/// Parameter, gradient and velocity of `len`; parameter and velocity after a step.
fn step(gpu: &Gpu, len: usize, non_finite: u32) -> [Vec<f32>; 5] {
    let (p, g, v) = (fill(len, 1), fill(len, 2), fill(len, 3));
    let inputs = [
        Input::Trainable(&[len], &p),
        Input::Constant(&[len], &g),
        Input::Constant(&[len], &v),
        Input::Constant(&[1], &[LR]),
        Input::Integers(&[1], &[non_finite]),
    ];
    let outcome = run_case(gpu, Variant::Simple, &inputs, &[], |t, x| {
        sgd(t, &OPTIONS, x[0], x[1], x[2], x[3], x[4])?;
        Ok(vec![])
    });
    let mut after = outcome.unwrap().inputs;
    assert!(after[1] == g && after[3] == [LR] && after[4][0].to_bits() == non_finite);
    let new_v = after.swap_remove(2);
    [p, g, v, after.swap_remove(0), new_v]
}

fn check_sgd(gpu: &Gpu, len: usize) {
    let [p, g, v, new_p, new_v] = step(gpu, len, 0);
    let lr = f64::from(LR * OPTIONS.lr_scale);
    let (momentum, decay) = (f64::from(OPTIONS.momentum), f64::from(OPTIONS.weight_decay));
    let [want_p, want_v] = reference::sgd(&wide(&p), &wide(&g), &wide(&v), lr, momentum, decay);
    let worst = close("velocity", &new_v, &want_v, 1.0).unwrap();
    println!("sgd {len}: worst {worst:.3} of the allowance");
    close("param", &new_p, &want_p, 1.0).unwrap();
}

/// After `ema` with momentum 0.375: running before, batch, running after.
fn average(gpu: &Gpu, len: usize, non_finite: u32) -> [Vec<f32>; 3] {
    let (r, b) = (fill(len, 4), fill(len, 5));
    let inputs = [
        Input::Constant(&[len], &r),
        Input::Constant(&[len], &b),
        Input::Integers(&[1], &[non_finite]),
    ];
    let outcome = run_case(gpu, Variant::Simple, &inputs, &[], |t, x| {
        ema(t, x[0], x[1], 0.375, x[2])?;
        Ok(vec![])
    });
    let mut after = outcome.unwrap().inputs;
    assert!(after[1] == b && after[2][0].to_bits() == non_finite);
    [r, b, after.swap_remove(0)]
}

fn check_ema(gpu: &Gpu, len: usize) {
    let [r, b, after] = average(gpu, len, 0);
    let worst = close("ema", &after, &reference::ema(&wide(&r), &wide(&b), 0.375), 1.0).unwrap();
    println!("ema {len}: worst {worst:.3} of the allowance");
}

/// One, and one under, at and over a workgroup of scalars and of vectors.
const LENGTHS: &[usize] = &[1, 2, 4, 63, 64, 65, 252, 256, 260, 1155];

#[test]
fn steps_match_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for len in LENGTHS {
            check_sgd(gpu, *len);
            check_ema(gpu, *len);
        }
    }
}

/// Over one dispatch dimension, in both forms.
#[test]
fn large_buffers_match_the_reference() {
    let Some(gpu) = gpu(true) else { return };
    check_sgd(gpu, 65_535 * 64 + 1);
    check_sgd(gpu, 65_535 * 256 + 4);
    check_ema(gpu, 65_535 * 64 + 1);
    check_ema(gpu, 65_535 * 256 + 4);
}

#[test]
fn a_non_finite_gradient_changes_nothing() {
    let Some(gpu) = gpu(false) else { return };
    for len in [65, 68] {
        for non_finite in [1, 7, u32::MAX] {
            let [p, _, v, new_p, new_v] = step(gpu, len, non_finite);
            assert!(new_p == p && new_v == v);
            let [r, _, after] = average(gpu, len, non_finite);
            assert!(after == r);
        }
    }
}

#[test]
fn other_lengths_are_an_error_that_names_all() {
    let Some(gpu) = gpu(false) else { return };
    let (a, b) = (fill(6, 1), fill(5, 2));
    let inputs = [
        Input::Constant(&[2, 3], &a),
        Input::Constant(&[5], &b),
        Input::Integers(&[1], &[0]),
        Input::Integers(&[2], &[0, 0]),
    ];
    let fail = |record: fn(&mut Tape, &[Value]) -> anomem::Result<()>| {
        let outcome = run_case(gpu, Variant::Simple, &inputs, &[], |t, x| {
            record(t, x)?;
            Ok(vec![])
        });
        outcome.err().unwrap().to_string()
    };
    let e = fail(|t, x| sgd(t, &OPTIONS, x[0], x[1], x[0], x[2], x[2]));
    assert!(e.contains("optimizer.sgd: param [2, 3], grad [5]"), "{e}");
    let e = fail(|t, x| sgd(t, &OPTIONS, x[0], x[0], x[1], x[2], x[2]));
    assert!(e.contains("velocity [5]"), "{e}");
    let e = fail(|t, x| sgd(t, &OPTIONS, x[0], x[0], x[0], x[3], x[2]));
    assert!(e.contains("lr [2]"), "{e}");
    let e = fail(|t, x| sgd(t, &OPTIONS, x[0], x[0], x[0], x[2], x[3]));
    assert!(e.contains("non_finite [2]"), "{e}");
    let e = fail(|t, x| ema(t, x[0], x[1], 0.1, x[2]));
    assert!(e.contains("optimizer.ema: running [2, 3], batch [5]"), "{e}");
    let e = fail(|t, x| ema(t, x[0], x[0], 0.1, x[3]));
    assert!(e.contains("non_finite [2]"), "{e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_length(len in 1usize..3_000) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check_sgd(gpu, len);
        check_ema(gpu, len);
    }
}
