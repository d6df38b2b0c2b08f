use crate::harness::{Input, close, fill, gpu, run_case, wide};
use crate::reference::{Out, gather as reference};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::gather::{draw, gather, matched};
use proptest::prelude::*;

fn drawn(gpu: &Gpu, counters: &[u32; 4], sizes: [usize; 3], purpose: u32) -> Vec<u32> {
    let [images, positions, count] = sizes;
    let inputs = [Input::Integers(&[4], counters)];
    let record = |t: &mut _, v: &[_]| Ok(vec![draw(t, v[0], images, positions, count, purpose)?]);
    let outcome = run_case(gpu, Variant::Simple, &inputs, &[&[]], record).unwrap();
    outcome.outputs[0].iter().map(|v| v.to_bits()).collect()
}

/// Images, positions, count.
const DRAWS: &[[usize; 3]] = &[
    [1, 1, 1], //
    [2, 63, 63],
    [3, 64, 19],
    [4, 65, 1],
    [5, 5, 5],
    [2, 1024, 307],
    [1, 4096, 4096],
];

#[test]
fn draw_is_the_reference_sample_for_every_image() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for &[images, positions, count] in DRAWS {
            let counters = [0x1234_5678, 0x9abc_def0, 41, 0];
            let got = drawn(gpu, &counters, [images, positions, count], 7);
            let want = reference::draw(counters, positions, count, 7);
            assert_eq!(got, want.repeat(images), "{images} {positions} {count}");
            let mut seen = want;
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), count, "positions repeat");
        }
    }
}

#[test]
fn equal_words_are_drawn_by_position() {
    let Some(gpu) = gpu(false) else { return };
    // A step in which two of 4,096 positions get the same word: one in 512.
    let tie = |step: &u32| {
        let words = (0..4096).map(|p| reference::philox([1, 2], [p, *step, 3, 0])[0]);
        words.collect::<std::collections::HashSet<_>>().len() < 4096
    };
    let step = (0..).find(tie).unwrap();
    let got = drawn(gpu, &[1, 2, step, 0], [1, 4096, 4096], 3);
    assert_eq!(got, reference::draw([1, 2, step, 0], 4096, 4096, 3), "step {step}");
}

#[test]
fn draw_depends_on_both_seed_words_step_and_purpose() {
    let Some(gpu) = gpu(false) else { return };
    let base = drawn(gpu, &[1, 2, 3, 0], [1, 64, 20], 4);
    assert_eq!(base, drawn(gpu, &[1, 2, 3, 0], [1, 64, 20], 4));
    for (counters, purpose) in
        [([9, 2, 3, 0], 4), ([1, 9, 3, 0], 4), ([1, 2, 9, 0], 4), ([1, 2, 3, 0], 9)]
    {
        assert_ne!(base, drawn(gpu, &counters, [1, 64, 20], purpose), "{counters:?} {purpose}");
    }
}

#[test]
fn every_position_is_drawn_equally_often() {
    // 2,000 draws of 3 out of 10 by the reference, which the kernel equals bit by bit: each position is
    // expected 600 times, standard deviation 20.5. At the first place: 200 times, 13.4.
    let (mut taken, mut first) = ([0u32; 10], [0u32; 10]);
    for step in 0..2000 {
        let row = reference::draw([5, 6, step, 0], 10, 3, 1);
        row.iter().for_each(|p| taken[*p as usize] += 1);
        first[row[0] as usize] += 1;
    }
    assert!(taken.iter().all(|n| n.abs_diff(600) < 90), "{taken:?}");
    assert!(first.iter().all(|n| n.abs_diff(200) < 60), "{first:?}");
}

fn check(gpu: &Gpu, views: usize, [b, p, d]: [usize; 3], n: usize, indices: &[Vec<u32>]) -> f64 {
    let x = fill(views * b * p * d, 1);
    let seeds: Vec<Vec<f32>> = (0..views as u64).map(|v| fill(b * n * d, 10 + v)).collect();
    let (shape, of_index) = ([views * b, p, d], [b, n]);
    let mut inputs = vec![Input::Trainable(&shape, &x)];
    inputs.extend(indices.iter().map(|i| Input::Integers(&of_index, i)));
    let mut worst = 0f64;
    // All views carry a gradient; then only the last, so that the others' parts must be zeroed.
    for skip in 0..views.min(2) {
        let of_view = |v: usize| if skip == 1 && v + 1 < views { &[][..] } else { &seeds[v][..] };
        let seeds: Vec<&[f32]> = (0..views).map(of_view).collect();
        let record = |t: &mut _, v: &[_]| gather(t, v[0], &v[1..]);
        let outcome = run_case(gpu, Variant::Simple, &inputs, &seeds, record).unwrap();
        let mut grad = Out { value: vec![0.0; x.len()], mag: vec![0.0; x.len()] };
        for view in 0..views {
            let want = reference::gather(&wide(&x), [b, p, d], &indices[view], view);
            assert_eq!(wide(&outcome.outputs[view]), want);
            if !seeds[view].is_empty() {
                reference::scatter(&wide(seeds[view]), [b, p, d], &indices[view], view, &mut grad);
            }
        }
        worst = worst.max(close("grad_x", &outcome.grads[0], &grad, n as f64).unwrap());
    }
    worst
}

