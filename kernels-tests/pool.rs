use crate::harness::{close, fill, gpu, run, wide};
use crate::reference::pool::{Adaptive, Pool};
use anomem::gpu::Gpu;
use anomem::ops::pool::{adaptive_avg, average_pool, global_average_pool, max_pool};
use proptest::prelude::*;

fn pool(shape: [usize; 4], kernel: usize, stride: usize, padding: usize) -> Pool {
    let [n, h, w, c] = shape;
    Pool { n, h, w, c, kernel: (kernel, kernel), stride, padding }
}

/// Values of few kinds, so that windows hold equal ones, and none is 0: padding must not win over
/// negative values.
fn coarse(len: usize, seed: u64) -> Vec<f32> {
    fill(len, seed).iter().map(|v| (v * 4.0).floor() / 3.0 - 0.9).collect()
}

fn check_max(gpu: &Gpu, p: Pool) -> f64 {
    let (len, (ho, wo)) = (p.n * p.h * p.w * p.c, p.out());
    let (x, g) = (coarse(len, 1), fill(p.n * ho * wo * p.c, 2));
    let shape = [p.n, p.h, p.w, p.c];
    let record = |t: &mut _, v: &[_]| max_pool(t, v[0], p.kernel.0, p.stride, p.padding);
    let (y, grads) = run(gpu, &[(&shape, &x)], &g, record).unwrap();
    let name = format!("max {shape:?} kernel {:?} {} {}", p.kernel, p.stride, p.padding);
    close(&name, &y, &p.max(&wide(&x)), 0.0).unwrap();
    close(&name, &grads[0], &p.max_backward(&wide(&x), &wide(&g)), 1.0).unwrap()
}

fn check_average(gpu: &Gpu, p: Pool, global: bool) -> f64 {
    let (len, (ho, wo)) = (p.n * p.h * p.w * p.c, p.out());
    let (x, g) = (fill(len, 3), fill(p.n * ho * wo * p.c, 4));
    let shape = [p.n, p.h, p.w, p.c];
    let record = |t: &mut _, v: &[_]| match global {
        true => global_average_pool(t, v[0]),
        false => average_pool(t, v[0], p.kernel.0, p.stride, p.padding),
    };
    let (y, grads) = run(gpu, &[(&shape, &x)], &g, record).unwrap();
    let name = format!("average {shape:?} kernel {:?} {} {}", p.kernel, p.stride, p.padding);
    let forward = close(&name, &y, &p.average(&wide(&x)), 2.0).unwrap();
    close(&name, &grads[0], &p.average_backward(&wide(&g)), 2.0).unwrap().max(forward)
}

/// Shape, kernel, stride, padding: all different, scalar and vec4; all equal; the least; stride
/// above, at and below the kernel; maps that the stride does not fill; the network's own 3/2/1;
/// one under, at and over a workgroup.
const CASES: &[([usize; 4], usize, usize, usize)] = &[
    ([2, 9, 7, 5], 3, 2, 1),
    ([2, 7, 10, 8], 4, 3, 2),
    ([3, 3, 3, 3], 3, 3, 0),
    ([4, 4, 4, 4], 4, 4, 2),
    ([1, 1, 1, 1], 1, 1, 0),
    ([2, 5, 6, 3], 2, 3, 1),
    ([2, 6, 5, 4], 3, 1, 1),
    ([3, 8, 11, 12], 5, 2, 0),
    ([2, 10, 9, 1], 2, 4, 0),
    ([1, 7, 9, 1], 1, 1, 0),
    ([1, 8, 8, 1], 1, 1, 0),
    ([1, 13, 5, 1], 1, 1, 0),
    ([2, 14, 18, 4], 3, 2, 1),
];

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let mut worst = [0f64; 3];
        for &(shape, kernel, stride, padding) in CASES {
            let p = pool(shape, kernel, stride, padding);
            worst[0] = worst[0].max(check_max(gpu, p));
            worst[1] = worst[1].max(check_average(gpu, p, false));
            let whole = Pool { kernel: (p.h, p.w), stride: 1, padding: 0, ..p };
            worst[2] = worst[2].max(check_average(gpu, whole, true));
        }
        println!("pool: max, average, global {worst:.3?} of the allowance");
    }
}

#[test]
fn more_workgroups_than_one_dimension_holds() {
    let Some(gpu) = gpu(false) else { return };
    let p = pool([1, 2050, 2049, 1], 2, 1, 0);
    check_max(gpu, p);
    check_average(gpu, p, false);
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_shapes() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |shape: &[usize], kernel, stride, padding| {
        let x = fill(shape.iter().product(), 1);
        let record = |t: &mut _, v: &[_]| max_pool(t, v[0], kernel, stride, padding);
        run(gpu, &[(shape, &x)], &[], record).unwrap_err().to_string()
    };
    assert_eq!(
        fails(&[2, 2, 5, 1], 3, 2, 0),
        "max_pool: x [2, 2, 5, 1], kernel 3, stride 2, padding 0: \
         the window is larger than the padded map"
    );
    assert!(fails(&[2, 5, 2, 1], 3, 2, 0).ends_with("larger than the padded map"));
    assert!(fails(&[2, 5, 5, 1], 3, 2, 2).ends_with("half the kernel"));
    assert!(fails(&[2, 5, 5, 1], 3, 0, 1).ends_with("at least 1"));
    assert!(fails(&[2, 5, 5, 1], 0, 1, 0).ends_with("at least 1"));
    assert!(fails(&[1, 300, 300, 1], 250, 1, 0).ends_with("too large for one invocation"));
    assert_eq!(fails(&[2, 5, 5], 2, 1, 0), "max_pool: x [2, 5, 5]: expected [N, H, W, C]");
    assert!(fails(&[2, 0, 5, 1], 2, 1, 0).contains("at least 1"));
}

