use crate::harness::{close, fill, gpu, run, wide};
use crate::reference::resize as reference;
use anomem::gpu::Gpu;
use anomem::ops::resize::bilinear;
use proptest::prelude::*;

/// Two weights, three interpolations.
const DEPTH: f64 = 2.0;

fn check(gpu: &Gpu, shape: [usize; 4], height: usize, width: usize) -> f64 {
    let [n, _, _, c] = shape;
    let x = fill(shape.iter().product(), 1);
    let g = fill(n * height * width * c, 2);
    let record = |t: &mut _, v: &[_]| bilinear(t, v[0], height, width);
    let (y, grads) = run(gpu, &[(&shape, &x)], &g, record).unwrap();
    let name = format!("{shape:?} to {height} x {width}");
    let want = reference::bilinear(&wide(&x), shape, height, width);
    let worst = close(&name, &y, &want, DEPTH).unwrap();
    let want = reference::backward(&wide(&g), shape, height, width);
    worst.max(close(&name, &grads[0], &want, DEPTH).unwrap())
}

/// Up, down, both at once, same size, whole and broken ratios, from and to one pixel, one under, at
/// and over a workgroup.
const CASES: &[([usize; 4], usize, usize)] = &[
    ([2, 3, 4, 5], 7, 9),
    ([3, 7, 9, 2], 4, 5),
    ([2, 3, 8, 1], 11, 5),
    ([2, 5, 4, 3], 5, 4),
    ([1, 4, 4, 4], 4, 4),
    ([2, 4, 7, 1], 32, 56),
    ([1, 12, 8, 2], 3, 2),
    ([3, 1, 1, 2], 4, 3),
    ([3, 5, 4, 2], 1, 1),
    ([1, 1, 1, 1], 1, 1),
    ([1, 7, 9, 1], 9, 7),
    ([1, 8, 8, 1], 13, 5),
    ([1, 13, 5, 1], 8, 8),
    ([1, 2, 3, 1], 41, 50),
    ([1, 41, 50, 1], 2, 3),
];

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let mut worst = 0f64;
        for &(shape, height, width) in CASES {
            worst = worst.max(check(gpu, shape, height, width));
        }
        println!("resize: worst {worst:.3} of the allowance");
    }
}

#[test]
fn more_workgroups_than_one_dimension_holds() {
    let Some(gpu) = gpu(false) else { return };
    check(gpu, [1, 2049, 2050, 1], 3, 2);
    check(gpu, [1, 3, 2, 1], 2050, 2049);
    check(gpu, [1, 1, 1, 1], 2, 1 << 15);
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_shapes() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |shape: &[usize], height, width| {
        let x = fill(shape.iter().product(), 1);
        let record = |t: &mut _, v: &[_]| bilinear(t, v[0], height, width);
        run(gpu, &[(shape, &x)], &[], record).unwrap_err().to_string()
    };
    assert_eq!(fails(&[2, 3, 4], 2, 2), "bilinear: x [2, 3, 4]: expected [N, H, W, C]");
    assert!(fails(&[2, 3, 4, 1], 0, 2).contains("at least 1"));
    let e = fails(&[1, 1, 2, 1], 1, 32_769);
    assert_eq!(e, "bilinear: x [1, 1, 2, 1] to 1 x 32769: expected up to 32768 rows and columns");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_shape(
        n in 1usize..3, h in 1usize..12, w in 1usize..12, c in 1usize..4,
        height in 1usize..30, width in 1usize..30,
    ) {
        if let Some(gpu) = gpu(false) {
            check(gpu, [n, h, w, c], height, width);
        }
    }
}
