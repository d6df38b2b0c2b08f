use crate::harness::{Input, fill, gpu, run_case, variants};
use crate::reference::finite as reference;
use anomem::gpu::{Gpu, Variant};
use anomem::ops::finite::count;
use proptest::prelude::*;

/// What counts: both infinities, quiet and signalling NaN, the first and the last payload.
const BAD: [u32; 6] =
    [0x7f80_0000, 0xff80_0000, 0x7fc0_0000, 0x7f80_0001, 0xffff_ffff, 0x7fff_ffff];
/// What does not: the largest finite values, the smallest subnormal, zeros, one.
const GOOD: [u32; 6] = [0x7f7f_ffff, 0xff7f_ffff, 1, 0x8000_0000, 0, 0x3f80_0000];

/// By every variant: each finds the same.
fn counted(gpu: &Gpu, shape: &[usize], x: &[f32]) -> u32 {
    let inputs = [Input::Constant(shape, x)];
    let by = |variant| {
        let outcome = run_case(gpu, variant, &inputs, &[&[]], |t, v| Ok(vec![count(t, v[0])?]));
        outcome.unwrap().outputs[0][0].to_bits()
    };
    let counts: Vec<u32> = variants(gpu).into_iter().map(by).collect();
    assert!(counts.iter().all(|c| *c == counts[0]), "{shape:?}: {counts:?}");
    counts[0]
}

/// Places bad values at the given positions among finite ones.
fn spoilt(len: usize, at: impl IntoIterator<Item = usize>) -> Vec<f32> {
    let mut x = fill(len, 3);
    x.iter_mut().enumerate().step_by(5).for_each(|(i, x)| *x = f32::from_bits(GOOD[i % 6]));
    at.into_iter().for_each(|i| x[i] = f32::from_bits(BAD[i % 6]));
    x
}

#[test]
fn counts_what_the_reference_counts() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let shapes: [&[usize]; 10] = [
            &[1],
            &[4],
            &[63],
            &[65],
            &[252],
            &[260],
            &[2, 3, 5, 7],
            &[4, 4, 4, 4],
            &[1_000_001],
            &[1_000_004],
        ];
        for shape in shapes {
            let len: usize = shape.iter().product();
            let sets: [Vec<usize>; 5] = [
                vec![],
                vec![0],
                vec![len - 1],
                (0..len).collect(),
                (0..len).filter(|i| i * i % 7 == 2).collect(),
            ];
            for set in sets {
                let x = spoilt(len, set);
                assert_eq!(counted(gpu, shape, &x), reference::count(&x), "{shape:?}");
            }
        }
    }
}

#[test]
fn every_pattern_alone() {
    let Some(gpu) = gpu(false) else { return };
    for (bits, want) in BAD.map(|b| (b, 1)).into_iter().chain(GOOD.map(|b| (b, 0))) {
        for len in [9, 12] {
            for at in [0, 1, 2, 3, len - 1] {
                let mut x = fill(len, 1);
                x[at] = f32::from_bits(bits);
                assert_eq!(counted(gpu, &[len], &x), want, "{bits:08x} at {at} of {len}");
            }
        }
    }
}

/// 30 million values, more than 2^24 of them bad: no count in f32 could hold that.
#[test]
fn thirty_million() {
    let Some(gpu) = gpu(true) else { return };
    let len = 30_000_004;
    let x: Vec<f32> = (0..len).map(|i| if i % 5 < 3 { f32::NAN } else { 1.0 }).collect();
    assert_eq!(counted(gpu, &[len], &x), reference::count(&x));
}

#[test]
fn empty_is_an_error() {
    let Some(gpu) = gpu(false) else { return };
    let inputs = [Input::Constant(&[0, 2], &[])];
    let e = run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| Ok(vec![count(t, v[0])?]));
    let e = e.err().unwrap();
    assert!(e.to_string().contains("[0, 2]"), "{e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_length(len in 1usize..20_000, every in 1usize..50) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        let x = spoilt(len, (0..len).step_by(every));
        prop_assert_eq!(counted(gpu, &[len], &x), reference::count(&x));
    }
}