fn check_adaptive(gpu: &Gpu, shape: [usize; 4], grid: [usize; 2]) -> f64 {
    let [n, h, w, c] = shape;
    let p = Adaptive { n, h, w, c, grid: grid.into() };
    let (x, g) = (fill(n * h * w * c, 5), fill(n * grid[0] * grid[1] * c, 6));
    let record = |t: &mut _, v: &[_]| adaptive_avg(t, v[0], grid);
    let (y, grads) = run(gpu, &[(&shape, &x)], &g, record).unwrap();
    let name = format!("adaptive {shape:?} grid {grid:?}");
    let forward = close(&name, &y, &p.average(&wide(&x)), 2.0).unwrap();
    close(&name, &grads[0], &p.average_backward(&wide(&g)), 2.0).unwrap().max(forward)
}

/// Maps and grids: all different, with windows that overlap along both axes; all equal; the least; a grid
/// as fine as the map; one that divides it; one window; most windows overlapping; the network's own;
/// one under, at and over a workgroup.
const GRIDS: &[([usize; 4], [usize; 2])] = &[
    ([2, 11, 7, 5], [4, 3]),
    ([3, 7, 10, 4], [5, 6]),
    ([3, 3, 3, 3], [3, 3]),
    ([4, 4, 4, 4], [2, 2]),
    ([1, 1, 1, 1], [1, 1]),
    ([2, 5, 6, 3], [5, 6]),
    ([2, 8, 9, 3], [4, 3]),
    ([2, 6, 5, 7], [1, 1]),
    ([1, 13, 17, 2], [12, 16]),
    ([2, 16, 16, 8], [3, 3]),
    ([1, 9, 65, 1], [7, 9]),
    ([1, 8, 16, 1], [8, 8]),
    ([1, 13, 7, 1], [13, 5]),
];

#[test]
fn a_grid_matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let of_case = |(shape, grid): &_| check_adaptive(gpu, *shape, *grid);
        let worst = GRIDS.iter().map(of_case).fold(0.0, f64::max);
        println!("pool: adaptive {worst:.3} of the allowance");
    }
}

/// More elements than one dispatch dimension holds, the longest side, and nearly the largest window.
#[test]
fn a_grid_over_large_maps() {
    let Some(gpu) = gpu(true) else { return };
    check_adaptive(gpu, [1, 2050, 2049, 1], [2049, 2047]);
    check_adaptive(gpu, [1, 60_000, 1, 2], [59_999, 1]);
    check_adaptive(gpu, [1, 243, 242, 1], [1, 1]);
}

#[test]
fn a_grid_that_does_not_fit_is_an_error_that_names_both() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |shape: &[usize], grid| {
        let record = |t: &mut _, v: &[_]| adaptive_avg(t, v[0], grid);
        run(gpu, &[(shape, &[])], &[], record).unwrap_err().to_string()
    };
    assert_eq!(
        fails(&[2, 4, 5, 1], [5, 5]),
        "adaptive_avg: x [2, 4, 5, 1], grid [5, 5]: the grid is finer than the maps"
    );
    assert!(fails(&[2, 5, 4, 1], [5, 5]).ends_with("finer than the maps"));
    assert!(fails(&[2, 5, 4, 1], [0, 3]).ends_with("at least 1 row and column"));
    assert!(fails(&[2, 5, 4, 1], [3, 0]).ends_with("at least 1 row and column"));
    assert_eq!(fails(&[2, 5, 4], [1, 1]), "adaptive_avg: x [2, 5, 4]: expected [N, H, W, C]");
    assert!(fails(&[1, 60_001, 1, 1], [60_001, 1]).ends_with("too large for one invocation"));
    assert!(fails(&[1, 1, 60_001, 1], [1, 60_001]).ends_with("too large for one invocation"));
    assert!(fails(&[1, 300, 300, 1], [1, 1]).ends_with("too large for one invocation"));
    assert!(fails(&[0, 4, 5, 1], [2, 2]).contains("at least 1"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_grid(
        n in 1usize..4, h in 1usize..20, w in 1usize..20, c in 1usize..6, rows in 1usize..20, columns in 1usize..20,
    ) {
        if let Some(gpu) = gpu(false) {
            check_adaptive(gpu, [n, h, w, c], [rows.min(h), columns.min(w)]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_shape(
        n in 1usize..4, h in 1usize..14, w in 1usize..14, c in 1usize..10,
        kernel in 1usize..6, stride in 1usize..5, padding in 0usize..3,
    ) {
        let padding = padding.min(kernel / 2);
        let p = pool([n, h.max(kernel), w.max(kernel), c], kernel, stride, padding);
        if let Some(gpu) = gpu(false) {
            check_max(gpu, p);
            check_average(gpu, p, false);
        }
    }
}
