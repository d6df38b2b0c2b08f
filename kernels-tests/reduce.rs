use crate::harness::{Input, close, fill, gpu, run, run_case, variants, wide};
use crate::reference::Out;
use crate::reference::reduce as reference;
use anomem::autograd::{Tape, Value};
use anomem::gpu::Gpu;
use anomem::ops::reduce::{sum, sum_of_squares};
use proptest::prelude::*;

/// Shapes, ones, one under, at and over: a workgroup of scalars, the 16 loads per lane of a group, both again
/// for vectors of four, and the one dispatch dimension of the backward kernels.
const SHAPES: &[&[usize]] = &[
    &[1],
    &[4],
    &[63],
    &[64],
    &[65],
    &[252],
    &[256],
    &[260],
    &[1023],
    &[1025],
    &[4092],
    &[4096],
    &[4100],
    &[2, 3, 5, 7],
    &[3, 5, 7, 11],
    &[6, 6, 6, 6],
    &[65_535 * 64 + 1],
];

/// Roundings on the longest way from an element to the total: its lane's adds, the second stage's,
/// the tree's. Lanes see random signs, so a lane of many adds errs by far less than their number.
fn depth(len: usize) -> f64 {
    let per_lane = (len as f64 / 65_536.0).max(16.0);
    per_lane + (len as f64 / 16.0 / 256.0).clamp(1.0, 256.0) + 10.0
}

type Record = fn(&mut Tape, Value) -> anomem::Result<Value>;

fn check(
    gpu: &Gpu,
    shape: &[usize],
    record: Record,
    want: fn(&[f64]) -> Out,
) -> (Vec<f32>, Vec<f32>) {
    let len: usize = shape.iter().product();
    let x = fill(len, 1);
    let want = want(&wide(&x));
    let mut grads = Vec::new();
    for variant in variants(gpu) {
        let inputs = [Input::Trainable(shape, &x)];
        let record = |t: &mut Tape, v: &[Value]| Ok(vec![record(t, v[0])?]);
        let outcome = run_case(gpu, variant, &inputs, &[&[1.75]], record).unwrap();
        let worst = close("total", &outcome.outputs[0], &want, depth(len)).unwrap();
        println!("{shape:?} {variant:?}: worst {worst:.3} of the allowance");
        grads = outcome.grads;
    }
    (x, grads.swap_remove(0))
}

#[test]
fn sums_match_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for shape in SHAPES {
            let (x, grad) = check(gpu, shape, sum, reference::sum);
            close("grad_x", &grad, &reference::sum_backward(&wide(&x), 1.75), 1.0).unwrap();
            let (x, grad) = check(gpu, shape, sum_of_squares, reference::sum_of_squares);
            let want = reference::sum_of_squares_backward(&wide(&x), 1.75);
            close("grad_x", &grad, &want, 2.0).unwrap();
        }
    }
}

/// Whole numbers below 2^24 add without rounding in any order, so one element lost, doubled or
/// misplaced among 30 million shows.
#[test]
fn thirty_million_whole_numbers_are_exact() {
    for (len, default_limits) in [(30_000_004, true), (30_000_001, false)] {
        let Some(gpu) = gpu(default_limits) else { return };
        let mut x: Vec<f32> = (0..len).map(|i| ((i * 7 + i / 1000) % 5) as f32 - 2.0).collect();
        x[len - 1] = 1717.0;
        let total = |square: bool| {
            let terms = x.iter().map(|x| if square { x * x } else { *x } as i64);
            // The squares' sum is above 2^24, but even and far below 2^26: f32 holds it to 4.
            terms.sum::<i64>()
        };
        let record = |t: &mut Tape, v: &[Value]| Ok(vec![sum(t, v[0])?, sum_of_squares(t, v[0])?]);
        let inputs = [Input::Constant(&[len], &x)];
        for variant in variants(gpu) {
            let got = run_case(gpu, variant, &inputs, &[&[], &[]], record).unwrap().outputs;
            assert_eq!(got[0][0] as i64, total(false), "{len} {variant:?}");
            let (squares, want) = (got[1][0] as i64, total(true));
            assert!((squares - want).abs() <= 64, "{len} {variant:?}: {squares}, want {want}");
        }
    }
}

#[test]
fn the_same_values_give_the_same_bits() {
    let Some(gpu) = gpu(false) else { return };
    let x = fill(300_001, 8);
    let once = || run(gpu, &[(&[300_001], &x)], &[1.0], |t, v| sum(t, v[0])).unwrap().0;
    assert_eq!(once()[0].to_bits(), once()[0].to_bits());
}

#[test]
fn empty_is_an_error() {
    let Some(gpu) = gpu(false) else { return };
    let e = run(gpu, &[(&[3, 0], &[])], &[1.0], |t, v| sum(t, v[0])).unwrap_err();
    assert!(e.to_string().contains("[3, 0]") && e.to_string().contains("at least 1"), "{e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_length(len in 1usize..40_000, squares in any::<bool>()) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        let (record, want): (Record, fn(&[f64]) -> Out) = if squares {
            (sum_of_squares, reference::sum_of_squares)
        } else {
            (sum, reference::sum)
        };
        check(gpu, &[len], record, want);
    }
}
