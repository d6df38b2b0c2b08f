use crate::harness::{Input, close, fill, gpu, run_case, wide};
use crate::reference::Out;
use crate::reference::hinge as reference;
use anomem::gpu::{AdapterClass, Gpu, Variant};
use anomem::ops::hinge::{balance, double_hinge, position_targets};
use proptest::prelude::*;

/// Scores around both margins, at them where the margins are powers of two, and their labels; with some
/// weights of 0 and of different size.
fn batch(len: usize, eta: f32, seed: u64) -> [Vec<f32>; 3] {
    let a: Vec<f32> = fill(len, seed)
        .iter()
        .enumerate()
        .map(|(i, v)| match i % 7 {
            3 => eta,
            5 => 1.0 / eta,
            _ => (v + 1.0) * eta * 0.8,
        })
        .collect();
    let normal = fill(len, seed + 1).iter().map(|v| if *v > -0.2 { 1.0 } else { 0.0 }).collect();
    let weights = fill(len, seed + 2).iter().map(|v| (v * 3.0).max(0.0)).collect();
    [a, normal, weights]
}

/// Checks with and without weights: loss and gradient.
fn check(gpu: &Gpu, eta: f32, [a, normal, weights]: &[Vec<f32>; 3]) {
    let len = a.len();
    for weighted in [false, true] {
        let inputs = [
            Input::Trainable(&[len], a),
            Input::Constant(&[len], normal),
            Input::Constant(&[len], weights),
        ];
        let record = |t: &mut _, v: &[_]| {
            Ok(vec![double_hinge(t, v[0], v[1], eta, weighted.then_some(v[2]))?])
        };
        let outcome = run_case(gpu, Variant::Simple, &inputs, &[&[1.75]], record).unwrap();
        let [a, normal] = [a, normal].map(|v| wide(v));
        let weights = if weighted { wide(weights) } else { vec![1.0; len] };
        let eta = f64::from(eta);
        // Sums of one sign by 256 lanes: their roundings grow at most as the root of their number.
        let depth = 2.0 + (len as f64 / 256.0).sqrt() / 8.0;
        let want = reference::double_hinge(&a, &normal, eta, &weights);
        let worst = close("loss", &outcome.outputs[0], &want, depth).unwrap();
        let want = reference::backward(&a, &normal, eta, &weights, 1.75);
        let grad = close("grad_a", &outcome.grads[0], &want, depth).unwrap();
        println!(
            "hinge [{len}] eta {eta} {weighted}: worst {worst:.3} and {grad:.3} of the allowance"
        );
    }
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        // One score of either kind; around a workgroup; several runs of it.
        for len in [1, 2, 5, 8, 64, 255, 256, 257, 1000, 4097] {
            for eta in [2.0, 4.0, 1.0] {
                check(gpu, eta, &batch(len, eta, 1));
                check(gpu, eta, &batch(len, eta, 9));
            }
        }
    }
}

#[test]
fn as_many_scores_as_may_be() {
    let Some(gpu) = gpu(true) else { return };
    check(gpu, 2.0, &batch(15_360_000, 2.0, 1));
}

/// Loss and gradient of three scores that all have a loss, the second of an anomaly.
fn of_three(gpu: &Gpu, a: [f32; 3], weights: [f32; 3]) -> (f32, Vec<f32>) {
    let inputs = [
        Input::Trainable(&[3], &a),
        Input::Constant(&[3], &[1.0, 0.0, 1.0]),
        Input::Constant(&[3], &weights),
    ];
    let record = |t: &mut _, v: &[_]| Ok(vec![double_hinge(t, v[0], v[1], 2.0, Some(v[2]))?]);
    let mut outcome = run_case(gpu, Variant::Simple, &inputs, &[&[1.0]], record).unwrap();
    (outcome.outputs[0][0], outcome.grads.swap_remove(0))
}

#[test]
fn weights_that_sum_to_0_cost_nothing() {
    let Some(gpu) = gpu(false) else { return };
    for weights in [[0.0; 3], [1.0, -1.0, 0.0]] {
        let (loss, grad) = of_three(gpu, [3.0, 1.0, 4.0], weights);
        assert!(loss == 0.0 && grad.iter().all(|g| *g == 0.0));
    }
}