/// Indices with repeats, some not below P.
fn indices(views: usize, b: usize, p: usize, n: usize) -> Vec<Vec<u32>> {
    let words = |v: u64| fill(b * n, 20 + v).into_iter().map(|x| ((x + 1.0) * 1e6) as u32);
    (0..views as u64).map(|v| words(v).map(|w| w % (p as u32 + 1)).collect()).collect()
}

#[test]
fn gather_matches_the_reference() {
    // Views, [B, P, D], n: ones; all different; all equal; one under, at and over a workgroup of rows or
    // features; more rows than positions; fewer features than images.
    let cases = [
        (1, [1, 1, 1], 1),
        (2, [5, 70, 1], 3),
        (2, [3, 7, 5], 4),
        (3, [3, 3, 3], 3),
        (2, [2, 9, 63], 16),
        (2, [2, 64, 64], 20),
        (1, [5, 13, 65], 31),
    ];
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (views, [b, p, d], n) in cases {
            let worst = check(gpu, views, [b, p, d], n, &indices(views, b, p, n));
            println!("gather {views}x[{b},{p},{d}] n {n}: worst {worst:.3} of the allowance");
        }
    }
}

#[test]
fn gather_reaches_over_one_dispatch_dimension() {
    let Some(gpu) = gpu(false) else { return };
    // 65,535 workgroups of 64 elements and a few, both forward and backward.
    check(gpu, 1, [1, 4100, 1024], 4097, &indices(1, 1, 4100, 4097));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]
    #[test]
    fn gather_matches_for_any_shape(views in 1usize..4, b in 1usize..6, p in 1usize..40, d in 1usize..70, n in 1usize..30) {
        if let Some(gpu) = gpu(false) {
            check(gpu, views, [b, p, d], n, &indices(views, b, p, n));
        }
    }
}

/// Crops inside the image with all sizes different, mirrored or not.
fn geometry(b: usize, seed: u64) -> Vec<f32> {
    let r: Vec<f32> = fill(b * 5, seed).iter().map(|v| (v + 1.0) / 2.0).collect();
    r.chunks_exact(5)
        .flat_map(|r| {
            let (w, h) = (0.3 + 0.7 * r[0], 0.3 + 0.7 * r[1]);
            [r[2] * (1.0 - w), r[3] * (1.0 - h), w, h, r[4].round(), 0.0, 0.0, 0.0]
        })
        .collect()
}

fn matches(
    gpu: &Gpu,
    index: &[u32],
    a: &[f32],
    b: &[f32],
    map: [usize; 2],
    tolerance: f32,
) -> (Vec<u32>, Vec<f32>) {
    let images = a.len() / 8;
    let (of_index, of_geometry) = ([images, index.len() / images], [2 * images, 8]);
    let both = [a, b].concat();
    let inputs = [Input::Integers(&of_index, index), Input::Constant(&of_geometry, &both)];
    let record = |t: &mut _, v: &[_]| {
        let (index, valid) = matched(t, v[0], v[1], map[0], map[1], tolerance)?;
        Ok(vec![index, valid])
    };
    let outcome = run_case(gpu, Variant::Simple, &inputs, &[&[], &[]], record).unwrap();
    (outcome.outputs[0].iter().map(|v| v.to_bits()).collect(), outcome.outputs[1].clone())
}

