use crate::harness::{Input, close, fill, gpu, run_case, wide};
use crate::reference::Out;
use crate::reference::damage as reference;
use anomem::autograd::{Tape, Value};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::augment::{AugmentOptions, Images};
use anomem::ops::damage::{DamageOptions, UNMARKED, cover, damage, draw, marked, shown};
use anomem::ops::{augment, damage as ops};
use proptest::prelude::*;

/// Roundings on the way of one value.
const DEPTH: f64 = 4.0;

/// Pixels differ from the reference, before it is rounded, by rounding to a byte and a little more.
const BYTE: f64 = 0.5 + 1e-3;

const NONE: DamageOptions = DamageOptions {
    rectangle: false,
    scar: false,
    blob: false,
    spot: false,
    line: false,
    smear: false,
};

const KINDS: [u32; 6] = [
    reference::RECTANGLE,
    reference::SCAR,
    reference::BLOB,
    reference::SPOT,
    reference::LINE,
    reference::SMEAR,
];

/// Every segment of a line.
const WHOLE: f32 = 4095.0;

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    fill(len, seed).iter().map(|v| ((v + 1.0) * 128.0) as u8).collect()
}

fn packed(bytes: &[u8]) -> Vec<u32> {
    let word = |c: &[u8]| c.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    bytes.chunks(4).map(word).collect()
}

fn drawn(
    gpu: &Gpu,
    options: &DamageOptions,
    counters: [u32; 3],
    ids: &[u32],
) -> anomem::Result<Vec<f32>> {
    let counters = [counters[0], counters[1], counters[2], 9];
    let inputs = [Input::Integers(&[4], &counters), Input::Integers(&[ids.len()], ids)];
    let record = |t: &mut Tape, v: &[Value]| Ok(vec![draw(t, options, v[0], v[1])?]);
    Ok(run_case(gpu, Variant::Simple, &inputs, &[&[]], record)?.outputs.swap_remove(0))
}

/// Stored images, and the batch that is made of them.
struct Case {
    bytes: Vec<u8>,
    shape: [usize; 4],
    statistics: Vec<f32>,
    slots: Vec<u32>,
    draws: Vec<f32>,
    chosen: Vec<f32>,
}

struct Made {
    bytes: Vec<u8>,
    mask: Vec<f32>,
    seen: Vec<f32>,
}

impl Case {
    /// `slots` name images out of order, some twice.
    fn new(shape: [usize; 4], draws: Vec<f32>) -> Self {
        let batch = draws.len() / 16;
        let statistics = fill(shape[0] * 2, 5);
        Self {
            bytes: bytes(shape.iter().product(), 4),
            shape,
            statistics: statistics
                .chunks(2)
                .flat_map(|s| [0.5 + 0.1 * s[0], 0.2 + 0.1 * s[1]])
                .collect(),
            slots: (0..batch).map(|i| ((i * i + 2 * i + 1) % shape[0]) as u32).collect(),
            draws,
            chosen: vec![1.0; batch],
        }
    }

    fn image(&self, entry: usize) -> reference::Image<'_> {
        let slot = self.slots[entry % self.slots.len()] as usize;
        let len = self.shape[1..].iter().product::<usize>();
        reference::Image {
            bytes: &self.bytes[slot * len..][..len],
            mean: f64::from(self.statistics[slot * 2]),
            deviation: f64::from(self.statistics[slot * 2 + 1]),
        }
    }

    fn made(&self, gpu: &Gpu) -> anomem::Result<Made> {
        let words = packed(&self.bytes);
        let batch = self.slots.len();
        let inputs = [
            Input::Integers(&[words.len()], &words),
            Input::Constant(&[self.statistics.len() / 2, 2], &self.statistics),
            Input::Integers(&[batch], &self.slots),
            Input::Constant(
                &[self.draws.len().div_ceil(16), self.draws.len().min(16)],
                &self.draws,
            ),
            Input::Constant(&[self.chosen.len()], &self.chosen),
        ];
        let record = |tape: &mut Tape, v: &[Value]| {
            let size = [self.shape[1], self.shape[2]];
            let (mean, std) = ([0.5; 3], [0.25; 3]);
            let images =
                Images { pixels: v[0], shape: self.shape, size, statistics: None, mean, std };
            let out = damage(tape, &images, v[1], v[2], v[3], v[4])?;
            Ok(vec![out.pixels, out.mask, out.seen])
        };
        let out = run_case(gpu, Variant::Simple, &inputs, &[&[], &[], &[]], record)?;
        let stored = out.inputs[0].iter().map(|v| v.to_bits());
        assert!(stored.eq(words), "the images changed");
        let mut bytes: Vec<u8> =
            out.outputs[0].iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
        let len = batch * self.shape[1..].iter().product::<usize>();
        assert!(bytes[len..].iter().all(|b| *b == 0), "zeros behind the last byte");
        bytes.truncate(len);
        let [_, mask, seen] = &out.outputs[..] else { panic!("three outputs") };
        Ok(Made { bytes, mask: mask.clone(), seen: seen.clone() })
    }

    /// Mask, pixels and what is seen against the reference; the share of the pixels whose mask rounding decides.
    fn check(&self, gpu: &Gpu) -> Result<f64, String> {
        let made = self.made(gpu).map_err(|e| e.to_string())?;
        let [_, height, width, channels] = self.shape;
        let area = height * width;
        let mut undecided = 0;
        for (entry, row) in self.draws.chunks(16).enumerate() {
            let (row, own) = (wide(row), self.image(entry));
            let mask = &made.mask[entry * area..][..area];
            let got = &made.bytes[entry * area * channels..][..area * channels];
            if self.chosen[entry] == 0.0 {
                if got != own.bytes || mask.iter().any(|m| *m != 0.0) || made.seen[entry] != 1.0 {
                    return Err(format!("entry {entry} is not chosen, but changed"));
                }
                continue;
            }
            for (at, (got, want)) in
                mask.iter().zip(reference::mask(&row, [height, width])).enumerate()
            {
                undecided += usize::from(want.is_none());
                let wrong = want.is_some_and(|inside| *got != f32::from(u8::from(inside)));
                if wrong || ![0.0, 1.0].contains(got) {
                    return Err(format!(
                        "entry {entry} {row:?}: mask[{at}] {got}, expected {want:?}"
                    ));
                }
            }
            if !mask.contains(&1.0) {
                return Err(format!("entry {entry} {row:?}: the mask is empty"));
            }
            let next = self.image(entry + 1);
            let want = reference::blend(&row, own, next, &wide(mask), [height, width, channels]);
            // Of spots and lines the field is how much is put there.
            let fades = [reference::SPOT, reference::LINE].contains(&(row[0] as u32));
            let slack = if fades { 512.0 * reference::slack(&row, [height, width]) } else { 0.0 };
            for (at, (got, want)) in got.iter().zip(want).enumerate() {
                if !((f64::from(*got) - want).abs() <= BYTE + slack) {
                    return Err(format!(
                        "entry {entry} {row:?}: byte {at} is {got}, expected {want}"
                    ));
                }
            }
            let (seen, want) = (made.seen[entry], reference::seen(own, got, &wide(mask), channels));
            if want.is_some_and(|want| seen != f32::from(want)) || ![0.0, 1.0].contains(&seen) {
                return Err(format!("entry {entry} {row:?}: seen {seen}, expected {want:?}"));
            }
        }
        Ok(undecided as f64 / made.mask.len() as f64)
    }
}

