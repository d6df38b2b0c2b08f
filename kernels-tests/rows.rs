use crate::harness::{Input, fill, gpu, run_case, variants};
use crate::reference::rows as reference;
use anomem::gpu::{Gpu, Variant};
use anomem::ops::rows::{join, split};
use proptest::prelude::*;

/// Views, rows of the parts, shape of a row.
type Case = (usize, &'static [usize], &'static [usize]);

/// One of each; one under, at and over a workgroup of scalars and of vectors; sizes all different and all equal; vectors
/// and scalars in rows of several dimensions; a part over one dispatch dimension (65,535 groups of 64).
const CASES: &[Case] = &[
    (1, &[1], &[1]),
    (1, &[1], &[4]),
    (1, &[63, 64, 65], &[1]),
    (1, &[63, 64, 65], &[4]),
    (2, &[3, 2], &[5, 7]),
    (2, &[2, 3, 1], &[3, 5, 8]),
    (3, &[3, 3, 3], &[3, 3]),
    (4, &[4, 4, 4, 4], &[4, 4]),
    (1, &[2, 65_535 * 64 + 1], &[1]),
];

fn shape_of(rows: usize, row: &[usize]) -> Vec<usize> {
    [&[rows], row].concat()
}

/// Both directions, with the gradients of the parts whose number is in `graded`: copies, to the bit.
fn check(
    gpu: &Gpu,
    variant: Variant,
    (views, rows, row): (usize, &[usize], &[usize]),
    graded: &[usize],
) {
    let width = row.iter().product();
    let total = rows.iter().sum::<usize>() * views;
    let shape = shape_of(total, row);
    let (x, g) = (fill(total * width, 1), fill(total * width, 2));
    let parts = reference::split(&x, views, rows, width);
    let mut seeds = reference::split(&g, views, rows, width);
    for (i, seed) in seeds.iter_mut().enumerate() {
        if !graded.contains(&i) {
            seed.clear();
        }
    }
    let of_parts: Vec<&[f32]> = seeds.iter().map(Vec::as_slice).collect();
    let out = run_case(gpu, variant, &[Input::Trainable(&shape, &x)], &of_parts, |t, v| {
        split(t, v[0], views, rows)
    });
    let out = out.unwrap();
    assert!(out.outputs == parts, "{views} x {rows:?} of {row:?}: parts");
    for (seed, rows) in seeds.iter_mut().zip(rows) {
        seed.resize(views * rows * width, 0.0);
    }
    if !graded.is_empty() {
        assert!(
            out.grads[0] == reference::join(&seeds, views),
            "{views} x {rows:?} of {row:?}: gradient"
        );
    }

    let shapes: Vec<Vec<usize>> = rows.iter().map(|n| shape_of(views * n, row)).collect();
    let inputs: Vec<Input<'_>> =
        shapes.iter().zip(&parts).map(|(s, part)| Input::Trainable(s, part)).collect();
    let out = run_case(gpu, variant, &inputs, &[&g], |t, v| Ok(vec![join(t, v, views)?]));
    let out = out.unwrap();
    assert!(out.outputs[0] == x, "{views} x {rows:?} of {row:?}: whole");
    let want = reference::split(&g, views, rows, width);
    assert!(out.grads == want, "{views} x {rows:?} of {row:?}: gradients of the parts");
}

#[test]
fn rows_move_to_the_bit() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for case in CASES {
            let all: Vec<usize> = (0..case.1.len()).collect();
            variants(gpu).into_iter().for_each(|variant| check(gpu, variant, *case, &all));
        }
    }
}

#[test]
fn a_part_without_a_gradient_passes_zeros() {
    let Some(gpu) = gpu(false) else { return };
    // The parts differ in length, so that another's gradient would be too short or too long to stand in.
    for row in [&[3][..], &[4]] {
        for graded in [&[0][..], &[1], &[2], &[0, 2]] {
            check(gpu, Variant::Simple, (2, &[1, 4, 2], row), graded);
        }
    }
}

#[test]
fn rows_that_do_not_fit_are_errors_that_name_them() {
    let Some(gpu) = gpu(false) else { return };
    let x = fill(12, 1);
    let inputs = [Input::Trainable(&[6, 2], &x)];
    let cases: [(usize, &[usize]); 4] = [(2, &[1, 1]), (0, &[6]), (1, &[6, 0]), (1, &[])];
    for (views, rows) in cases {
        let e = run_case(gpu, Variant::Simple, &inputs, &[&x], |t, v| split(t, v[0], views, rows));
        let want = format!("rows.split: x [6, 2] into {views} times {rows:?} rows");
        assert_eq!(e.err().unwrap().to_string(), want);
    }
    let y = fill(9, 2);
    let inputs = [Input::Trainable(&[6, 2], &x), Input::Trainable(&[3, 3], &y)];
    let joined = |views, of: usize| {
        let e = run_case(gpu, Variant::Simple, &inputs, &[&x], |t, v| {
            Ok(vec![join(t, &v[..of], views)?])
        });
        e.err().unwrap().to_string()
    };
    let expected = "expected parts of";
    assert_eq!(
        joined(1, 2),
        format!("rows.join: [[6, 2], [3, 3]]: {expected} 1 views, of rows of one shape")
    );
    assert_eq!(
        joined(4, 1),
        format!("rows.join: [[6, 2]]: {expected} 4 views, of rows of one shape")
    );
    assert_eq!(
        joined(0, 1),
        format!("rows.join: [[6, 2]]: {expected} 0 views, of rows of one shape")
    );
    assert_eq!(joined(2, 0), format!("rows.join: []: {expected} 2 views, of rows of one shape"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_shape(
        views in 1usize..4,
        rows in prop::collection::vec(1usize..9, 1..5),
        row in prop::collection::vec(1usize..6, 1..3),
    ) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check(gpu, Variant::Simple, (views, &rows, &row), &[0]);
    }
}
