use crate::harness::{Input, close, fill, gpu, run_case, variants, wide};
use crate::reference::deviation as reference;
use anomem::autograd::{Tape, Value};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::deviation::{Reduction, norms, reduce};
use proptest::prelude::*;

/// A square root or a division, and a row's sum: of `len` values of one sign, the sum so far is half
/// the whole on average, and its roundings add up like a random walk.
fn depth(len: usize) -> f64 {
    2.0 + (len as f64).sqrt() / 8.0
}

fn forward(
    gpu: &Gpu,
    variant: Variant,
    inputs: &[(&[usize], &[f32])],
    record: impl Fn(&mut Tape, &[Value]) -> anomem::Result<Value>,
) -> anomem::Result<Vec<f32>> {
    let inputs: Vec<Input<'_>> = inputs.iter().map(|(s, d)| Input::Constant(s, d)).collect();
    let outcome = run_case(gpu, variant, &inputs, &[&[]], |t, v| Ok(vec![record(t, v)?]))?;
    Ok(outcome.outputs.into_iter().next().unwrap())
}

fn check_norms(gpu: &Gpu, variant: Variant, rows: usize, d: usize) -> f64 {
    let (z, r) = (fill(rows * d, 1), fill(rows * d, 2));
    let shape = [rows, d];
    let got =
        forward(gpu, variant, &[(&shape, &z), (&shape, &r)], |t, v| norms(t, v[0], v[1])).unwrap();
    let name = format!("norms [{rows}, {d}] {variant:?}");
    close(&name, &got, &reference::norms(&wide(&z), &wide(&r), d), depth(d)).unwrap()
}

/// All reductions of `[images, positions]` norms, some of them equal, some 0.
fn check_reduce(gpu: &Gpu, variant: Variant, images: usize, positions: usize) -> f64 {
    let norms: Vec<f32> = fill(images * positions, 3)
        .iter()
        .map(|v| match *v {
            v if v < -0.9 => 0.0,
            v if v < 0.0 => (v * -20.0).ceil() * 0.37,
            v => v * 8.0,
        })
        .collect();
    let n = wide(&norms);
    let mut cases = vec![
        (Reduction::Norm, reference::norm(&n, positions)),
        (Reduction::Mean, reference::top(&n, positions, positions)),
        (Reduction::Max, reference::top(&n, positions, 1)),
    ];
    for k in [1, 2, positions / 2, positions - 1, positions] {
        if (1..=positions).contains(&k) {
            cases.push((Reduction::TopK(k), reference::top(&n, positions, k)));
        }
    }
    let mut worst = 0f64;
    for (reduction, want) in cases {
        let shape = [images, positions];
        let got =
            forward(gpu, variant, &[(&shape, &norms)], |t, v| reduce(t, v[0], reduction)).unwrap();
        let name = format!("{reduction:?} [{images}, {positions}] {variant:?}");
        worst = worst.max(close(&name, &got, &want, depth(positions)).unwrap());
    }
    worst
}

/// All different; all equal; ones; rows and their lengths one under, at and over a workgroup; long.
const SHAPES: &[[usize; 2]] = &[
    [5, 7],
    [8, 8],
    [1, 1],
    [1, 63],
    [3, 64],
    [2, 65],
    [63, 66],
    [64, 1],
    [65, 5],
    [129, 130],
    [7, 2048],
    [2, 56 * 56],
];

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in variants(gpu) {
            let mut worst = [0f64; 2];
            for &[a, b] in SHAPES {
                worst[0] = worst[0].max(check_norms(gpu, variant, a, b));
                worst[1] = worst[1].max(check_reduce(gpu, variant, a, b));
            }
            println!("deviation {variant:?}: norms, reduce {worst:.3?} of the allowance");
        }
    }
}

#[test]
fn the_norm_of_the_map_is_the_norm_of_its_norms() {
    let Some(gpu) = gpu(false) else { return };
    let (z, r) = (fill(2 * 12 * 5, 4), fill(2 * 12 * 5, 5));
    let shape = [24, 5];
    let got = forward(gpu, Variant::Simple, &[(&shape, &z), (&shape, &r)], |t, v| {
        let n = norms(t, v[0], v[1])?;
        let n = t.reshape(n, &[2, 12])?;
        reduce(t, n, Reduction::Norm)
    })
    .unwrap();
    close("map", &got, &reference::norms(&wide(&z), &wide(&r), 60), depth(60)).unwrap();
}

