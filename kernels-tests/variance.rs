use crate::harness::{Input, close, fill, gpu, run, run_case, wide};
use crate::reference::variance as reference;
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
    let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET, None)?.loss);
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
    let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET, None)?.loss);
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
    let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET, None)?.loss);
    let (loss, grads) = run(gpu, &[(&[40, 3], &z)], &[1.0], record).unwrap();
    assert!(loss == [0.0] && grads[0].iter().all(|g| *g == 0.0));
}

/// A batch that has collapsed to one point: the loss is target - 0.01, the gradient 0, nothing NaN.
#[test]
fn a_collapsed_batch() {
    let Some(gpu) = gpu(false) else { return };
    let z = [0.5f32, -3.0, 0.5, -3.0, 0.5, -3.0];
    let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET, None)?.loss);
    let (loss, grads) = run(gpu, &[(&[3, 2], &z)], &[1.0], record).unwrap();
    assert!((loss[0] - 0.99).abs() < 1e-6 && grads[0].iter().all(|g| *g == 0.0));
}

/// Without `valid` every row counts, also where z itself is 0.
#[test]
fn rows_of_zeros_count() {
    let Some(gpu) = gpu(false) else { return };
    let z = [0.0f32, 0.0, 0.0, 1.0, 0.5, 0.25];
    let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET, None)?.loss);
    let (loss, grads) = run(gpu, &[(&[3, 2], &z)], &[1.75], record).unwrap();
    let (wide_z, target) = (wide(&z), f64::from(TARGET));
    close("loss", &loss, &reference::forward(&wide_z, 2, target), 2.0).unwrap();
    close("grad_z", &grads[0], &reference::backward(&wide_z, 2, target, 1.75), 2.0).unwrap();
}

#[test]
fn one_row_has_no_variance() {
    let Some(gpu) = gpu(false) else { return };
    let z = fill(6, 1);
    let fail = |shape: &[usize], z: &[f32]| {
        let record = |t: &mut _, v: &[_]| Ok(variance_loss(t, v[0], TARGET, None)?.loss);
        run(gpu, &[(shape, z)], &[1.0], record).unwrap_err().to_string()
    };
    assert_eq!(fail(&[1, 6], &z), "variance: z [1, 6]: expected [R, D] with at least 2 rows");
    assert!(fail(&[6], &z).contains("z [6]"));
    assert!(fail(&[0, 6], &[]).contains("[0, 6]"));
}

/// Rows, columns, and values of `valid`: one per row and one for several; runs of 32 rows of which some, the
/// first, or the last have none that counts; scalar and vec4; all around the 64 runs and a workgroup.
const VALID_SHAPES: &[[usize; 3]] = &[
    [2, 3, 2],
    [6, 5, 3],
    [6, 4, 6],
    [12, 12, 12],
    [63, 7, 7],
    [64, 8, 64],
    [65, 65, 13],
    [200, 3, 5],
    [200, 12, 4],
    [2049, 5, 683],
    [4096, 64, 32],
];

/// Checks loss, total and gradient where only some rows count; what the others hold is not a number.
fn check_valid(gpu: &Gpu, [rows, cols]: [usize; 2], valid: &[f32], seed: u64) -> bool {
    let mut z = batch(rows, cols, seed);
    for (r, row) in z.chunks_mut(cols).enumerate() {
        if valid[r / (rows / valid.len())] == 0.0 {
            row.fill(f32::NAN);
        }
    }
    let (wide_z, wide_valid, target) = (wide(&z), wide(valid), f64::from(TARGET));
    let kept = reference::kept(&wide_z, cols, &wide_valid);
    let columns = reference::columns(&kept, cols);
    if kept.len() >= 2 * cols && columns.iter().any(|c| (c.std - target).abs() < 1e-4) {
        return false;
    }
    let inputs = [Input::Trainable(&[rows, cols], &z), Input::Constant(&[valid.len()], valid)];
    let outcome = run_case(gpu, Variant::Simple, &inputs, &[&[1.75], &[]], |t, v| {
        let of = variance_loss(t, v[0], TARGET, Some(v[1]))?;
        Ok(vec![of.loss, of.total])
    })
    .unwrap();
    let depth = 1.0 + (rows as f64).sqrt() / 8.0;
    let want = reference::forward_valid(&wide_z, cols, target, &wide_valid);
    let worst = close("loss", &outcome.outputs[0], &want, depth).unwrap();
    close("total", &outcome.outputs[1], &reference::total(&kept, cols), depth).unwrap();
    let want = reference::backward_valid(&wide_z, cols, target, 1.75, &wide_valid);
    let grad = close("grad_z", &outcome.grads[0], &want, depth).unwrap();
    for (r, row) in outcome.grads[0].chunks(cols).enumerate() {
        let counts = valid[r / (rows / valid.len())] != 0.0;
        assert!(counts || row.iter().all(|g| *g == 0.0), "row {r} does not count");
    }
    println!(
        "variance [{rows}, {cols}] of {}: worst {worst:.3} and {grad:.3} of the allowance",
        valid.len()
    );
    true
}

