use crate::harness::{fill, gpu, run, wide};
use crate::reference::flip as reference;
use anomem::gpu::Gpu;
use anomem::ops::flip::{Axes, flip};
use proptest::prelude::*;

/// Ones; rows, columns and channels alone; all sizes different; all equal; one under, at and over a workgroup; over
/// one dispatch dimension (65,535 groups of 64).
const SHAPES: &[[usize; 4]] = &[
    [1, 1, 1, 1],
    [1, 5, 1, 1],
    [1, 1, 5, 1],
    [1, 1, 1, 5],
    [2, 3, 5, 7],
    [3, 3, 3, 3],
    [1, 7, 9, 1],
    [1, 8, 8, 1],
    [1, 5, 13, 1],
    [1, 65_535, 8, 9],
];

/// Nothing is computed, so the bits must be the same; the gradient of a flip is a flip.
fn check(gpu: &Gpu, shape: [usize; 4]) {
    let len = shape.iter().product();
    let (x, g) = (fill(len, 1), fill(len, 2));
    for (rows, columns) in [(false, false), (true, false), (false, true), (true, true)] {
        let axes = Axes { rows, columns };
        let (y, grads) = run(gpu, &[(&shape, &x)], &g, |t, v| flip(t, v[0], axes)).unwrap();
        assert!(
            wide(&y) == reference::forward(&wide(&x), shape, rows, columns),
            "{shape:?} {axes:?}"
        );
        let want = reference::forward(&wide(&g), shape, rows, columns);
        assert!(wide(&grads[0]) == want, "{shape:?} {axes:?}: gradient");
    }
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        SHAPES.iter().for_each(|shape| check(gpu, *shape));
    }
}

#[test]
fn another_rank_is_an_error_that_names_it() {
    let Some(gpu) = gpu(false) else { return };
    let x = fill(6, 1);
    let axes = Axes { rows: true, columns: false };
    let e = run(gpu, &[(&[2, 3], &x)], &x, |t, v| flip(t, v[0], axes)).unwrap_err();
    assert_eq!(e.to_string(), "flip: x [2, 3]: expected [N, H, W, C]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_shape(n in 1usize..4, h in 1usize..12, w in 1usize..12, c in 1usize..6) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check(gpu, [n, h, w, c]);
    }
}
