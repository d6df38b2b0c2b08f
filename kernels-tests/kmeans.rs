use crate::harness::{Input, close, fill, gpu, run_case, wide};
use crate::reference::{kmeans as reference, nearest};
use anomem::Result;
use anomem::anomem::kmeans::KMeans;
use anomem::autograd::{Tape, Value};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::kmeans::update;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn record(t: &mut Tape, v: &[Value]) -> Result<Vec<Value>> {
    let (centres, counts) = update(t, v[0], v[1], v[2])?;
    Ok(vec![centres, counts])
}

/// Rows go to the first half of the centres and a little beyond: some have none, some rows no centre.
fn assignment(rows: usize, centres: usize, seed: u64) -> Vec<u32> {
    let reach = (centres / 2 + 2) as f32;
    fill(rows, seed).iter().map(|v| (0.5 * (v + 1.0) * reach) as u32).collect()
}

fn check(gpu: &Gpu, [rows, centres, dim]: [usize; 3], seed: u64) {
    let (x, old) = (fill(rows * dim, seed), fill(centres * dim, seed + 1));
    let assigned = assignment(rows, centres, seed + 2);
    let inputs = [
        Input::Constant(&[rows, dim], &x),
        Input::Integers(&[rows], &assigned),
        Input::Constant(&[centres, dim], &old),
    ];
    let out = run_case(gpu, Variant::Simple, &inputs, &[&[], &[]], record).unwrap();
    let (want, counts) = reference::update(&wide(&x), &assigned, &wide(&old), dim);
    // Sums of either sign: their roundings grow as the root of their number.
    let depth = 2.0 + (rows as f64).sqrt() / 8.0;
    let worst = close("centres", &out.outputs[0], &want, depth).unwrap();
    let got: Vec<u32> = out.outputs[1].iter().map(|v| v.to_bits()).collect();
    assert_eq!(got, counts);
    println!("kmeans [{rows}, {dim}] to {centres}: worst {worst:.3} of the allowance");
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        // All equal; one; around a run, a workgroup of columns and the four centres cleared at once; many
        // centres of few rows; the widest.
        let shapes = [
            [1, 1, 1],
            [4, 4, 4],
            [31, 5, 63],
            [32, 3, 64],
            [33, 7, 65],
            [2049, 2, 3],
            [17, 4099, 5],
            [300, 9, 2048],
            [20_011, 64, 12],
        ];
        for (seed, shape) in shapes.into_iter().enumerate() {
            check(gpu, shape, seed as u64);
        }
    }
}

/// As many rows as runs of their greatest length, as many centres as a memory may have prototypes, and more
/// elements than one dispatch dimension holds.
#[test]
fn many_rows_many_centres_many_elements() {
    let Some(gpu) = gpu(true) else { return };
    check(gpu, [2_600_001, 3, 1], 1);
    check(gpu, [50_000, 65_536, 3], 2);
    check(gpu, [40, 2048, 2051], 3);
}

/// The mean lies where the sum of squared distances is least, so no update may raise it.
fn inertia(x: &[f32], assigned: &[u32], centres: &[f32], dim: usize) -> f64 {
    let of_row = |(row, m): (&[f32], &u32)| {
        let centre = &centres[*m as usize * dim..][..dim];
        row.iter().zip(centre).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
    };
    x.chunks(dim).zip(assigned).map(of_row).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_shape(rows in 1usize..400, centres in 1usize..40, dim in 1usize..90, seed in 0u64..1000) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        check(gpu, [rows, centres, dim], seed);
        let (x, old) = (fill(rows * dim, seed), fill(centres * dim, seed + 1));
        let assigned: Vec<u32> =
            assignment(rows, centres, seed).iter().map(|m| m % centres as u32).collect();
        let inputs = [
            Input::Constant(&[rows, dim], &x),
            Input::Integers(&[rows], &assigned),
            Input::Constant(&[centres, dim], &old),
        ];
        let out = run_case(gpu, Variant::Simple, &inputs, &[&[], &[]], record).unwrap();
        let [before, after] = [&old, &out.outputs[0]].map(|c| inertia(&x, &assigned, c, dim));
        prop_assert!(after <= before * (1.0 + 1e-6), "{before} became {after}");
    }
}

#[test]
fn shapes_must_agree() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |x: &[usize], assigned: &[usize], centres: &[usize]| {
        let inputs = [
            Input::Constant(x, &[]),
            Input::Integers(assigned, &[]),
            Input::Constant(centres, &[]),
        ];
        run_case(gpu, Variant::Simple, &inputs, &[&[], &[]], record).err().unwrap().to_string()
    };
    let text = "kmeans: x [6, 5], assigned [5], centres [2, 5]: expected [R, D], [R] and [M, D]";
    assert_eq!(fails(&[6, 5], &[5], &[2, 5]), text);
    assert!(fails(&[6, 5], &[6], &[2, 4]).contains("centres [2, 4]"));
    assert!(fails(&[6, 5], &[6, 1], &[2, 5]).contains("assigned [6, 1]"));
    assert!(fails(&[30], &[6], &[2, 5]).contains("x [30]"));
}

