use crate::harness::{Input, close, fill, gpu, run, run_case, wide};
use crate::reference::{Out, variance as reference};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::variance::variance_loss;
use proptest::prelude::*;

/// Rows and columns: the fewest rows; one column; equal; all around a run of 32 rows, the 64 runs, and a
/// workgroup of columns; the longest batch; the widest; over one dispatch dimension of elements.
const SHAPES: &[[usize; 2]] = &[
    [2, 1],
    [2, 5],
    [7, 1],
    [5, 3],
    [9, 9],
    [31, 63],
    [32, 64],
    [33, 65],
    [3, 84],
    [65, 4],
    [6, 44],
    [2047, 3],
    [2048, 2],
    [2049, 5],
    [20_000, 3],
    [70, 2048],
];

const TARGET: f32 = 1.0;

/// Columns of different mean and spread, some above the target and some below.
fn batch(rows: usize, cols: usize, seed: u64) -> Vec<f32> {
    let means = fill(cols, seed + 1);
    let mut z = fill(rows * cols, seed);
    for (i, z) in z.iter_mut().enumerate() {
        let d = i % cols;
        *z = *z * [0.3, 5.0, 0.8][d % 3] + 4.0 * means[d];
    }
    z
}

/// Checks forward and backward, unless a column lies so close to the target that its gradient may
/// count or not; says whether it did.
fn check(gpu: &Gpu, [rows, cols]: [usize; 2], seed: u64) -> bool {
    let z = batch(rows, cols, seed);
    let (wide_z, target) = (wide(&z), f64::from(TARGET));
    if reference::columns(&wide_z, cols).iter().any(|c| (c.std - target).abs() < 1e-4) {
        return false;
    }
    let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET)?.loss);
    let (loss, grads) = run(gpu, &[(&[rows, cols], &z)], &[1.75], record).unwrap();
    // Sums of either sign: their roundings grow as the root of their number.
    let depth = 1.0 + (rows as f64).sqrt() / 8.0;
    let want = reference::forward(&wide_z, cols, target);
    let worst = close("loss", &loss, &want, depth).unwrap();
    let want = reference::backward(&wide_z, cols, target, 1.75);
    let grad = close("grad_z", &grads[0], &want, depth).unwrap();
    println!("variance [{rows}, {cols}]: worst {worst:.3} and {grad:.3} of the allowance");
    true
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for shape in SHAPES {
            assert!(check(gpu, *shape, 1), "{shape:?}: choose another seed");
        }
    }
}

#[test]
fn more_elements_than_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    assert!(check(gpu, [2049, 2047], 3), "choose another seed");
    assert!(check(gpu, [65_540, 256], 3), "choose another seed");
    // Runs as long as they may be.
    assert!(check(gpu, [2_200_000, 2], 3), "choose another seed");
}

/// More columns than one dispatch dimension holds, each of two rows and far from the target.
#[test]
fn more_columns_than_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    let cols = 65_535 * 64 + 1;
    let (first, noise) = (fill(cols, 5), fill(cols, 6));
    let step = |d: usize| [0.3, 5.0, 0.8][d % 3] + 0.1 * noise[d];
    let second: Vec<f32> = (0..cols).map(|d| first[d] + step(d)).collect();
    let z = [first, second].concat();
    let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET)?.loss);
    let (loss, grads) = run(gpu, &[(&[2, cols], &z)], &[1.75], record).unwrap();
    let (wide_z, target) = (wide(&z), f64::from(TARGET));
    // The mean over columns adds 16,384 per lane.
    close("loss", &loss, &reference::forward(&wide_z, cols, target), 128.0).unwrap();
    close("grad_z", &grads[0], &reference::backward(&wide_z, cols, target, 1.75), 2.0).unwrap();
}

/// All columns above the target: no loss and a gradient of zeros, though not unwritten.
#[test]
fn a_lively_batch_costs_nothing() {
    let Some(gpu) = gpu(false) else { return };
    let z: Vec<f32> = batch(40, 3, 1).iter().map(|z| z * 100.0).collect();
    let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET)?.loss);
    let (loss, grads) = run(gpu, &[(&[40, 3], &z)], &[1.0], record).unwrap();
    assert!(loss == [0.0] && grads[0].iter().all(|g| *g == 0.0));
}

/// A batch that has collapsed to one point: the loss is target - 0.01, the gradient 0, nothing NaN.
#[test]
fn a_collapsed_batch() {
    let Some(gpu) = gpu(false) else { return };
    let z = [0.5f32, -3.0, 0.5, -3.0, 0.5, -3.0];
    let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET)?.loss);
    let (loss, grads) = run(gpu, &[(&[3, 2], &z)], &[1.0], record).unwrap();
    assert!((loss[0] - 0.99).abs() < 1e-6 && grads[0].iter().all(|g| *g == 0.0));
}

#[test]
fn one_row_has_no_variance() {
    let Some(gpu) = gpu(false) else { return };
    let z = fill(6, 1);
    let fail = |shape: &[usize], z: &[f32]| {
        let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET)?.loss);
        run(gpu, &[(shape, z)], &[1.0], record).unwrap_err().to_string()
    };
    assert_eq!(fail(&[1, 6], &z), "variance: z [1, 6]: expected [R, D] with at least 2 rows");
    assert!(fail(&[6], &z).contains("z [6]"));
    assert!(fail(&[0, 6], &[]).contains("[0, 6]"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_shape(rows in 2usize..300, cols in 1usize..90, seed in 0u64..1000) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check(gpu, [rows, cols], seed);
    }
}

#[test]
fn the_total_is_the_sum_of_the_columns_variances() {
    let Some(gpu) = gpu(false) else { return };
    for [rows, cols] in [[2, 1], [65, 7], [2049, 5]] {
        let z = batch(rows, cols, 5);
        let inputs = [Input::Constant(&[rows, cols], &z)];
        let outcome = run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| {
            Ok(vec![variance_loss(t, v[0], TARGET)?.total])
        })
        .unwrap();
        let columns = reference::columns(&wide(&z), cols);
        let want = columns.iter().map(|c| c.std * c.std - 1e-4).sum();
        let mag = columns.iter().map(|c| c.std * c.mag).sum::<f64>() * 2.0;
        let want = Out { value: vec![want], mag: vec![mag] };
        close("total", &outcome.outputs[0], &want, 1.0 + (rows as f64).sqrt() / 8.0).unwrap();
    }
}
