use crate::harness::{Input, close, fill, gpu, run, run_case, variants, wide};
use crate::reference::{barlow as reference, matmul};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::barlow::{EPS, barlow_twins, penalty, standardise};
use proptest::prelude::*;

/// Columns of different mean and spread; NaN in rows that do not count.
fn batch(rows: usize, cols: usize, valid: &[f32], seed: u64) -> Vec<f32> {
    let means = fill(cols, seed + 1);
    let mut x = fill(rows * cols, seed);
    for (i, x) in x.iter_mut().enumerate() {
        let d = i % cols;
        *x = if valid[i / cols] == 0.0 { f32::NAN } else { *x * [0.3, 5.0, 0.8][d % 3] + means[d] };
    }
    x
}

/// About a third do not count, in no pattern.
fn some(count: usize, seed: u64) -> Vec<f32> {
    fill(count, seed).iter().map(|v| if *v > -0.3 { 1.0 } else { 0.0 }).collect()
}

/// The references take no rows that are not numbers.
fn cleared(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| if v.is_nan() { 0.0 } else { f64::from(*v) }).collect()
}

fn check_standardise(gpu: &Gpu, [rows, cols]: [usize; 2], valid: &[f32], seed: u64) {
    let (x, g) = (batch(rows, cols, valid, seed), fill(rows * cols, seed + 5));
    let inputs = [Input::Trainable(&[rows, cols], &x), Input::Constant(&[rows], valid)];
    let masked = valid.contains(&0.0);
    let out = run_case(gpu, Variant::Simple, &inputs, &[&g], |t, v| {
        Ok(vec![standardise(t, v[0], masked.then_some(v[1]))?])
    })
    .unwrap();
    let (wide_x, wide_valid, eps) = (cleared(&x), wide(valid), f64::from(EPS));
    // Sums of either sign: their roundings grow as the root of their number.
    let depth = 4.0 + (rows as f64).sqrt() / 8.0;
    let want = reference::standardise(&wide_x, cols, &wide_valid, eps);
    let worst = close("y", &out.outputs[0], &want, depth).unwrap();
    let want = reference::standardise_backward(&wide_x, cols, &wide_valid, eps, &wide(&g));
    let grad = close("grad_x", &out.grads[0], &want, depth).unwrap();
    println!("barlow [{rows}, {cols}]: worst {worst:.3} and {grad:.3} of the allowance");
}

#[test]
fn standardised_columns_match_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        // The fewest rows; equal; around a run and a workgroup of columns, and the 64 runs; the widest.
        for [rows, cols] in [
            [2, 1],
            [7, 5],
            [9, 9],
            [31, 63],
            [32, 64],
            [33, 65],
            [2049, 3],
            [20_000, 5],
            [70, 2048],
        ] {
            check_standardise(gpu, [rows, cols], &vec![1.0; rows], 1);
            check_standardise(gpu, [rows, cols], &some(rows, 7), 1);
            // The first half alone: runs that are empty; no row; one row.
            let half: Vec<f32> = (0..rows).map(|r| if r < rows / 2 { 1.0 } else { 0.0 }).collect();
            check_standardise(gpu, [rows, cols], &half, 1);
            check_standardise(gpu, [rows, cols], &vec![0.0; rows], 1);
        }
    }
}

/// More elements than one dispatch dimension holds, and runs of their greatest length.
#[test]
fn large_batches() {
    let Some(gpu) = gpu(true) else { return };
    check_standardise(gpu, [2049, 2051], &vec![1.0; 2049], 2);
    check_standardise(gpu, [1_930_000, 1], &some(1_930_000, 3), 3);
}

#[test]
fn penalties_match_the_reference() {
    let Some(gpu) = gpu(true) else { return };
    for dim in [1, 2, 8, 65, 2051] {
        let (c, g) = (fill(dim * dim, 1), fill(dim * dim, 2));
        let record = |t: &mut _, v: &[_]| penalty(t, v[0], 0.005);
        let (terms, grads) = run(gpu, &[(&[dim, dim], &c)], &g, record).unwrap();
        let lambda = f64::from(0.005f32);
        close("terms", &terms, &reference::penalty(&wide(&c), dim, lambda), 3.0).unwrap();
        let want = reference::penalty_backward(&wide(&c), dim, lambda, &wide(&g));
        close("grad_c", &grads[0], &want, 3.0).unwrap();
    }
}

fn loss_of(
    gpu: &Gpu,
    variant: Variant,
    shape: [usize; 2],
    a: &[f32],
    b: &[f32],
    valid: &[f32],
) -> (f32, Vec<Vec<f32>>) {
    let inputs = [
        Input::Trainable(&shape, a),
        Input::Trainable(&shape, b),
        Input::Constant(&[shape[0]], valid),
    ];
    let out = run_case(gpu, variant, &inputs, &[&[1.5]], |t, v| {
        Ok(vec![barlow_twins(t, v[0], v[1], 0.25, Some(v[2]))?])
    })
    .unwrap();
    (out.outputs[0][0], out.grads)
}