#[test]
fn maps_longer_than_a_software_driver_loops() {
    let Some(gpu) = gpu(false) else { return };
    let n: Vec<f32> = fill(70_000, 8).iter().map(|v| v.abs()).collect();
    for (reduction, k) in [(Reduction::Mean, 70_000), (Reduction::TopK(9), 9)] {
        let record = |t: &mut Tape, v: &[Value]| reduce(t, v[0], reduction);
        let got = forward(gpu, Variant::Simple, &[(&[1, 70_000], &n)], record).unwrap();
        close("long", &got, &reference::top(&wide(&n), 70_000, k), depth(70_000)).unwrap();
    }
}

#[test]
fn nan_is_not_lost() {
    let Some(gpu) = gpu(false) else { return };
    for reduction in [Reduction::Norm, Reduction::Mean, Reduction::Max, Reduction::TopK(2)] {
        for variant in variants(gpu) {
            for bad in [f32::NAN, -f32::NAN] {
                let mut n: Vec<f32> = fill(2 * 70, 6).iter().map(|v| v.abs()).collect();
                n[69] = bad;
                let got =
                    forward(gpu, variant, &[(&[2, 70], &n)], |t, v| reduce(t, v[0], reduction));
                let got = got.unwrap();
                assert!(got[0].is_nan() && got[1].is_finite(), "{reduction:?} {got:?}");
            }
        }
    }
}

#[test]
fn more_workgroups_than_one_dimension_holds() {
    let Some(gpu) = gpu(false) else { return };
    check_norms(gpu, Variant::Tiled, 65_537, 64);
    // One invocation per image: 65,535 workgroups of 64, and one more.
    let images = 65_535 * 64 + 1;
    let n: Vec<f32> = fill(images, 7).iter().map(|v| v.abs()).collect();
    for reduction in [Reduction::Norm, Reduction::Mean, Reduction::Max] {
        let record = |t: &mut Tape, v: &[Value]| reduce(t, v[0], reduction);
        let got = forward(gpu, Variant::Simple, &[(&[images, 1], &n)], record).unwrap();
        close("reduce", &got, &reference::norm(&wide(&n), 1), depth(1)).unwrap();
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_shapes() {
    let Some(gpu) = gpu(false) else { return };
    let (a, b) = (fill(6, 1), fill(6, 2));
    let error = |got: anomem::Result<Vec<f32>>| got.unwrap_err().to_string();
    let two = |x: &[usize], y: &[usize]| {
        error(forward(gpu, Variant::Simple, &[(x, &a), (y, &b)], |t, v| norms(t, v[0], v[1])))
    };
    assert_eq!(two(&[2, 3], &[3, 2]), "norms: z [2, 3], retrieved [3, 2]");
    assert_eq!(two(&[6], &[6]), "norms: z [6]: expected [R, D]");
    let one = |shape: &[usize], r| {
        error(forward(gpu, Variant::Simple, &[(shape, &a)], |t, v| reduce(t, v[0], r)))
    };
    assert_eq!(one(&[6], Reduction::Max), "reduce: norms [6]: expected [N, P]");
    let e = "reduce: norms [2, 3], the 4 greatest: expected 1 to 3";
    assert_eq!(one(&[2, 3], Reduction::TopK(4)), e);
    assert!(one(&[2, 3], Reduction::TopK(0)).contains("the 0 greatest"));
    let many = fill(120_001, 3);
    let record = |t: &mut Tape, v: &[Value]| reduce(t, v[0], Reduction::Max);
    let e = error(forward(gpu, Variant::Simple, &[(&[1, 120_001], &many)], record));
    assert!(e.contains("[1, 120001]: more than 120000 positions"), "{e}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_shape(a in 1usize..40, b in 1usize..200) {
        if let Some(gpu) = gpu(false) {
            for variant in variants(gpu) {
                check_norms(gpu, variant, a, b);
                check_reduce(gpu, variant, a, b);
            }
        }
    }
}
