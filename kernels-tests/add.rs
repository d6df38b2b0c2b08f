use crate::harness::{close, fill, gpu, run, wide};
use crate::reference::add as reference;
use anomem::gpu::Gpu;
use anomem::ops::add::add;
use proptest::prelude::*;

/// Ones; one under, at and over a workgroup of scalars and of vectors; all sizes different; all equal;
/// over one dispatch dimension (65,535 groups of 64).
const SHAPES: &[&[usize]] = &[
    &[1],
    &[4],
    &[63],
    &[64],
    &[65],
    &[252],
    &[256],
    &[260],
    &[2, 3, 5, 7],
    &[3, 5, 7, 11],
    &[4, 4, 4, 4],
    &[3, 3, 3, 3],
    &[65_535 * 64 + 1],
];

fn check(gpu: &Gpu, shape: &[usize]) {
    let len = shape.iter().product();
    let (a, b, g) = (fill(len, 1), fill(len, 2), fill(len, 3));
    let (sum, grads) =
        run(gpu, &[(shape, &a), (shape, &b)], &g, |t, v| add(t, v[0], v[1])).unwrap();
    let worst = close("sum", &sum, &reference::forward(&wide(&a), &wide(&b)), 1.0).unwrap();
    println!("add {shape:?}: worst {worst:.3} of the allowance");
    assert!(grads == [g.clone(), g]);
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        SHAPES.iter().for_each(|shape| check(gpu, shape));
    }
}

#[test]
fn vectors_over_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    check(gpu, &[65_535 * 256 + 4]);
}

#[test]
fn gradients_of_one_value_used_twice_are_joined() {
    let Some(gpu) = gpu(false) else { return };
    let (x, g) = (fill(35, 4), fill(35, 5));
    let (_, grads) = run(gpu, &[(&[5, 7], &x)], &g, |t, v| add(t, v[0], v[0])).unwrap();
    close("grad", &grads[0], &reference::forward(&wide(&g), &wide(&g)), 1.0).unwrap();
}

#[test]
fn other_shapes_are_an_error_that_names_both() {
    let Some(gpu) = gpu(false) else { return };
    let (a, b) = (fill(6, 1), fill(6, 2));
    let e = run(gpu, &[(&[2, 3], &a), (&[3, 2], &b)], &a, |t, v| add(t, v[0], v[1])).unwrap_err();
    assert_eq!(e.to_string(), "add: a [2, 3], b [3, 2]");
    let e = run(gpu, &[(&[0], &[])], &[], |t, v| add(t, v[0], v[0])).unwrap_err();
    assert!(e.to_string().contains("at least 1"), "{e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_length(len in 1usize..3_000) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check(gpu, &[len]);
    }
}