/// Rows of draws from another source than the kernel's.
fn rows(count: usize, kinds: &[u32], seed: u32) -> Vec<f32> {
    let draws = (0..count).map(|i| reference::draw(kinds, [seed, 77], 3, i as u32).value);
    draws.flatten().map(|v| v as f32).collect()
}

/// A rectangle in the middle that repeats its image in place, with changes.
fn row(changes: &[(usize, f32)]) -> Vec<f32> {
    let mut row =
        vec![0.0, 0.0, 0.0, 0.0, 0.6, 0.4, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 3.0, 4.0];
    changes.iter().for_each(|(i, v)| row[*i] = *v);
    row
}

#[test]
fn draws_match_the_reference() {
    let some = DamageOptions { rectangle: true, blob: true, line: true, ..NONE };
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (options, kinds, batch) in [
            (DamageOptions::ALL, &KINDS[..], 1),
            (DamageOptions::ALL, &KINDS, 511),
            (some, &[0, 2, 4], 64),
            (DamageOptions { scar: true, spot: true, ..NONE }, &[1, 3], 65),
            (DamageOptions { blob: true, ..NONE }, &[2], 7),
            (DamageOptions { smear: true, ..NONE }, &[5], 3),
        ] {
            let ids: Vec<u32> = (0..batch).map(|i| i * 7919 + 100).collect();
            let got = drawn(gpu, &options, [0xdead_beef, 17, 1234], &ids).unwrap();
            let (mut value, mut mag) = (Vec::new(), Vec::new());
            for id in ids {
                let want = reference::draw(kinds, [0xdead_beef, 17], 1234, id);
                value.extend(want.value);
                mag.extend(want.mag);
            }
            let want = Out { value, mag };
            let worst = close("draws", &got, &want, DEPTH).unwrap();
            println!("draws {kinds:?} x {batch}: worst {worst:.3} of the allowance");
            for (got, want) in got.chunks(16).zip(want.value.chunks(16)) {
                for exact in [0, 10, 14, 15] {
                    assert_eq!(f64::from(got[exact]), want[exact]);
                }
            }
        }
    }
}

