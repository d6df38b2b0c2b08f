use crate::harness::{Input, Outcome, close, fill, gpu, run, run_case, variants, wide};
use crate::reference::cosine as reference;
use anomem::gpu::{AdapterClass, Gpu, Variant};
use anomem::ops::cosine::cosine;
use proptest::prelude::*;

/// R, S, D: ones; equal; all different; one under, at and over a tile of 64 and a depth of 16.
const SIZES: &[[usize; 3]] = &[
    [1, 1, 1],
    [1, 6, 4],
    [6, 1, 5],
    [5, 7, 3],
    [8, 8, 8],
    [63, 66, 15],
    [64, 64, 16],
    [65, 63, 17],
    [66, 131, 65],
    [130, 3, 129],
    [130, 65, 128],
];

/// Roundings of a sum grow at worst with the number of its terms, as their root for mixed signs.
fn depth(terms: usize) -> f64 {
    1.0 + (terms as f64).sqrt() / 8.0
}

/// Rows of lengths from 1e-3 to 1e3.
fn rows(count: usize, dims: usize, seed: u64) -> Vec<f32> {
    let mut x = fill(count * dims, seed);
    for (r, row) in x.chunks_mut(dims).enumerate() {
        row.iter_mut().for_each(|x| *x *= [1.0, 1e-3, 0.6, 1e3][r % 4]);
    }
    x
}

fn check(gpu: &Gpu, variant: Variant, size: [usize; 3], a: &[f32], b: &[f32]) {
    let [r, s, dims] = size;
    let g = fill(r * s, 7);
    let inputs = [Input::Trainable(&[r, dims], a), Input::Trainable(&[s, dims], b)];
    let record = |t: &mut _, v: &[_]| Ok(vec![cosine(t, v[0], v[1])?]);
    let Outcome { outputs, grads, .. } = run_case(gpu, variant, &inputs, &[&g], record).unwrap();
    let (a, b, g) = (wide(a), wide(b), wide(&g));
    let want = reference::forward(&a, &b, dims);
    let y = close("y", &outputs[0], &want, depth(dims)).unwrap();
    let want = reference::backward_a(&a, &b, &g, dims);
    let of_a = close("grad_a", &grads[0], &want, depth(dims) + depth(s)).unwrap();
    let want = reference::backward_b(&a, &b, &g, dims);
    let of_b = close("grad_b", &grads[1], &want, depth(dims) + depth(r)).unwrap();
    println!("cosine {size:?} {variant:?}: worst {y:.3}, {of_a:.3}, {of_b:.3} of the allowance");
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in variants(gpu) {
            for size in SIZES {
                let [r, s, dims] = *size;
                check(gpu, variant, *size, &rows(r, dims, 1), &rows(s, dims, 2));
            }
        }
    }
}

/// Rows of zeros, and rows shorter than the floor of 1e-8, whose norm counts as that constant.
#[test]
fn rows_below_the_floor() {
    let Some(gpu) = gpu(false) else { return };
    for variant in variants(gpu) {
        let (r, s, dims) = (6, 9, 5);
        let (mut a, mut b) = (rows(r, dims, 1), rows(s, dims, 2));
        a[dims..2 * dims].fill(0.0);
        b[3 * dims..4 * dims].fill(0.0);
        a[4 * dims..5 * dims].iter_mut().for_each(|x| *x *= 2e-9);
        b[6 * dims..7 * dims].iter_mut().for_each(|x| *x *= 2e-9);
        check(gpu, variant, [r, s, dims], &a, &b);
    }
}

#[test]
fn more_of_all_than_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    // Pairs, and elements of a gradient.
    for size in [[2050, 2049, 1], [60_000, 1, 65]] {
        let [r, s, dims] = size;
        check(gpu, Variant::Simple, size, &rows(r, dims, 1), &rows(s, dims, 2));
    }
    // Rows, one workgroup each, and 65,536 tiles, which take half a minute on a software driver.
    let software = gpu.report().class == AdapterClass::Software;
    let s = if software { 65_537 } else { 65_536 * 64 };
    let (a, b) = (rows(1, 2, 1), rows(s, 2, 2));
    let inputs = [Input::Constant(&[1, 2], &a), Input::Constant(&[s, 2], &b)];
    let record = |t: &mut _, v: &[_]| Ok(vec![cosine(t, v[0], v[1])?]);
    let y = run_case(gpu, Variant::Tiled, &inputs, &[&[]], record).unwrap().outputs;
    close("y", &y[0], &reference::forward(&wide(&a), &wide(&b), 2), depth(2)).unwrap();
}

#[test]
fn other_shapes_are_an_error_that_names_both() {
    let Some(gpu) = gpu(false) else { return };
    let (a, b) = (fill(6, 1), fill(8, 2));
    let fail = |a_shape: &[usize], a: &[f32], b_shape: &[usize]| {
        let inputs: [(&[usize], &[f32]); 2] = [(a_shape, a), (b_shape, &b)];
        run(gpu, &inputs, &[], |t, v| cosine(t, v[0], v[1])).unwrap_err().to_string()
    };
    assert_eq!(
        fail(&[2, 3], &a, &[2, 4]),
        "cosine: a [2, 3], b [2, 4]: expected [R, D] and [S, D]"
    );
    let long = fill(65_536 * 4, 1);
    let e = fail(&[65_536, 4], &long, &[2, 4]);
    assert_eq!(
        e,
        "cosine: a [65536, 4], b [2, 4]: at most 60000 rows or dimensions on this adapter"
    );
    assert!(fail(&[1, 2, 3], &a, &[2, 4]).contains("a [1, 2, 3]"));
    assert!(fail(&[0, 4], &[], &[2, 4]).contains("[0, 4]"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    #[test]
    fn any_size(r in 1usize..80, s in 1usize..80, dims in 1usize..40) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        for variant in variants(gpu) {
            check(gpu, variant, [r, s, dims], &rows(r, dims, 3), &rows(s, dims, 4));
        }
    }
}