#[test]
fn matched_finds_the_same_image_point() {
    let cases = [
        ([1, 1], 3, 0.5),
        ([5, 7], 6, 0.5),
        ([8, 8], 7, 0.25),
        ([4, 16], 9, 1.5),
        ([13, 5], 2, 0.5),
    ];
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (map, images, tolerance) in cases {
            let n = map[0] * map[1];
            let index: Vec<u32> = (0..images * n).map(|i| ((i * 3 + i / n) % n) as u32).collect();
            let (a, b) = (geometry(images, 31), geometry(images, 32));
            let (got, valid) = matches(gpu, &index, &a, &b, map, tolerance);
            let row = |g: &[f32], i: usize| std::array::from_fn(|k| f64::from(g[i * 8 + k]));
            let (mut compared, mut inside) = (0, 0);
            for i in 0..index.len() {
                let (a, b) = (row(&a, i / n), row(&b, i / n));
                let (cell, far, margin) =
                    reference::matched(index[i] as usize, a, b, map, f64::from(tolerance));
                // Nearer to a border than f32 resolves, either answer is right.
                if margin > 1e-5 {
                    compared += 1;
                    assert_eq!(got[i] as usize, cell, "{map:?} row {i}");
                    assert_eq!(valid[i], if far <= f64::from(tolerance) { 1.0 } else { 0.0 });
                    inside += usize::from(valid[i] > 0.0);
                }
            }
            println!("matched {map:?}: {inside} of {compared} inside, {} rows", index.len());
            assert!(compared * 10 >= index.len() * 9, "too many rows on a border");
            assert!(n == 1 || (inside > 0 && inside < compared), "both answers must occur");
        }
    }
}

#[test]
fn matched_with_itself_is_the_same_cell_and_mirrored_is_the_opposite() {
    let Some(gpu) = gpu(false) else { return };
    let [h, w] = [3, 5];
    let index: Vec<u32> = (0..15).collect();
    let a = [0.1, 0.2, 0.6, 0.5, 0.0, 0.0, 0.0, 0.0];
    let mut b = a;
    let (same, valid) = matches(gpu, &index, &a, &a, [h, w], 0.25);
    assert_eq!((same, valid), (index.clone(), vec![1.0; 15]));
    b[4] = 1.0;
    let (opposite, valid) = matches(gpu, &index, &a, &b, [h, w], 0.25);
    assert_eq!(opposite, index.iter().map(|i| i / 5 * 5 + 4 - i % 5).collect::<Vec<_>>());
    assert_eq!(valid, vec![1.0; 15]);
}

#[test]
fn wrong_shapes_are_errors_that_name_the_operation() {
    let Some(gpu) = gpu(false) else { return };
    let (x, ints, floats) = (fill(24, 1), vec![0u32; 8], fill(32, 2));
    let inputs = [
        Input::Trainable(&[4, 3, 2], &x),
        Input::Integers(&[2, 4], &ints),
        Input::Integers(&[4], &ints[..4]),
        Input::Constant(&[4, 8], &floats),
    ];
    let fails = |record: &dyn Fn(
        &mut anomem::autograd::Tape,
        &[anomem::autograd::Value],
    ) -> anomem::Result<()>| {
        let all = |t: &mut _, v: &[_]| record(t, v).map(|()| Vec::new());
        run_case(gpu, Variant::Simple, &inputs, &[], all).err().unwrap().to_string()
    };
    for (message, part) in [
        (
            fails(&|t, v| gather(t, v[0], &[v[1]]).map(drop)),
            "gather: x [4, 3, 2], indices [[2, 4]]",
        ),
        (fails(&|t, v| gather(t, v[0], &[]).map(drop)), "gather: x [4, 3, 2], 0 views"),
        (fails(&|t, v| draw(t, v[2], 2, 3, 4, 0).map(drop)), "gather.draw: 4 of 3 positions"),
        (fails(&|t, v| draw(t, v[2], 2, 3, 0, 0).map(drop)), "at least 1"),
        (fails(&|t, v| draw(t, v[2], 1, 60_000, 1, 0).map(drop)), "at most 60000 in all"),
        (fails(&|t, v| draw(t, v[1], 2, 3, 1, 0).map(drop)), "counters [2, 4]: expected [4]"),
        (fails(&|t, v| matched(t, v[2], v[3], 2, 2, 0.5).map(drop)), "index [4]: expected [B, n]"),
        (fails(&|t, v| matched(t, v[1], v[0], 2, 2, 0.5).map(drop)), "geometry [4, 3, 2]"),
        (fails(&|t, v| matched(t, v[1], v[3], 0, 2, 0.5).map(drop)), "map 0x2"),
        (fails(&|t, v| matched(t, v[1], v[3], 2, 2, f32::NAN).map(drop)), "tolerance NaN"),
    ] {
        assert!(message.contains(part), "{message}");
    }
}