#[test]
fn draws_are_distributed_as_asked() {
    let Some(gpu) = gpu(false) else { return };
    let ids: Vec<u32> = (0..8192).collect();
    let all = drawn(gpu, &DamageOptions::ALL, [1, 2, 3], &ids).unwrap();
    for kind in KINDS {
        let of_kind: Vec<&[f32]> = all.chunks(16).filter(|r| r[0] == kind as f32).collect();
        // Four standard deviations of the share are 0.017, of a half of a sixth 0.055.
        let share = of_kind.len() as f64 / 8192.0;
        assert!((share - 1.0 / 6.0).abs() < 0.017, "kind {kind}: share {share}");
        let part = |name: &str, expected: f64, yes: &dyn Fn(&[f32]) -> bool| {
            let share = of_kind.iter().filter(|r| yes(r)).count() as f64 / of_kind.len() as f64;
            assert!((share - expected).abs() < 0.055, "kind {kind}, {name}: share {share}");
        };
        let half = |name: &str, yes: &dyn Fn(&[f32]) -> bool| part(name, 0.5, yes);
        // The ends, and that values come near both.
        let within = |name: &str, low: f32, high: f32, of: &dyn Fn(&[f32]) -> f32| {
            let values = of_kind.iter().map(|r| of(r));
            let (least, most) = values.fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(v), b.max(v)));
            let (slack, near) = ((high - low) * 1e-4, (high - low) * 0.02);
            assert!(least >= low - slack && most <= high + slack, "{kind} {name} {least} {most}");
            assert!(least <= low + near && most >= high - near, "{kind} {name} {least} {most}");
        };
        let reach = if kind == reference::BLOB { 0.8 } else { 0.85 };
        within("x", -reach, reach, &|r| r[2]);
        within("y", -reach, reach, &|r| r[3]);
        half("darker", &|r| r[12] < 0.0);
        match kind {
            reference::RECTANGLE => {
                within("log area", 0.005f32.ln(), 0.15f32.ln(), &|r| (r[4] * r[5]).ln());
                within("log aspect", 0.3f32.ln(), 3.3f32.ln(), &|r| (r[4] / r[5]).ln());
            }
            reference::SCAR => {
                within("length", 0.12, 0.5, &|r| r[4]);
                within("log width", 0.02f32.ln(), 0.08f32.ln(), &|r| r[5].ln());
                within("contrast", 0.7, 1.3, &|r| r[11]);
            }
            reference::BLOB => {
                within("log share", 0.004f32.ln(), 0.12f32.ln(), &|r| r[5].ln());
                within("contrast", 0.3, 1.5, &|r| r[11]);
                within("opacity", 0.4, 1.0, &|r| r[13]);
                half("other", &|r| r[10] == 1.0 && r[8] > 0.0);
                half("coarse", &|r| r[4] == 3.0 || r[4] == 5.0);
                half("fine", &|r| r[4] == 3.0 || r[4] == 12.0);
            }
            reference::SPOT => {
                within("log radius", 0.05f32.ln(), 0.8f32.ln(), &|r| (r[4] * r[5]).sqrt().ln());
                within("log aspect", 0.0, 2.5f32.ln(), &|r| (r[4] / r[5]).ln());
                within("log edge", 0.03f32.ln(), 0.4f32.ln(), &|r| r[1].ln());
                within("opacity", 0.5, 1.0, &|r| r[13]);
                half("dull", &|r| r[11] <= 0.5);
            }
            reference::LINE => {
                within("length", 0.1, 0.8, &|r| r[4]);
                within("sag", -0.5, 0.5, &|r| r[5]);
                within("half width", 0.5, 1.5, &|r| r[1]);
                within("opacity", 0.5, 1.0, &|r| r[13]);
                half("bare", &|r| r[11] == 0.0 && r[12].abs() >= 0.15 - 1e-5);
                // Of the broken half one in seven, 0.85^12, has no gap.
                part("broken", 0.5 * (1.0 - 0.85f64.powi(12)), &|r| r[14] != WHOLE);
                let broken = of_kind.iter().filter(|r| r[14] != WHOLE);
                let gaps = broken.map(|r| 12 - (r[14] as u32).count_ones()).sum::<u32>();
                let share = f64::from(gaps) / of_kind.len() as f64 / 12.0;
                assert!((share - 0.075).abs() < 0.012, "gaps: {share}");
            }
            _ => {
                within("log area", 0.008f32.ln(), 0.12f32.ln(), &|r| (r[4] * r[5]).ln());
                within("log aspect", 0.1f32.ln(), 10f32.ln(), &|r| (r[4] / r[5]).ln());
                within("brightness", -0.1, 0.1, &|r| r[12]);
                part("across", 0.35, &|r| r[8..10] == [0.125, 0.0]);
                part("down", 0.35, &|r| r[8..10] == [0.0, 0.125]);
                part("both ways", 0.3, &|r| r[8..10] == [2.0, 2.0]);
            }
        }
        if kind != reference::SPOT && kind != reference::LINE {
            half("soft", &|r| r[1] == 1.0);
        }
        if [reference::SCAR, reference::SPOT, reference::LINE].contains(&kind) {
            within("angle", -90.0, 90.0, &|r| r[7].atan2(r[6]).to_degrees());
        }
    }
}

#[test]
fn draws_follow_from_seed_step_and_id_alone() {
    let Some(gpu) = gpu(false) else { return };
    let of = |counters, ids: &[u32]| drawn(gpu, &DamageOptions::ALL, counters, ids).unwrap();
    let all = of([5, 6, 7], &[31, 3, 17]);
    assert_eq!(all, of([5, 6, 7], &[31, 3, 17]));
    assert_eq!(all[16..32], of([5, 6, 7], &[3]));
    for other in [[4, 6, 7], [5, 5, 7], [5, 6, 8]] {
        assert_ne!(all[16..32], of(other, &[3]));
    }
    assert!(all[..16] != all[16..32] && all[16..32] != all[32..]);
}

/// Changes to [`row`] for a line.
fn line(width: f32, size: [f32; 2], turn: [f32; 2], kept: f32) -> [(usize, f32); 9] {
    let ([length, sag], [cos, sin]) = (size, turn);
    let shape = [(0, 4.0), (1, width), (4, length), (5, sag), (6, cos), (7, sin)];
    let [a, b, c, d, e, f] = shape;
    [a, b, c, d, e, f, (11, 0.0), (12, 0.5), (14, kept)]
}

