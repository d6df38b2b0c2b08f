use crate::harness::{close, fill, gpu, run, wide};
use crate::reference::activation as reference;
use anomem::gpu::{AdapterClass, Gpu};
use anomem::ops::activation::relu;
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
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_length(len in 1usize..3_000) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check(gpu, &[len]);
    }
}