/// The whole loss in f64, its gradients composed from those of its parts, in every variant of the product.
fn check_loss(gpu: &Gpu, [rows, cols]: [usize; 2], seed: u64) {
    let valid = some(rows, seed + 9);
    let (a, b) = (batch(rows, cols, &valid, seed), batch(rows, cols, &valid, seed + 20));
    let (wa, wb, wv, eps) = (cleared(&a), cleared(&b), wide(&valid), f64::from(EPS));
    let want = reference::forward(&wa, &wb, cols, &wv, 0.25, eps);
    let [ya, yb] = [&wa, &wb].map(|x| reference::standardise(x, cols, &wv, eps).value);
    let c = matmul::matmul(&matmul::transpose(&ya, rows, cols), &yb, cols, rows, cols).value;
    let grad_c = reference::penalty_backward(&c, cols, 0.25, &vec![1.5; cols * cols]).value;
    let grad_ya = matmul::matmul(&yb, &matmul::transpose(&grad_c, cols, cols), rows, cols, cols);
    let grad_yb = matmul::matmul(&ya, &grad_c, rows, cols, cols);
    let grad_a = reference::standardise_backward(&wa, cols, &wv, eps, &grad_ya.value);
    let grad_b = reference::standardise_backward(&wb, cols, &wv, eps, &grad_yb.value);
    for variant in variants(gpu) {
        let (loss, grads) = loss_of(gpu, variant, [rows, cols], &a, &b, &valid);
        assert!((f64::from(loss) - want).abs() <= 1e-4 * want, "{variant:?} {loss}, want {want}");
        for (got, want) in grads.iter().zip([&grad_a, &grad_b]) {
            let length = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
            let off = length(&mut got.iter().zip(&want.value).map(|(g, w)| f64::from(*g) - w));
            let all = length(&mut want.value.iter().copied());
            // Little of the gradient is left where few rows count: two are -1 and 1 whatever they hold.
            let terms = length(&mut want.mag.iter().copied());
            // Through four operations; each of them is held to its own allowance elsewhere.
            let allowed = 1e-4 * all + 8.0 * f64::from(f32::EPSILON) * terms + 1e-6;
            assert!(off <= allowed, "{variant:?} [{rows}, {cols}]: {off:e} of {all:e}");
        }
    }
}

#[test]
fn the_loss_matches_the_reference() {
    let Some(gpu) = gpu(false) else { return };
    for shape in [[12, 5], [33, 8], [70, 65], [500, 17]] {
        check_loss(gpu, shape, 4);
    }
}

#[test]
fn twins_cost_least_and_a_dead_network_costs_one_per_component() {
    let Some(gpu) = gpu(false) else { return };
    // Columns of a Hadamard matrix are uncorrelated: the loss of equal views is 0.
    let x: Vec<f32> = (0..8 * 7)
        .map(
            |i| if ((i / 7_u32) & (i % 7 + 1)).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 },
        )
        .collect();
    let ones = [1.0; 8];
    let (loss, _) = loss_of(gpu, Variant::Simple, [8, 7], &x, &x, &ones);
    assert!(loss.abs() < 1e-9, "{loss}");
    let (dead, grads) = loss_of(gpu, Variant::Simple, [8, 7], &[0.5; 56], &x, &ones);
    assert!(dead == 7.0 && grads.iter().flatten().all(|g| g.is_finite()), "{dead}");
    let (none, grads) = loss_of(gpu, Variant::Simple, [8, 7], &x, &x, &[0.0; 8]);
    assert!(none == 7.0 && grads.iter().flatten().all(|g| *g == 0.0), "{none}");
    // Scale and offset of a component do not matter.
    let other: Vec<f32> = x.iter().map(|v| 4.0 * v + 8.0).collect();
    let (moved, _) = loss_of(gpu, Variant::Simple, [8, 7], &x, &other, &ones);
    assert!(moved.abs() < 1e-9, "{moved}");
}

#[test]
fn shapes_must_agree() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |a: &[usize], b: &[usize], valid: &[usize]| {
        let inputs =
            [Input::Constant(a, &[]), Input::Constant(b, &[]), Input::Constant(valid, &[])];
        let record = |t: &mut _, v: &[_]| Ok(vec![barlow_twins(t, v[0], v[1], 1.0, Some(v[2]))?]);
        run_case(gpu, Variant::Simple, &inputs, &[&[]], record).err().unwrap().to_string()
    };
    let text = "barlow: a [6, 5], b [6, 4]: expected [R, D] twice";
    assert_eq!(fails(&[6, 5], &[6, 4], &[6]), text);
    assert!(fails(&[6, 5], &[6, 5], &[5]).contains("valid Some([5])"));
    assert!(fails(&[6], &[6], &[6]).contains("x [6]"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn any_shape(rows in 8usize..300, cols in 1usize..90, seed in 0u64..1000) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check_standardise(gpu, [rows, cols], &some(rows, seed), seed);
        check_loss(gpu, [rows, cols], seed);
    }
}