#[test]
fn each_part_of_a_damage_matches_the_reference() {
    let (cos, sin) = (0.6, 0.8);
    let parts: &[(&str, &[(usize, f32)])] = &[
        ("in place", &[]),
        ("corner", &[(2, -0.8), (3, 0.7), (12, 0.2)]),
        ("shifted", &[(8, 0.3), (9, 0.6)]),
        ("from the next", &[(8, 0.5), (9, 0.2), (10, 1.0)]),
        ("contrast", &[(11, 0.4)]),
        ("contrast of the next", &[(10, 1.0), (11, 1.5)]),
        ("brighter", &[(12, 0.6)]),
        ("darker", &[(12, -0.9)]),
        ("flat", &[(11, 0.0), (12, 0.3)]),
        ("opacity", &[(12, 0.4), (13, 0.3)]),
        ("soft", &[(1, 1.0), (11, 0.0)]),
        ("soft at the border", &[(1, 1.0), (2, 0.84), (3, -0.84), (11, 0.0), (13, 0.7)]),
        ("thin", &[(0, 1.0), (3, 0.3), (4, 0.5), (5, 1e-3), (11, 0.0)]),
        ("turned", &[(0, 1.0), (4, 0.7), (5, 0.15), (6, cos), (7, sin), (11, 0.0)]),
        ("turned back", &[(0, 1.0), (4, 0.7), (5, 0.15), (6, cos), (7, -sin), (11, 0.0)]),
        ("coarse blob", &[(0, 2.0), (4, 3.0), (5, 0.12), (11, 0.0)]),
        ("fine blob", &[(0, 2.0), (4, 12.0), (5, 0.3), (11, 0.0), (12, 0.5)]),
        ("soft blob", &[(0, 2.0), (1, 1.0), (2, 0.4), (3, -0.4), (4, 5.0), (5, 0.1), (11, 0.0)]),
        ("one sample's blob", &[(0, 2.0), (4, 8.0), (5, 0.0), (11, 0.0), (14, 7.0)]),
        ("spot", &[(0, 3.0), (1, 0.4), (4, 0.3), (5, 0.3), (12, 0.5)]),
        ("hard spot", &[(0, 3.0), (1, 0.03), (4, 0.5), (5, 0.3), (11, 0.3), (12, 0.5), (13, 0.6)]),
        ("turned spot", &[(0, 3.0), (1, 0.2), (4, 0.4), (5, 0.15), (6, cos), (7, sin), (12, -0.6)]),
        ("speck", &[(0, 3.0), (1, 0.1), (2, 0.13), (4, 1e-3), (5, 1e-3), (12, 0.6)]),
        ("line", &[(0, 4.0), (1, 1.2), (4, 0.6), (5, 0.0), (12, 0.6), (14, WHOLE)]),
        ("bent", &line(0.9, [0.7, 0.4], [cos, sin], WHOLE)),
        ("bent back", &line(1.5, [0.7, -0.4], [cos, -sin], WHOLE)),
        ("broken", &line(0.5, [0.8, 0.3], [sin, cos], f32::from(0b1011_0011_1001_u16))),
        ("first segment", &line(0.7, [0.8, 0.3], [1.0, 0.0], 1.0)),
        ("last segment", &line(0.7, [0.8, 0.3], [1.0, 0.0], 2048.0)),
        ("no segment", &line(1.5, [0.8, 0.3], [1.0, 0.0], 0.0)),
        ("across", &[(0, 5.0), (8, 0.125), (12, 0.05)]),
        ("down", &[(0, 5.0), (1, 1.0), (9, 0.125), (12, -0.05)]),
        ("box", &[(0, 5.0), (8, 2.0), (9, 2.0)]),
        ("box in a corner", &[(0, 5.0), (2, -0.7), (3, 0.8), (8, 2.0), (9, 2.0)]),
        ("long and flat", &[(0, 5.0), (2, 0.8), (8, 0.99), (9, 1.0)]),
    ];
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (channels, size) in [(1, [9, 14]), (3, [23, 17]), (3, [6, 35])] {
            for (name, changes) in parts {
                // The second entry is left alone, which must not touch the others.
                let draws = [row(changes), row(changes), row(&[(12, 0.3)])].concat();
                let mut case = Case::new([5, size[0], size[1], channels], draws);
                case.chosen[1] = 0.0;
                case.check(gpu).unwrap_or_else(|e| panic!("{name} C {channels} {size:?}: {e}"));
            }
        }
    }
}

#[test]
fn damages_of_all_shapes_match_the_reference() {
    let shapes: &[([usize; 4], usize)] = &[
        ([1, 1, 1, 1], 1),
        ([1, 1, 1, 3], 3),
        ([3, 3, 3, 3], 3),
        ([2, 1, 63, 1], 5),
        ([2, 8, 8, 3], 1),
        ([7, 5, 13, 3], 9),
        ([7, 13, 5, 1], 9),
        ([4, 31, 9, 1], 40),
        ([4, 16, 16, 3], 40),
        ([3, 41, 64, 3], 24),
        ([3, 64, 64, 1], 24),
    ];
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (i, (shape, batch)) in shapes.iter().enumerate() {
            let mut case = Case::new(*shape, rows(*batch, &KINDS, i as u32));
            case.chosen.iter_mut().skip(2).step_by(5).for_each(|c| *c = 0.0);
            let undecided = case.check(gpu).unwrap_or_else(|e| panic!("{shape:?}: {e}"));
            println!("{shape:?} x {batch}: {undecided:.5} of the mask undecided");
            // Of small images a blob's own threshold is a great part.
            assert!(undecided < 0.01 || shape[1] * shape[2] < 256, "{shape:?}: {undecided}");
        }
    }
}