/// About a third do not count, in no pattern.
fn some(count: usize, seed: u64) -> Vec<f32> {
    fill(count, seed).iter().map(|v| if *v > -0.3 { 1.0 } else { 0.0 }).collect()
}

#[test]
fn rows_that_do_not_count() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for &[rows, cols, count] in VALID_SHAPES {
            let checked = |valid: &[f32]| {
                assert!(
                    check_valid(gpu, [rows, cols], valid, 1),
                    "{rows}, {cols}: choose another seed"
                );
            };
            checked(&some(count, 2));
            checked(&vec![1.0; count]);
            // The first half, the second half: runs that are empty.
            let half = |i| if i < count / 2 { 1.0 } else { 0.0 };
            checked(&(0..count).map(half).collect::<Vec<f32>>());
            checked(&(0..count).map(|i| 1.0 - half(i)).collect::<Vec<f32>>());
            // The first and the last value.
            let ends = |i| if i == 0 || i == count - 1 { 1.0 } else { 0.0 };
            checked(&(0..count).map(ends).collect::<Vec<f32>>());
        }
    }
}

#[test]
fn fewer_than_two_rows_that_count_cost_nothing() {
    let Some(gpu) = gpu(false) else { return };
    for [rows, cols] in [[2, 3], [70, 4]] {
        assert!(check_valid(gpu, [rows, cols], &vec![0.0; rows], 1));
        assert!(check_valid(gpu, [rows, cols], &[0.0], 1));
        for one in [0, rows / 2, rows - 1] {
            let mut valid = vec![0.0; rows];
            valid[one] = 1.0;
            assert!(check_valid(gpu, [rows, cols], &valid, 1));
        }
    }
}

/// The sums are those of no `valid`, to the bit.
#[test]
fn where_all_count_nothing_changes() {
    let Some(gpu) = gpu(false) else { return };
    for [rows, cols] in [[7, 5], [200, 12], [2049, 5]] {
        let (z, valid) = (batch(rows, cols, 1), vec![1.0; rows]);
        let inputs = [Input::Trainable(&[rows, cols], &z), Input::Constant(&[rows], &valid)];
        let of = |masked: bool| {
            run_case(gpu, Variant::Simple, &inputs, &[&[1.75], &[]], |t, v| {
                let of = variance_loss(t, v[0], TARGET, masked.then_some(v[1]))?;
                Ok(vec![of.loss, of.total])
            })
            .unwrap()
        };
        let (with, without) = (of(true), of(false));
        assert!(with.outputs == without.outputs && with.grads == without.grads);
    }
}

#[test]
fn a_valid_of_another_shape_is_an_error() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |valid: &[usize]| {
        let inputs = [Input::Constant(&[6, 5], &[]), Input::Constant(valid, &[])];
        run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| {
            Ok(vec![variance_loss(t, v[0], TARGET, Some(v[1]))?.loss])
        })
        .err()
        .unwrap()
        .to_string()
    };
    assert_eq!(fails(&[4]), "variance: z [6, 5], valid [4]: expected [B] where B divides R");
    assert!(fails(&[12]).contains("valid [12]"));
    assert!(fails(&[6, 1]).contains("valid [6, 1]"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_shape(rows in 2usize..300, cols in 1usize..90, seed in 0u64..1000) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check(gpu, [rows, cols], seed);
        check_valid(gpu, [rows, cols], &some(rows, seed), seed);
    }
}

#[test]
fn the_total_is_the_sum_of_the_columns_variances() {
    let Some(gpu) = gpu(false) else { return };
    for [rows, cols] in [[2, 1], [65, 7], [2049, 5]] {
        let z = batch(rows, cols, 5);
        let inputs = [Input::Constant(&[rows, cols], &z)];
        let outcome = run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| {
            Ok(vec![variance_loss(t, v[0], TARGET, None)?.total])
        })
        .unwrap();
        let want = reference::total(&wide(&z), cols);
        close("total", &outcome.outputs[0], &want, 1.0 + (rows as f64).sqrt() / 8.0).unwrap();
    }
}
