use crate::harness::{close, fill, gpu, run, wide};
use crate::reference::activation as reference;
use anomem::gpu::{AdapterClass, Gpu};
use anomem::ops::activation::{relu, softplus};
use proptest::prelude::*;

fn check(gpu: &Gpu, shape: &[usize]) {
    let len = shape.iter().product();
    let (mut x, g) = (fill(len, 1), fill(len, 2));
    x[len / 2] = 0.0;
    let (y, grads) = run(gpu, &[(shape, &x)], &g, |t, v| relu(t, v[0])).unwrap();
    close("y", &y, &reference::relu(&wide(&x)), 1.0).unwrap();
    let want = reference::relu_backward(&wide(&x), &wide(&g));
    let worst = close("grad_x", &grads[0], &want, 1.0).unwrap();
    println!("relu {shape:?}: worst {worst:.3} of the allowance");
}

#[test]
fn relu_matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        // One under, at and over a workgroup of scalars and of vectors; over a dispatch dimension.
        let shapes: [&[usize]; 13] = [
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
        shapes.iter().for_each(|shape| check(gpu, shape));
    }
}

#[test]
fn vectors_over_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    check(gpu, &[65_535 * 256 + 4]);
}

/// Every size of argument: most lie within a few units of 0, the rest where the exponential is lost in
/// rounding or would overflow, some at those places.
fn arguments(len: usize) -> Vec<f32> {
    const PLACES: [f32; 13] =
        [0.0, 1e-8, -1e-8, 1.0, -1.0, 16.7, -16.7, 87.0, -87.0, 104.0, -104.0, 1e4, -1e4];
    let mut x = fill(len, 7);
    for (i, x) in x.iter_mut().enumerate() {
        *x = if i % 4 == 3 { PLACES[i / 4 % 13] } else { *x * [3.0, 20.0, 110.0][i % 3] };
    }
    x
}

fn check_softplus(gpu: &Gpu, shape: &[usize], x: &[f32]) {
    let g = fill(x.len(), 8);
    let (y, grads) = run(gpu, &[(shape, x)], &g, |t, v| softplus(t, v[0])).unwrap();
    let worst = close("y", &y, &reference::softplus(&wide(x)), 1.0).unwrap();
    let want = reference::softplus_backward(&wide(x), &wide(&g));
    let grad = close("grad_x", &grads[0], &want, 1.0).unwrap();
    println!("softplus {shape:?}: worst {worst:.3} and {grad:.3} of the allowance");
}

#[test]
fn softplus_matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let shapes: [&[usize]; 8] =
            [&[1], &[63], &[64], &[65], &[2, 3, 5, 7], &[3, 5, 7, 11], &[4, 4, 4, 4], &[3001]];
        for shape in shapes {
            check_softplus(gpu, shape, &arguments(shape.iter().product()));
        }
        let len = 65_535 * 64 + 1;
        check_softplus(gpu, &[len], &arguments(len));
    }
}

/// Softplus to the last bit where the driver's exponential is as good: near 0, and where it is lost in
/// rounding. WGSL lets exp and division be off by more, so only asked of the drivers that CI runs.
#[test]
fn softplus_to_the_last_bit() {
    let Some(gpu) = gpu(false) else { return };
    if gpu.report().class != AdapterClass::Software {
        return;
    }
    let x = [0.0, 0.25, -0.25, 17.5, 1e4];
    let (y, _) = run(gpu, &[(&[5], &x)], &[1.0; 5], |t, v| softplus(t, v[0])).unwrap();
    for ((x, y), want) in x.iter().zip(&y).zip(reference::softplus(&wide(&x)).value) {
        let off = (f64::from(*y) - want).abs() / want / f64::from(f32::EPSILON);
        println!("softplus({x}) = {y}: off by {off:.2} roundings");
        assert!(off <= 1.0, "softplus({x}) = {y}, want {want}");
    }
}

/// Not promised by WGSL, so only asked of the drivers that CI runs.
#[test]
fn nan_passes_through() {
    let Some(gpu) = gpu(false) else { return };
    if gpu.report().class != AdapterClass::Software {
        return;
    }
    for len in [5, 8] {
        let (mut x, g) = (fill(len, 1), fill(len, 2));
        x[3] = f32::NAN;
        let (y, grads) = run(gpu, &[(&[len], &x)], &g, |t, v| relu(t, v[0])).unwrap();
        assert!(y[3].is_nan() && grads[0][3] == g[3]);
        assert_eq!(y.iter().filter(|y| y.is_nan()).count(), 1);
        let (y, grads) = run(gpu, &[(&[len], &x)], &g, |t, v| softplus(t, v[0])).unwrap();
        assert!(y[3].is_nan() && grads[0][3].is_nan());
        assert_eq!(y.iter().filter(|y| y.is_nan()).count(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_length(len in 1usize..3_000) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check(gpu, &[len]);
        check_softplus(gpu, &[len], &arguments(len));
    }
}
