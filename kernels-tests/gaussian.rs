use crate::harness::{Input, close, fill, gpu, run_case, variants, wide};
use crate::reference::gaussian as reference;
use anomem::Result;
use anomem::gpu::Gpu;
use anomem::ops::gaussian::smooth;

/// Two divisions and the weights' exponentials, three ulp each; of up to 2 * 192 + 1 terms of one sign
/// the sum so far is half the whole, and its roundings add up like a random walk.
fn depth(sigma: f32) -> f64 {
    10.0 + f64::from(6.0 * sigma).sqrt()
}

fn smoothed(gpu: &Gpu, shape: &[usize], x: &[f32], sigma: f32) -> Result<Vec<Vec<f32>>> {
    let inputs = [Input::Constant(shape, x)];
    let run = |variant| {
        let out =
            run_case(gpu, variant, &inputs, &[&[]], |t, v| Ok(vec![smooth(t, v[0], sigma)?]))?;
        Ok(out.outputs.into_iter().next().unwrap_or_default())
    };
    variants(gpu).into_iter().map(run).collect()
}

/// One under, at and over a workgroup, lines shorter than the radius, several channels, one pixel.
const CASES: &[([usize; 4], f32)] = &[
    ([2, 5, 7, 3], 1.3),
    ([1, 7, 9, 1], 0.4),
    ([1, 8, 8, 1], 4.0),
    ([3, 13, 5, 1], 0.05),
    ([1, 4, 4, 4], 64.0),
    ([2, 1, 40, 1], 2.0),
    ([2, 40, 1, 1], 2.0),
    ([1, 1, 1, 1], 1.0),
];

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let mut worst = 0f64;
        for &(shape, sigma) in CASES {
            let x = fill(shape.iter().product(), 1);
            let want = reference::smooth(&wide(&x), shape, f64::from(sigma));
            for got in smoothed(gpu, &shape, &x, sigma).unwrap() {
                let name = format!("{shape:?}, sigma {sigma}");
                worst = worst.max(close(&name, &got, &want, depth(sigma)).unwrap());
            }
        }
        println!("gaussian: worst {worst:.3} of the allowance");
    }
}

#[test]
fn more_workgroups_than_one_dimension_holds() {
    let Some(gpu) = gpu(false) else { return };
    let (shape, sigma) = ([1, 2049, 2050, 1], 0.3);
    let x = fill(shape.iter().product(), 2);
    let want = reference::smooth(&wide(&x), shape, f64::from(sigma));
    close("large", &smoothed(gpu, &shape, &x, sigma).unwrap()[0], &want, depth(sigma)).unwrap();
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |shape: &[usize], sigma| {
        let x = fill(shape.iter().product(), 1);
        smoothed(gpu, shape, &x, sigma).unwrap_err().to_string()
    };
    assert_eq!(fails(&[2, 3, 4], 1.0), "gaussian: x [2, 3, 4]: expected [N, H, W, C]");
    for sigma in [0.0, -1.0, 65.0, f32::NAN] {
        let e = fails(&[1, 2, 2, 1], sigma);
        assert!(e.contains("expected above 0 and at most 64"), "{e}");
    }
}
