use crate::harness::{Input, close, fill, gpu, run_case, wide};
use crate::reference::bounds as reference;
use anomem::autograd::{Tape, Value};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::bounds::{STEPS, copy, multiply_adds};
use proptest::prelude::*;

fn of(
    gpu: &Gpu,
    x: &[f32],
    record: impl Fn(&mut Tape, Value) -> anomem::Result<Value>,
) -> anomem::Result<Vec<f32>> {
    let record = |t: &mut Tape, v: &[Value]| Ok(vec![record(t, v[0])?]);
    let inputs = [Input::Constant(&[x.len()], x)];
    Ok(run_case(gpu, Variant::Simple, &inputs, &[&[]], record)?.outputs.swap_remove(0))
}

fn check(gpu: &Gpu, len: usize, rounds: usize, factor: f32) {
    let x = fill(len, 1);
    assert!(of(gpu, &x, copy).unwrap() == x, "a copy of {len} differs");
    let got = of(gpu, &x, |t, v| multiply_adds(t, v, rounds, factor)).unwrap();
    let steps = rounds * STEPS;
    let want = reference::multiply_adds(&wide(&x), steps, f64::from(factor));
    // Two roundings a step, or one; three of the start and the sum.
    close("multiply_adds", &got, &want, (2 * steps + 3) as f64).unwrap();
}

#[test]
fn match_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (len, rounds, factor) in [
            (4, 0, 0.5),
            (4, 1, -0.75),
            (252, 2, 1.0),
            (256, 3, 0.0),
            (260, 1, 1.1),
            (65_535 * 256 + 4, 1, 0.5),
        ] {
            check(gpu, len, rounds, factor);
        }
    }
}

#[test]
fn errors_name_the_values() {
    let Some(gpu) = gpu(false) else { return };
    let e = of(gpu, &[0.0; 6], copy).unwrap_err();
    assert_eq!(e.to_string(), "bounds.copy: x [6]: expected a multiple of 4 elements");
    let e = of(gpu, &[0.0; 4], |t, v| multiply_adds(t, v, 60_001, 1.0)).unwrap_err();
    assert_eq!(e.to_string(), "bounds.multiply_add: 60001 rounds, expected at most 60000");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_length_and_rounds(
        vectors in 1usize..700,
        rounds in 0usize..6,
        factor in -1.0f32..1.0,
    ) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check(gpu, 4 * vectors, rounds, factor);
    }
}