/// Not promised by WGSL, so only asked of the drivers that CI runs: a score that is NaN is not hidden.
#[test]
fn nan_passes_through() {
    let Some(gpu) = gpu(false) else { return };
    if gpu.report().class == AdapterClass::Software {
        for a in [[f32::NAN, 1.0, 4.0], [3.0, f32::NAN, 4.0]] {
            assert!(of_three(gpu, a, [1.0; 3]).0.is_nan());
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_shapes() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |shapes: [&[usize]; 3], eta| {
        let inputs = shapes.map(|shape| Input::Constant(shape, &[]));
        let record = |t: &mut _, v: &[_]| Ok(vec![double_hinge(t, v[0], v[1], eta, Some(v[2]))?]);
        run_case(gpu, Variant::Simple, &inputs, &[&[]], record).err().unwrap().to_string()
    };
    assert_eq!(
        fails([&[5], &[4], &[5]], 2.0),
        "double_hinge: a [5], normal [4], weights [5], eta 2: expected [N] each"
    );
    assert!(fails([&[5], &[5], &[1]], 2.0).ends_with("expected [N] each"));
    assert!(fails([&[5, 1], &[5, 1], &[5, 1]], 2.0).ends_with("expected [N] each"));
    for eta in [0.99, 0.0, -2.0, f32::NAN, f32::INFINITY] {
        assert!(fails([&[5], &[5], &[5]], eta).ends_with("at least 1"));
    }
    let many: &[usize] = &[15_360_001];
    assert!(fails([many, many, many], 2.0).ends_with("too many scores for one workgroup"));
}

#[test]
fn positions_are_told_by_their_damage() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (images, side, period) in
            [(1, 1, 1), (3, 4, 3), (7, 5, 7), (6, 5, 3), (8, 3, 1), (64, 12, 32)]
        {
            let len = images * side * side;
            let cover: Vec<f32> = fill(len, 3)
                .iter()
                .enumerate()
                .map(|(i, v)| match i % 5 {
                    0 => 0.15,
                    1 => 0.02,
                    2 => v.abs(),
                    _ => 0.0,
                })
                .collect();
            let known: Vec<f32> = (0..images).map(|i| f32::from(i % 3 != 2)).collect();
            let seen: Vec<f32> = (0..period).map(|i| f32::from(i % 4 != 1)).collect();
            let inputs = [
                Input::Constant(&[images, side, side], &cover),
                Input::Constant(&[images], &known),
                Input::Constant(&[period], &seen),
            ];
            let outcome = run_case(gpu, Variant::Simple, &inputs, &[&[], &[]], |t, v| {
                let (normal, weights) = position_targets(t, v[0], v[1], v[2], [0.02, 0.15])?;
                Ok(vec![normal, weights])
            })
            .unwrap();
            // The bounds as the kernel has them.
            let bounds = [0.02_f32, 0.15].map(f64::from);
            let want =
                reference::position_targets(&wide(&cover), &wide(&known), &wide(&seen), bounds);
            for (got, want) in outcome.outputs.iter().zip(want) {
                close("targets", got, &Out { mag: want.clone(), value: want }, 1.0).unwrap();
            }
        }
    }
}

#[test]
fn targets_of_what_does_not_fit_are_refused() {
    let Some(gpu) = gpu(false) else { return };
    let of = |cover: &[usize], seen: &[usize], bounds| {
        let inputs = [cover, &[2], seen].map(|shape| Input::Constant(shape, &[]));
        let record =
            |t: &mut _, v: &[_]| Ok(vec![position_targets(t, v[0], v[1], v[2], bounds)?.0]);
        run_case(gpu, Variant::Simple, &inputs, &[&[]], record).err().unwrap().to_string()
    };
    let fails = |cover: &[usize], bounds| of(cover, &[2], bounds);
    assert!(fails(&[3, 2, 2], [0.1, 0.2]).ends_with("expected [N, H, W], [N] and [B]"));
    assert!(of(&[2, 2, 2], &[1, 2], [0.1, 0.2]).ends_with("expected [N, H, W], [N] and [B]"));
    assert!(of(&[2, 2, 2], &[3], [0.1, 0.2]).ends_with("expected N to be a multiple of B"));
    assert!(fails(&[2, 4], [0.1, 0.2]).contains("position_targets: cover [2, 4]"));
    assert!(fails(&[2, 2, 2], [0.3, 0.2]).ends_with("in order, up to 1"));
    assert!(fails(&[2, 2000, 2000], [0.1, 0.2]).ends_with("too many positions for one workgroup"));
}

#[test]
fn either_side_weighs_one_half() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (len, period) in
            [(1, 1), (6, 3), (63, 63), (65, 5), (256, 128), (257, 1), (4097, 1), (4098, 683)]
        {
            for of_normal in [0.3, -2.0, 2.0] {
                let normal: Vec<f32> =
                    fill(len, 7).iter().map(|v| f32::from(*v > of_normal)).collect();
                let counts: Vec<f32> =
                    fill(period, 8).iter().map(|v| f32::from(*v > -0.5)).collect();
                let inputs =
                    [Input::Constant(&[len], &normal), Input::Constant(&[period], &counts)];
                let record = |t: &mut _, v: &[_]| Ok(vec![balance(t, v[0], v[1])?]);
                let outcome = run_case(gpu, Variant::Simple, &inputs, &[&[]], record).unwrap();
                let want = reference::balance(&wide(&normal), &wide(&counts));
                let want = Out { mag: want.clone(), value: want };
                close("balance", &outcome.outputs[0], &want, 1.0).unwrap();
            }
        }
        let fails = |normal: &[usize], counts: &[usize]| {
            let inputs = [normal, counts].map(|shape| Input::Constant(shape, &[]));
            let record = |t: &mut _, v: &[_]| Ok(vec![balance(t, v[0], v[1])?]);
            run_case(gpu, Variant::Simple, &inputs, &[&[]], record).err().unwrap().to_string()
        };
        assert_eq!(
            fails(&[4, 1], &[2]),
            "balance: normal [4, 1], counts [2]: expected [N] and [C]"
        );
        assert!(fails(&[4], &[3]).ends_with("expected N to be a multiple of C"));
        assert!(fails(&[7_680_001], &[1]).ends_with("too many entries for one workgroup"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_length(len in 1usize..2_000, seed in 0u64..1000) {
        if let Some(gpu) = gpu(false) {
            check(gpu, 2.0, &batch(len, 2.0, seed));
        }
    }
}