#[test]
fn more_pixels_than_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    // 65,535 workgroups of 64 invocations are 4,194,240.
    let mut case = Case::new([2, 8, 8192, 1], rows(65, &KINDS, 8));
    case.chosen.iter_mut().skip(1).take(61).for_each(|c| *c = 0.0);
    case.check(gpu).unwrap();
}

#[test]
fn masks_are_never_empty() {
    let Some(gpu) = gpu(false) else { return };
    for (shape, batch) in [([2, 16, 16, 1], 2000), ([2, 9, 31, 3], 1000), ([1, 2, 1, 1], 200)] {
        for kind in KINDS {
            let made = Case::new(shape, rows(batch, &[kind], 12)).made(gpu).unwrap();
            for (i, mask) in made.mask.chunks(shape[1] * shape[2]).enumerate() {
                assert!(mask.contains(&1.0), "{shape:?}, kind {kind}, row {i}");
            }
        }
    }
}

#[test]
fn blobs_cover_what_was_drawn() {
    let Some(gpu) = gpu(false) else { return };
    let draws = rows(200, &[reference::BLOB], 21);
    let made = Case::new([3, 64, 64, 1], draws.clone()).made(gpu).unwrap();
    for (mask, row) in made.mask.chunks(64 * 64).zip(draws.chunks(16)) {
        let share = mask.iter().sum::<f32>() / 4096.0;
        assert!((share - row[5]).abs() < 0.03, "{share}, drawn {}", row[5]);
    }
}

/// From a centre so far away every pixel's value rounds to the same.
#[test]
fn equal_values_rank_in_their_order() {
    let Some(gpu) = gpu(false) else { return };
    let far = |share: f32| row(&[(0, 2.0), (2, 1e8), (4, 5.0), (5, share)]);
    let draws = [0.0, 0.1, 0.5, 1.0].map(far).concat();
    let made = Case::new([2, 18, 20, 1], draws).made(gpu).unwrap();
    assert!(made.mask.iter().all(|m| *m == 1.0));
}

#[test]
fn only_damaged_pixels_and_the_soft_rim_differ() {
    let Some(gpu) = gpu(false) else { return };
    let [height, width] = [24, 37];
    let mut draws = rows(120, &[0, 1, 2, 5], 5);
    // What is put there is always another value.
    for row in draws.chunks_mut(16) {
        (row[11], row[12], row[13]) = (0.0, 3.0, 1.0);
    }
    let mut case = Case::new([4, height, width, 3], draws);
    case.bytes.iter_mut().for_each(|b| *b /= 2);
    let made = case.made(gpu).unwrap();
    for (entry, row) in case.draws.chunks(16).enumerate() {
        let mask = &made.mask[entry * height * width..][..height * width];
        let reach = row[1] as usize;
        for y in 0..height {
            for x in 0..width {
                let near = (y.saturating_sub(reach)..(y + reach + 1).min(height)).any(|y| {
                    let mut columns = x.saturating_sub(reach)..(x + reach + 1).min(width);
                    columns.any(|x| mask[y * width + x] == 1.0)
                });
                let at = (y * width + x) * 3;
                let got = &made.bytes[entry * height * width * 3..][at..at + 3];
                let changed = got != &case.image(entry).bytes[at..at + 3];
                assert_eq!(changed, near, "entry {entry}, {x}, {y}");
            }
        }
    }
}