/// Rows around `count` points that lie 10 apart; the group of each.
fn blobs(rows: usize, count: usize, dim: usize, seed: u64) -> (Vec<f32>, Vec<usize>) {
    let groups: Vec<usize> = (0..rows).map(|r| r * 7 % count).collect();
    let at = |i: usize| if i.is_multiple_of(dim) { 10.0 * groups[i / dim] as f32 } else { 0.0 };
    let noise = fill(rows * dim, seed);
    (noise.iter().enumerate().map(|(i, v)| at(i) + 0.3 * v).collect(), groups)
}

/// The nearest centre of each row.
fn partition(x: &[f32], centres: &[f32], dim: usize) -> Vec<u32> {
    nearest::nearest(&wide(x), &wide(centres), dim).1
}

#[test]
fn separated_blobs_are_found() {
    let Some(gpu) = gpu(false) else { return };
    for (rows, count, dim) in [(40, 1, 3), (90, 9, 2), (200, 16, 33)] {
        let (x, groups) = blobs(rows, count, dim, 5);
        let kmeans = KMeans::new(gpu, x.clone(), dim, count).unwrap();
        let start = kmeans.start(gpu, 1).unwrap();
        assert!(start.chunks(dim).all(|centre| x.chunks(dim).any(|row| row == centre)));
        let found = partition(&x, &kmeans.settle(gpu, start).unwrap().centres, dim);
        let pairs: BTreeSet<_> = groups.iter().zip(&found).collect();
        let members: BTreeSet<_> = found.iter().collect();
        assert_eq!((pairs.len(), members.len()), (count, count), "{rows} {dim}");
    }
}

#[test]
fn inertia_never_rises_and_the_order_of_rows_does_not_matter() {
    let Some(gpu) = gpu(false) else { return };
    for (seed, [rows, count, dim]) in
        [[50, 7, 3], [300, 40, 5], [257, 12, 64]].into_iter().enumerate()
    {
        let x = fill(rows * dim, seed as u64);
        let kmeans = KMeans::new(gpu, x.clone(), dim, count).unwrap();
        let start = kmeans.start(gpu, seed as u64).unwrap();
        assert!(start == kmeans.start(gpu, seed as u64).unwrap());
        let clusters = kmeans.settle(gpu, start.clone()).unwrap();
        assert!(clusters == kmeans.settle(gpu, start.clone()).unwrap());
        let inertia = &clusters.inertia;
        assert!(inertia.len() > 1 && inertia.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-6)));

        // 7 divides none of the numbers of rows, so each comes once.
        let order: Vec<usize> = (0..rows).map(|r| r * 7 % rows).collect();
        let moved: Vec<f32> =
            order.iter().flat_map(|r| &x[r * dim..(r + 1) * dim]).copied().collect();
        let other = KMeans::new(gpu, moved, dim, count).unwrap().settle(gpu, start).unwrap();
        assert_eq!(partition(&x, &clusters.centres, dim), partition(&x, &other.centres, dim));
    }
}

#[test]
fn centres_without_vectors_start_anew() {
    let Some(gpu) = gpu(false) else { return };
    let (x, _) = blobs(60, 6, 2, 3);
    let kmeans = KMeans::new(gpu, x.clone(), 2, 6).unwrap();
    // All but one centre lie where no vector is near.
    let far: Vec<f32> = (0..12).map(|i| if i < 2 { 0.0 } else { 1e4 }).collect();
    let clusters = kmeans.settle(gpu, far).unwrap();
    assert!(clusters.centres.iter().all(|c| *c < 60.0), "{:?}", clusters.centres);
    assert!(clusters.inertia.last().unwrap() < &(0.1 * clusters.inertia[0]));
    // More centres than different vectors: each vector is one.
    let few = KMeans::new(gpu, x[..6].to_vec(), 2, 8).unwrap();
    let clusters = few.settle(gpu, few.start(gpu, 1).unwrap()).unwrap();
    assert!(
        *clusters.inertia.last().unwrap() < 1e-9 && clusters.centres.iter().all(|c| c.is_finite())
    );
    assert!(KMeans::new(gpu, vec![f32::NAN], 1, 1).is_err());
    assert!(KMeans::new(gpu, Vec::new(), 1, 1).is_err());
}