/// Brightness 0.2 is one deviation: 0.08 is the least that shows.
#[test]
fn what_hardly_differs_is_not_seen() {
    let Some(gpu) = gpu(false) else { return };
    for channels in [1, 3] {
        let of = |brightness| row(&[(12, brightness)]);
        let draws = [0.07, 0.09, -0.09, -0.07, 0.0, 0.07].map(of).concat();
        let mut case = Case::new([2, 19, 26, channels], draws);
        case.chosen[5] = 0.0;
        // Far from black and white. The first image's deviation is half of the second's.
        case.bytes.iter_mut().for_each(|b| *b = 96 + *b / 4);
        case.statistics = vec![0.5, 0.15, 0.5, 0.3];
        assert_eq!(case.made(gpu).unwrap().seen, [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
        case.check(gpu).unwrap();
    }
}

#[test]
fn on_images_of_one_value_nothing_is_seen() {
    let Some(gpu) = gpu(false) else { return };
    let mut case = Case::new([1, 16, 16, 3], rows(60, &[0, 1, 3, 4, 5], 2));
    case.bytes.fill(102);
    case.statistics = vec![0.4, 0.0];
    let made = case.made(gpu).unwrap();
    assert!(made.seen.iter().all(|s| *s == 0.0) && made.bytes.iter().all(|b| *b == 102));
}

/// A line is as many pixels thin in a large image.
#[test]
fn lines_stay_thin() {
    let Some(gpu) = gpu(false) else { return };
    for side in [32, 128] {
        let draws = rows(100, &[reference::LINE], 9);
        let made = Case::new([1, side, side, 1], draws.clone()).made(gpu).unwrap();
        for (mask, row) in made.mask.chunks(side * side).zip(draws.chunks(16)) {
            // Its length is at most 1.3 times that of its chord, its mask reaches w + 1/4 to each side.
            let length = 1.3 * row[4] * side as f32 + 3.0;
            let count = mask.iter().sum::<f32>();
            assert!(count <= length * (2.0 * row[1] + 0.5) + 4.0, "{count} of {row:?}");
        }
    }
}

fn covered(
    gpu: &Gpu,
    mask: &[f32],
    size: &[usize],
    views: &[f32],
    grid: [usize; 2],
) -> anomem::Result<Vec<f32>> {
    let inputs = [
        Input::Constant(size, mask),
        Input::Constant(&[views.len().div_ceil(16), views.len().min(16)], views),
    ];
    let record = |t: &mut Tape, v: &[Value]| Ok(vec![cover(t, v[0], v[1], grid)?]);
    Ok(run_case(gpu, Variant::Simple, &inputs, &[&[]], record)?.outputs.swap_remove(0))
}

fn view(crop: [f32; 4], flip: f32) -> [f32; 16] {
    let mut row = [0.0; 16];
    row[..4].copy_from_slice(&crop);
    row[4] = flip;
    row
}

fn cover_matches(
    gpu: &Gpu,
    mask: &[f32],
    size: [usize; 3],
    views: &[f32],
    grid: [usize; 2],
) -> Result<f64, String> {
    let got = covered(gpu, mask, &size, views, grid).map_err(|e| e.to_string())?;
    let [batch, height, width] = size;
    let (mut value, mut mag) = (Vec::new(), Vec::new());
    for (i, row) in views.chunks(16).enumerate() {
        let mask = wide(&mask[i % batch * height * width..][..height * width]);
        let want = reference::cover(&mask, [height, width], &wide(row), grid);
        value.extend(want.value);
        mag.extend(want.mag);
    }
    close("cover", &got, &Out { value, mag }, DEPTH)
}

fn hard(len: usize, seed: u64) -> Vec<f32> {
    fill(len, seed).iter().map(|v| f32::from(u8::from(*v > 0.3))).collect()
}

#[test]
fn cover_matches_the_reference() {
    let crops = [
        view([0.0, 0.0, 1.0, 1.0], 0.0),
        view([0.0, 0.0, 1.0, 1.0], 1.0),
        view([0.21, 0.35, 0.7, 0.4], 0.0),
        view([0.3, 0.45, 0.7, 0.55], 1.0),
        view([0.43, 0.61, 0.01, 0.02], 1.0),
        view([0.1, 0.0, 0.5, 0.25], 0.0),
    ];
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (size, grid) in [
            ([1, 1, 1], [1, 1]),
            ([2, 7, 9], [3, 4]),
            ([3, 8, 8], [8, 8]),
            ([2, 13, 5], [16, 7]),
            ([6, 32, 48], [4, 6]),
            ([1, 3, 200], [1, 1]),
        ] {
            let mask = hard(size.iter().product(), 3);
            let worst = cover_matches(gpu, &mask, size, &crops.concat(), grid).unwrap();
            println!("cover {size:?} to {grid:?}: {worst:.3} of the allowance");
        }
    }
}

#[test]
fn more_cells_than_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    let views = [[0.1, 0.0, 0.8, 1.0], [0.0, 0.5, 1.0, 0.5]].map(|crop| view(crop, 1.0)).concat();
    let worst = cover_matches(gpu, &hard(24, 9), [2, 3, 4], &views, [2097, 1001]).unwrap();
    println!("cover: {worst:.3} of the allowance");
}

#[test]
fn covers_of_whole_images_keep_the_sum() {
    let Some(gpu) = gpu(false) else { return };
    let mask = hard(2 * 33 * 20, 6);
    for flip in [0.0, 1.0] {
        let views = [view([0.0, 0.0, 1.0, 1.0], flip); 2].concat();
        let got = covered(gpu, &mask, &[2, 33, 20], &views, [5, 3]).unwrap();
        for (got, mask) in got.chunks(15).zip(mask.chunks(33 * 20)) {
            let (got, want) = (got.iter().sum::<f32>() / 15.0, mask.iter().sum::<f32>() / 660.0);
            assert!((got - want).abs() < 1e-5, "{got}, expected {want}");
            assert!(got < 1.0);
        }
        let full = covered(gpu, &[1.0; 2 * 33 * 20], &[2, 33, 20], &views, [5, 3]).unwrap();
        assert!(full.iter().all(|c| (c - 1.0).abs() < 1e-5), "{full:?}");
    }
}

/// Where a view shows damage and where the cover says so must be the same place.
#[test]
fn cover_sees_what_views_show() {
    let Some(gpu) = gpu(false) else { return };
    // Each view keeps crop and flip; an image that is its own mask, in bytes.
    let options = AugmentOptions {
        crop_min: 0.3,
        crop_max: 0.8,
        flip: 0.5,
        jitter_p: 0.0,
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        blur_p: 0.0,
        blur_sigma: [0.0, 0.0],
        noise: 0.0,
    };
    let (batch, side) = (12, 64);
    let case = Case::new([1, side, side, 1], rows(batch, &[0, 2], 3));
    let mask = case.made(gpu).unwrap().mask;
    let stored: Vec<u8> = mask.iter().map(|m| 255 * *m as u8).collect();
    let (words, ids) = (packed(&stored), (0..batch as u32).collect::<Vec<_>>());
    let inputs = [
        Input::Integers(&[words.len()], &words),
        Input::Constant(&[batch, side, side], &mask),
        Input::Integers(&[4], &[1, 2, 3, 0]),
        Input::Integers(&[batch], &ids),
    ];
    let out = run_case(gpu, Variant::Simple, &inputs, &[&[], &[]], |t, v| {
        let images = Images {
            pixels: v[0],
            shape: [batch, side, side, 1],
            size: [side, side],
            statistics: None,
            mean: [0.0; 3],
            std: [1.0; 3],
        };
        let draws = augment::draw(t, &options, v[2], v[3], 2)?;
        let seen = augment::views(t, &images, v[3], draws, &options)?;
        Ok(vec![seen, cover(t, v[1], draws, [8, 8])?])
    });
    let outputs = out.unwrap().outputs;
    for (view, cells) in outputs[0].chunks(side * side).zip(outputs[1].chunks(64)) {
        for (cell, covered) in cells.iter().enumerate() {
            let (top, left) = (cell / 8 * 8, cell % 8 * 8);
            let pixels = (0..64).map(|k| view[(top + k / 8) * side + left + k % 8]);
            let shown = pixels.sum::<f32>() / 64.0;
            // Interpolation spreads an edge over its neighbours, a pixel of the image.
            assert!(
                (shown - covered).abs() < 0.15,
                "cell {cell}: {covered}, the view shows {shown}"
            );
        }
    }
}

/// `mask` `[B, H, W]` of `size`; `seen`, `chosen`: one per image; `views`: 16 each.
fn shown_in(
    gpu: &Gpu,
    mask: &[f32],
    size: [usize; 3],
    seen: &[f32],
    chosen: &[f32],
    views: &[f32],
) -> anomem::Result<Vec<f32>> {
    let inputs = [
        Input::Constant(&size, mask),
        Input::Constant(&[seen.len()], seen),
        Input::Constant(&[chosen.len()], chosen),
        Input::Constant(&[views.len() / 16, 16], views),
    ];
    let record = |t: &mut Tape, v: &[Value]| Ok(vec![shown(t, [v[0], v[1]], v[2], v[3])?]);
    Ok(run_case(gpu, Variant::Simple, &inputs, &[&[]], record)?.outputs.remove(0))
}

/// `masks`: bytes `[N, H, W]` of `shape`.
fn marked_in(
    gpu: &Gpu,
    masks: &[u8],
    shape: [usize; 3],
    slots: &[u32],
) -> anomem::Result<Vec<f32>> {
    let mut words = vec![0_u32; masks.len().div_ceil(4)];
    bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..masks.len()].copy_from_slice(masks);
    let inputs = [Input::Integers(&[words.len()], &words), Input::Integers(&[slots.len()], slots)];
    let record = |t: &mut Tape, v: &[Value]| Ok(vec![marked(t, v[0], shape, v[1])?]);
    Ok(run_case(gpu, Variant::Simple, &inputs, &[&[]], record)?.outputs.remove(0))
}

#[test]
fn marks_are_those_of_the_masks() {
    let Some(gpu) = gpu(false) else { return };
    // Ones; all sizes different; all equal; one under, at and over a workgroup.
    for shape in [[1, 1, 1], [4, 3, 5], [3, 3, 3], [1, 7, 9], [2, 8, 8], [3, 5, 13]] {
        let [stored, height, width] = shape;
        let len: usize = shape.iter().product();
        let masks: Vec<u8> =
            fill(len, 5).iter().map(|v| if *v > 0.3 { 1 + (v * 200.0) as u8 } else { 0 }).collect();
        let last = stored as u32 - 1;
        for slots in [&[0][..], &[last, UNMARKED, 0, last], &[UNMARKED]] {
            let got = marked_in(gpu, &masks, shape, slots).unwrap();
            let slots: Vec<Option<usize>> =
                slots.iter().map(|slot| (*slot != UNMARKED).then_some(*slot as usize)).collect();
            assert_eq!(wide(&got), reference::marked(&masks, height * width, &slots), "{shape:?}");
        }
    }
    let fails = |masks: &[u8], shape, slots: &[u32]| {
        marked_in(gpu, masks, shape, slots).err().unwrap().to_string()
    };
    let e = fails(&[0; 8], [1, 3, 3], &[0]);
    assert_eq!(e, "damage.marked: masks [2] of [1, 3, 3], expected [3]");
}

#[test]
fn views_whose_crop_leaves_no_damage_do_not_show_it() {
    let Some(gpu) = gpu(false) else { return };
    // Damage in the left upper corner; 1/1000, 1/500 and 1/100 of the second, third and fourth image.
    let size = [6, 20, 50];
    let (mut mask, len) = (vec![0.0; 6000], 1000);
    for (image, count) in [(0, 100), (1, 1), (2, 3), (3, 10), (4, 100), (5, 0)] {
        mask[image * len..][..count].fill(1.0);
    }
    let seen = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
    let chosen = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
    let crops = [[0.0, 0.0, 1.0, 1.0], [0.0, 0.5, 1.0, 0.5], [0.0, 0.0, 0.5, 0.5]];
    let views: Vec<f32> =
        crops.iter().flat_map(|crop| (0..6).flat_map(|_| view(*crop, 1.0))).collect();
    let got = shown_in(gpu, &mask, size, &seen, &chosen, &views).unwrap();
    #[rustfmt::skip]
    assert_eq!(got, [
        1.0, 0.0, 1.0, 1.0, 0.0, 1.0, // all of it
        0.0, 0.0, 0.0, 0.0, 0.0, 1.0, // the lower half
        1.0, 1.0, 1.0, 1.0, 0.0, 1.0, // the left upper quarter, in which it is four times as large
    ]);
    // More views than two workgroups, as many as one has images.
    let (mask, views) = (hard(150 * 16, 2), (0..300).flat_map(|_| view(crops[0], 0.0)));
    let views: Vec<f32> = views.collect();
    let (seen, chosen) = (hard(150, 3), hard(150, 4));
    let got = shown_in(gpu, &mask, [150, 4, 4], &seen, &chosen, &views).unwrap();
    for (i, got) in got.iter().enumerate() {
        let image = i % 150;
        let any = mask[image * 16..][..16].contains(&1.0);
        let want = chosen[image] == 0.0 || any && seen[image] == 1.0;
        assert_eq!(*got == 1.0, want, "view {i}");
    }
    let fails = |seen: &[f32], chosen: &[f32]| {
        shown_in(gpu, &mask, [150, 4, 4], seen, chosen, &views).unwrap_err().to_string()
    };
    let text = "damage.shown: seen [149], chosen [150], expected [B] twice";
    assert_eq!(fails(&seen[1..], &chosen), text);
    assert!(fails(&seen, &chosen[1..]).contains("chosen [149]"));
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new([3, 4, 5, 3], row(&[]).repeat(2));
        change(&mut case);
        case.made(gpu).err().unwrap().to_string()
    };
    let pixels = "damage: pixels [45] for images ";
    assert!(fails(&|c| c.shape[0] = 4).starts_with(&format!("{pixels}[4, 4, 5, 3]")));
    assert!(fails(&|c| c.shape = [3, 4, 5, 2]).contains("C 1 or 3"));
    let e = fails(&|c| c.statistics.truncate(4));
    assert_eq!(e, "damage: statistics [2, 2], expected [3, 2]");
    assert_eq!(fails(&|c| c.draws.truncate(16)), "damage: draws [1, 16], expected [2, 16]");
    assert_eq!(fails(&|c| c.draws.truncate(8)), "damage: draws [1, 8], expected [2, 16]");
    assert_eq!(fails(&|c| c.chosen.push(1.0)), "damage: chosen [3], expected [2]");

    let e = Case::new([1, 1, 12_001, 1], row(&[])).made(gpu).err().unwrap().to_string();
    assert_eq!(e, "damage: images of [1, 1, 12001, 1]: too large");

    let e = drawn(gpu, &NONE, [1, 2, 3], &[1]).unwrap_err().to_string();
    assert!(e.starts_with("damage.draw: no kind to draw"), "{e}");
    let fails = |counters: &[usize], ids: &[usize]| {
        let words = [0; 8];
        let inputs = [counters, ids]
            .map(|shape| Input::Integers(shape, &words[..shape.iter().product::<usize>()]));
        let record =
            |t: &mut Tape, v: &[Value]| Ok(vec![draw(t, &DamageOptions::ALL, v[0], v[1])?]);
        run_case(gpu, Variant::Simple, &inputs, &[&[]], record).err().unwrap().to_string()
    };
    assert_eq!(fails(&[3], &[2]), "damage.draw: counters [3], expected [4]");
    assert_eq!(fails(&[4], &[2, 1]), "damage.draw: ids [2, 1], expected [B]");

    let fails = |size: &[usize], views: &[f32], grid| {
        let mask = vec![0.0; size.iter().product()];
        covered(gpu, &mask, size, views, grid).err().unwrap().to_string()
    };
    let two = [view([0.0, 0.0, 1.0, 1.0], 0.0); 2].concat();
    let e = fails(&[2, 12], &two, [1, 1]);
    assert_eq!(e, "damage.cover: mask [2, 12], expected [B, H, W]");
    let e = fails(&[3, 2, 2], &two, [1, 1]);
    assert_eq!(e, "damage.cover: views [2, 16], expected [V * 3, 16]");
    assert!(fails(&[1, 2, 2], &two[..8], [1, 1]).contains("views [1, 8]"));
    assert!(fails(&[2, 2, 2], &two, [0, 1]).starts_with("damage.cover: "));
    assert!(fails(&[1, 1, 60_001], &two, [1, 1]).contains("too large"));
    assert_eq!(ops::DRAW_LEN, 16);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_shapes_and_draws(
        stored in (1usize..5, 1usize..24, 1usize..24),
        colour in any::<bool>(),
        batch in 1usize..6,
        seed in any::<u32>(),
        crops in (0.0f32..0.5, 0.0f32..0.5, 0.1f32..0.5, 0.1f32..0.5, any::<bool>()),
        grid in (1usize..9, 1usize..9),
    ) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        let shape = [stored.0, stored.1, stored.2, if colour { 3 } else { 1 }];
        let case = Case::new(shape, rows(batch, &KINDS, seed));
        case.check(gpu).map_err(TestCaseError::fail)?;
        let views = view([crops.0, crops.1, crops.2, crops.3], f32::from(u8::from(crops.4)));
        let size = [batch, shape[1], shape[2]];
        let mask = hard(size.iter().product(), u64::from(seed));
        let views = views.repeat(batch * 2);
        cover_matches(gpu, &mask, size, &views, [grid.0, grid.1]).map_err(TestCaseError::fail)?;
    }
}
