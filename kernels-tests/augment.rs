use crate::harness::{Input, Outcome, close, fill, gpu, run_case, variants, wide};
use crate::reference::Out;
use crate::reference::augment as reference;
use anomem::autograd::{Dispatch, Element, Tape, Value};
use anomem::gpu::{Gpu, Kernel, Shader, Variant};
use anomem::ops::Elementwise;
use anomem::ops::augment::{AugmentOptions, Images, draw, image_statistics, plain, views};
use proptest::prelude::*;
use std::borrow::Borrow;
use std::collections::HashMap;

/// Roundings on the way of one value; the kernels' sums over a view's rows and columns are short.
const DEPTH: f64 = 4.0;

const ALL: AugmentOptions = AugmentOptions {
    crop_min: 0.2,
    crop_max: 0.9,
    flip: 0.4,
    jitter_p: 0.8,
    brightness: 0.4,
    contrast: 0.3,
    saturation: 0.5,
    blur_p: 0.6,
    blur_sigma: [0.1, 2.0],
    noise: 0.05,
};

/// Neither changes the image.
const NONE: AugmentOptions = AugmentOptions {
    crop_min: 1.0,
    crop_max: 1.0,
    flip: 0.0,
    jitter_p: 0.0,
    brightness: 0.0,
    contrast: 0.0,
    saturation: 0.0,
    blur_p: 0.0,
    blur_sigma: [0.0, 0.0],
    noise: 0.0,
};

fn of_reference(o: &AugmentOptions) -> reference::Options {
    let f = f64::from;
    reference::Options {
        crop: [f(o.crop_min), f(o.crop_max)],
        flip: f(o.flip),
        jitter_p: f(o.jitter_p),
        jitter: [f(o.brightness), f(o.contrast), f(o.saturation)],
        blur_p: f(o.blur_p),
        blur_sigma: o.blur_sigma.map(f),
        noise: f(o.noise),
    }
}

fn bytes(len: usize, seed: u64) -> Vec<u8> {
    fill(len, seed).iter().map(|v| ((v + 1.0) * 128.0) as u8).collect()
}

fn packed(bytes: &[u8]) -> Vec<u32> {
    let word = |c: &[u8]| c.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    bytes.chunks(4).map(word).collect()
}

fn joined(parts: impl IntoIterator<Item = impl Borrow<Out>>) -> Out {
    let (mut value, mut mag) = (Vec::new(), Vec::new());
    for part in parts {
        value.extend(&part.borrow().value);
        mag.extend(&part.borrow().mag);
    }
    Out { value, mag }
}

/// A set of images and what is made of it.
struct Case {
    bytes: Vec<u8>,
    shape: [usize; 4],
    size: [usize; 2],
    statistics: Option<Vec<f32>>,
    mean: [f32; 3],
    std: [f32; 3],
    slots: Vec<u32>,
}

impl Case {
    /// `slots` name images out of order, some twice.
    fn new(shape: [usize; 4], size: [usize; 2], batch: usize, standardised: bool) -> Self {
        let bytes = bytes(shape.iter().product(), 4);
        let statistics = fill(shape[0] * 2, 5);
        let mut statistics: Vec<f32> =
            statistics.chunks(2).flat_map(|s| [0.5 + 0.1 * s[0], 0.2 + 0.1 * s[1]]).collect();
        // The batch's first image passes for a flat one, around the value of its first pixel.
        let flat = 1 % shape[0];
        let pixel = bytes[flat * bytes.len() / shape[0]];
        statistics[flat * 2..][..2].copy_from_slice(&[f32::from(pixel) / 255.0 + 1e-3, 5e-4]);
        Self {
            bytes,
            shape,
            size,
            statistics: standardised.then_some(statistics),
            mean: [0.45, 0.5, 0.4],
            std: [0.25, 0.2, 0.3],
            slots: (0..batch).map(|i| ((i * i + 2 * i + 1) % shape[0]) as u32).collect(),
        }
    }

    fn wanted(&self, of: impl Fn(&reference::Stored<'_>) -> Out) -> Out {
        let statistics = self.statistics.as_ref().map(|s| wide(s));
        of(&reference::Stored {
            bytes: &self.bytes,
            shape: self.shape,
            size: self.size,
            statistics: statistics.as_deref(),
            mean: self.mean.map(f64::from),
            std: self.std.map(f64::from),
        })
    }

    /// Records with the images and the slots, and with `draws` where given.
    fn got(
        &self,
        gpu: &Gpu,
        variant: Variant,
        draws: &[f32],
        record: impl Fn(&mut Tape, &Images, Value, Value) -> anomem::Result<Value>,
    ) -> anomem::Result<Vec<f32>> {
        let words = packed(&self.bytes);
        let none = [0.5, 0.2];
        let statistics = self.statistics.as_deref().unwrap_or(&none);
        let shape = [statistics.len() / 2, 2];
        let inputs = [
            Input::Integers(&[words.len()], &words),
            Input::Integers(&[self.slots.len()], &self.slots),
            Input::Constant(&shape, statistics),
            Input::Constant(&[draws.len().div_ceil(16), draws.len().min(16)], draws),
        ];
        let record = |tape: &mut Tape, v: &[Value]| {
            let images = Images {
                pixels: v[0],
                shape: self.shape,
                size: self.size,
                statistics: self.statistics.as_ref().map(|_| v[2]),
                mean: self.mean,
                std: self.std,
            };
            Ok(vec![record(tape, &images, v[1], v[3])?])
        };
        Ok(run_case(gpu, variant, &inputs, &[&[]], record)?.outputs.swap_remove(0))
    }

    /// Views of explicit draws against the reference: the worst error over the allowance.
    fn views(
        &self,
        gpu: &Gpu,
        variant: Variant,
        draws: &[f32],
        options: &AugmentOptions,
    ) -> Result<f64, String> {
        let got = self
            .got(gpu, variant, draws, |t, images, slots, draws| {
                views(t, images, slots, draws, options)
            })
            .map_err(|e| e.to_string())?;
        // Equal rows of equal images need one reference only.
        let mut known = HashMap::new();
        let keys: Vec<(u32, Vec<u32>)> = draws
            .chunks(16)
            .zip(self.slots.iter().cycle())
            .map(|(row, slot)| (*slot, row.iter().map(|v| v.to_bits()).collect()))
            .collect();
        for (key, row) in keys.iter().zip(draws.chunks(16)) {
            let view = || self.wanted(|stored| stored.view(key.0 as usize, &wide(row)));
            known.entry(key).or_insert_with(view);
        }
        let want = joined(keys.iter().map(|key| &known[key]));
        close("views", &got, &want, DEPTH)
    }
}

/// Rows of draws as `options` allow them, from another source than the kernel's.
fn rows(count: usize, options: &AugmentOptions, seed: u64) -> Vec<f32> {
    let draws = (0..count).map(|i| {
        let key = [seed as u32, 77];
        reference::draw(&of_reference(options), key, 3, i as u32, 0).value
    });
    draws.flatten().map(|v| v as f32).collect()
}

const IDENTITY: [f32; 16] =
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];

fn row(changes: &[(usize, f32)]) -> [f32; 16] {
    let mut row = IDENTITY;
    changes.iter().for_each(|(i, v)| row[*i] = *v);
    row
}

static PHILOX: Shader = Shader {
    family: "test",
    stem: "known_answers",
    source: "
#import rng
struct Params { len: u32 }
@group(0) @binding(0) var<storage, read> inputs: array<u32>;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@group(0) @binding(2) var<storage, read_write> gauss: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;
@compute @workgroup_size(64)
fn known_answers(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < p.len) {
        let i = id.x * 6u;
        let key = vec2<u32>(inputs[i], inputs[i + 1u]);
        let counter =
            vec4<u32>(inputs[i + 2u], inputs[i + 3u], inputs[i + 4u], inputs[i + 5u]);
        let drawn = philox(key, counter);
        let n = normals(key, counter);
        for (var k = 0u; k < 4u; k++) {
            words[id.x * 4u + k] = drawn[k];
            gauss[id.x * 4u + k] = n[k];
        }
    }
}",
    params: Elementwise::FIELDS,
};

#[test]
fn philox_gives_the_published_answers() {
    let mut inputs = vec![0; 6];
    inputs.extend([u32::MAX; 6]);
    inputs.extend([0xa409_3822, 0x299f_31d0, 0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]);
    inputs.extend(fill(60 * 6, 1).iter().map(|v| v.to_bits().wrapping_mul(0x9E37_79B1)));
    let count = inputs.len() / 6;
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let inputs_of_case = [Input::Integers(&[count, 6], &inputs)];
        let out = run_case(gpu, Variant::Simple, &inputs_of_case, &[&[], &[]], |t, v| {
            let words = t.temporary("words", &[count, 4], Element::U32)?;
            let gauss = t.temporary("gauss", &[count, 4], Element::F32)?;
            let params = Elementwise { len: count as u32 };
            let launch = Dispatch::new(Kernel::new(&PHILOX), &params, 1);
            t.dispatch(launch.read(v[0]).write(words).write(gauss));
            Ok(vec![words, gauss])
        })
        .unwrap();
        let words: Vec<u32> = out.outputs[0].iter().map(|v| v.to_bits()).collect();
        assert_eq!(words[..4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(words[4..8], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(words[8..12], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
        let want = inputs.chunks(6).map(|i| {
            let words = reference::philox([i[0], i[1]], [i[2], i[3], i[4], i[5]]);
            let value = reference::normals(words).to_vec();
            // What WGSL promises of sin, cos and log: see the reference's noise.
            let mag =
                value.iter().map(|v| reference::SPECIAL_FUNCTIONS * (v.abs() + 1.0)).collect();
            assert_eq!(words.map(uniform_bits), words.map(|w| (w >> 8) as f32 / 16_777_216.0));
            Out { value, mag }
        });
        let worst = close("normals", &out.outputs[1], &joined(want), DEPTH).unwrap();
        println!("normals: worst {worst:.4} of the allowance");
        let all = inputs
            .chunks(6)
            .flat_map(|i| reference::philox([i[0], i[1]], [i[2], i[3], i[4], i[5]]));
        assert!(all.eq(words.iter().copied()));
    }
}

fn uniform_bits(word: u32) -> f32 {
    reference::uniform01(word) as f32
}

/// A run of one output and no gradient.
fn outcome(
    gpu: &Gpu,
    inputs: &[Input<'_>],
    record: impl Fn(&mut Tape, &[Value]) -> anomem::Result<Value>,
) -> anomem::Result<Outcome> {
    run_case(gpu, Variant::Simple, inputs, &[&[]], |t, v| Ok(vec![record(t, v)?]))
}

fn drawn(
    gpu: &Gpu,
    options: &AugmentOptions,
    counters: [u32; 3],
    ids: &[u32],
    views: usize,
) -> anomem::Result<Vec<f32>> {
    let counters = [counters[0], counters[1], counters[2], 9];
    let inputs = [Input::Integers(&[4], &counters), Input::Integers(&[ids.len()], ids)];
    let mut out = outcome(gpu, &inputs, |t, v| draw(t, options, v[0], v[1], views))?;
    Ok(out.outputs.swap_remove(0))
}

#[test]
fn draws_match_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let wider = AugmentOptions { crop_min: 0.5, crop_max: 1.0, ..ALL };
        for (options, batch, count) in
            [(ALL, 1, 1), (ALL, 21, 3), (wider, 32, 2), (ALL, 65, 1), (NONE, 7, 2), (ALL, 127, 5)]
        {
            let ids: Vec<u32> = (0..batch).map(|i| i * 7919 + 100).collect();
            let counters = [0xdead_beef, 17, 1234];
            let got = drawn(gpu, &options, counters, &ids, count).unwrap();
            let of = of_reference(&options);
            let want = joined(
                (0..count as u32)
                    .flat_map(|view| ids.iter().map(move |id| (view, *id)).collect::<Vec<_>>())
                    .map(|(view, id)| {
                        reference::draw(&of, [counters[0], counters[1]], counters[2], id, view)
                    }),
            );
            let worst = close("draws", &got, &want, DEPTH).unwrap();
            println!("draws {batch} x {count}: worst {worst:.3} of the allowance");
            for (got, want) in got.chunks(16).zip(want.value.chunks(16)) {
                assert!(wide(&got[4..8]) == want[4..8] && wide(&got[13..]) == want[13..]);
                let [x, y, width, height] = [got[0], got[1], got[2], got[3]];
                assert!(x >= 0.0 && y >= 0.0 && x + width <= 1.0 + f32::EPSILON);
                assert!(y + height <= 1.0 + f32::EPSILON && width <= 1.0 && height <= 1.0);
                if options == NONE {
                    assert_eq!(got[..13], IDENTITY[..13]);
                }
            }
        }
    }
}

#[test]
fn draws_are_distributed_as_asked() {
    let Some(gpu) = gpu(false) else { return };
    let options = AugmentOptions { crop_min: 0.1, crop_max: 0.7, ..ALL };
    let ids: Vec<u32> = (0..4096).collect();
    let all = drawn(gpu, &options, [1, 2, 3], &ids, 2).unwrap();
    let (first, second) = all.split_at(4096 * 16);
    let column = |rows: &[f32], of: &dyn Fn(&[f32]) -> f32| -> Vec<f64> {
        rows.chunks(16).map(|r| f64::from(of(r))).collect()
    };
    // Kolmogorov-Smirnov: the distance of 4,096 uniform values exceeds 2 / sqrt(4096) once in 1,500.
    let uniform = |name: &str, mut values: Vec<f64>, low: f64, high: f64| {
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let distance = values
            .iter()
            .enumerate()
            .map(|(i, v)| ((v - low) / (high - low) - (i as f64 + 0.5) / n).abs())
            .fold(0.0, f64::max);
        assert!(distance < 2.0 / n.sqrt(), "{name}: distance {distance}");
        println!("{name}: distance {distance:.4}");
    };
    let limit = (4.0f64 / 3.0).ln();
    for (name, low, high, of) in [
        ("area", 0.1, 0.7, (|r| r[2] * r[3]) as fn(&[f32]) -> f32),
        ("log aspect", -limit, limit, |r| (r[2] / r[3]).ln()),
        ("left", 0.0, 1.0, |r| r[0] / (1.0 - r[2])),
        ("top", 0.0, 1.0, |r| r[1] / (1.0 - r[3])),
        ("noise", 0.0, 0.05, |r| r[12]),
        ("key", 0.0, 16_777_216.0, |r| r[13]),
    ] {
        uniform(name, column(first, &of), low, high);
        uniform(name, column(second, &of), low, high);
    }
    let share =
        |of: &dyn Fn(&[f32]) -> bool| first.chunks(16).filter(|r| of(r)).count() as f64 / 4096.0;
    // Four standard deviations of a share of 4,096 are 0.031 at most.
    for (name, got, want) in [
        ("flip", share(&|r| r[4] == 1.0), 0.4),
        ("jitter", share(&|r| r[8] != 1.0), 0.8),
        ("blur", share(&|r| r[11] > 0.0), 0.6),
        ("flip and blur", share(&|r| r[4] == 1.0 && r[11] > 0.0), 0.24),
        ("flip and brighter", share(&|r| r[4] == 1.0 && r[8] > 1.0), 0.16),
    ] {
        assert!((got - want).abs() < 0.031, "{name}: {got}, expected {want}");
    }
    let sigmas: Vec<f64> = column(first, &|r| r[11]).into_iter().filter(|s| *s > 0.0).collect();
    uniform("sigma", sigmas, f64::from(options.blur_sigma[0]), 2.0);
    for (i, jitter) in [0.4, 0.3, 0.5].into_iter().enumerate() {
        let factors = column(first, &|r| r[8 + i]).into_iter().filter(|f| *f != 1.0).collect();
        uniform("factor", factors, 1.0 - jitter, 1.0 + jitter);
    }
    let (a, b) = (column(first, &|r| r[0]), column(second, &|r| r[0]));
    assert!(a.iter().zip(&b).all(|(a, b)| a != b), "two views of an image are the same");
}

#[test]
fn each_step_of_a_view_matches_the_reference() {
    let steps: &[(&str, &[(usize, f32)])] = &[
        ("identity", &[]),
        ("crop", &[(0, 0.21), (1, 0.35), (2, 0.7), (3, 0.4)]),
        ("crop at the border", &[(0, 0.3), (1, 0.45), (2, 0.7), (3, 0.55)]),
        ("tiny crop", &[(0, 0.43), (1, 0.61), (2, 0.01), (3, 0.02)]),
        ("flip", &[(4, 1.0)]),
        ("crop and flip", &[(0, 0.11), (1, 0.05), (2, 0.6), (3, 0.8), (4, 1.0)]),
        ("darker", &[(8, 0.6)]),
        ("brighter", &[(8, 1.7)]),
        ("less contrast", &[(9, 0.4)]),
        ("more contrast", &[(8, 0.9), (9, 1.8)]),
        ("less saturation", &[(10, 0.2)]),
        ("more saturation", &[(10, 1.9)]),
        ("jitter", &[(8, 1.2), (9, 1.3), (10, 0.7)]),
        ("narrow blur", &[(11, 0.3)]),
        ("blur", &[(4, 1.0), (11, 1.3)]),
        ("wide blur", &[(8, 1.5), (11, 3.1)]),
        ("noise", &[(12, 0.11), (13, 16_777_215.0), (14, 1.0), (15, 5_000_001.0)]),
        ("blur and noise", &[(11, 0.7), (12, 0.3), (13, 3.0), (14, 2.0), (15, 1.0)]),
    ];
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in variants(gpu) {
            for (channels, size) in [(1, [7, 9]), (3, [7, 9]), (3, [5, 18]), (1, [3, 4])] {
                // Two images, then the first again: what row 0 does must not touch row 1.
                for (name, changes) in steps {
                    let case = Case::new([5, 7, 9, channels], size, 2, channels == 1);
                    let draws = [row(changes), IDENTITY, IDENTITY, row(changes)].concat();
                    let worst = case.views(gpu, variant, &draws, &ALL);
                    let worst = worst.unwrap_or_else(|e| panic!("{name} C {channels}: {e}"));
                    assert!(worst < 1.0, "{name}");
                    println!("{name} C {channels} to {size:?}: {worst:.3} of the allowance");
                }
            }
        }
    }
}

#[test]
fn views_of_all_shapes_match_the_reference() {
    let quiet = AugmentOptions { blur_p: 0.0, ..ALL };
    let silent = AugmentOptions { noise: 0.0, contrast: 0.0, ..ALL };
    // Stored shape, view, batch, views.
    let shapes: &[([usize; 4], [usize; 2], usize, usize)] = &[
        ([1, 1, 1, 1], [1, 1], 1, 1),
        ([1, 1, 1, 3], [1, 1], 1, 2),
        ([3, 3, 3, 3], [3, 3], 3, 3),
        ([11, 5, 7, 3], [5, 7], 4, 2),
        ([6, 8, 5, 1], [8, 5], 3, 2),
        ([2, 1, 63, 1], [1, 63], 1, 1),
        ([2, 8, 8, 3], [8, 8], 1, 1),
        ([2, 5, 13, 3], [5, 13], 1, 1),
        ([3, 13, 17, 3], [6, 5], 2, 3),
        ([3, 13, 17, 1], [19, 33], 2, 1),
        ([3, 40, 31, 3], [4, 3], 2, 2),
    ];
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in variants(gpu) {
            for (i, &(shape, size, batch, count)) in shapes.iter().enumerate() {
                for (options, standardised) in [(ALL, true), (quiet, false), (silent, true)] {
                    let draws = rows(batch * count, &options, i as u64);
                    let case = Case::new(shape, size, batch, standardised);
                    let worst = case.views(gpu, variant, &draws, &options);
                    let worst = worst.unwrap_or_else(|e| panic!("{shape:?} to {size:?}: {e}"));
                    println!("{shape:?} to {size:?} x {batch} x {count}: {worst:.3}");
                }
            }
        }
    }
}

#[test]
fn plain_images_match_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (shape, size, batch) in [
            ([1, 1, 1, 1], [1, 1], 1),
            ([5, 7, 9, 3], [7, 9], 3),
            ([5, 9, 7, 1], [9, 7], 2),
            ([4, 5, 13, 3], [5, 13], 1),
            ([4, 4, 4, 3], [4, 4], 4),
            ([4, 12, 10, 3], [5, 7], 2),
            ([4, 5, 4, 1], [7, 11], 3),
        ] {
            for standardised in [false, true] {
                let case = Case::new(shape, size, batch, standardised);
                let got = case.got(gpu, Variant::Simple, &[0.0], |t, images, slots, _| {
                    plain(t, images, slots)
                });
                let want =
                    case.wanted(|s| joined(case.slots.iter().map(|slot| s.plain(*slot as usize))));
                let worst = close("plain", &got.unwrap(), &want, DEPTH).unwrap();
                println!("plain {shape:?} to {size:?}: {worst:.3} of the allowance");
            }
        }
    }
}

#[test]
fn more_pixels_and_rows_than_one_dispatch_dimension() {
    let Some(gpu) = gpu(true) else { return };
    // 65,535 workgroups of 64 invocations are 4,194,240, fewer than 520 views have rows.
    let case = Case::new([3, 3, 2, 1], [8192, 1], 520, false);
    // The reference's blur is a square.
    let options = AugmentOptions { blur_sigma: [0.1, 0.3], ..ALL };
    let draws = rows(4, &options, 9).repeat(130);
    let worst = case.views(gpu, Variant::Simple, &draws, &options).unwrap();
    println!("views: {worst:.3} of the allowance");
    let got = case.got(gpu, Variant::Simple, &[0.0], |t, images, slots, _| plain(t, images, slots));
    let images = [0, 1, 2].map(|slot| case.wanted(|stored| stored.plain(slot)));
    let want = joined(case.slots.iter().map(|slot| &images[*slot as usize]));
    close("plain", &got.unwrap(), &want, DEPTH).unwrap();
    statistics_of(gpu, [65_535 * 64 + 1, 1, 1, 1]);
}

/// The worst error over the allowance.
fn statistics_of(gpu: &Gpu, shape: [usize; 4]) -> f64 {
    let mut bytes = bytes(shape.iter().product(), 8);
    let len = bytes.len() / shape[0];
    // The last image has one value only, near white.
    bytes[(shape[0] - 1) * len..].fill(251);
    let words = packed(&bytes);
    let inputs = [Input::Integers(&[words.len()], &words)];
    let out = outcome(gpu, &inputs, |t, v| image_statistics(t, v[0], shape)).unwrap();
    let unchanged = out.inputs[0].iter().map(|v| v.to_bits());
    assert!(unchanged.eq(words.iter().copied()), "the images changed");
    let want = reference::statistics(&bytes, shape);
    close("statistics", &out.outputs[0], &want, DEPTH).unwrap()
}

#[test]
fn statistics_of_longer_rows_and_columns_are_refused() {
    let Some(gpu) = gpu(false) else { return };
    for shape in [[1, 1, 10_001, 3], [1, 30_001, 1, 1]] {
        let words = vec![0u32; shape.iter().product::<usize>().div_ceil(4)];
        let inputs = [Input::Integers(&[words.len()], &words)];
        let e = outcome(gpu, &inputs, |t, v| image_statistics(t, v[0], shape)).err().unwrap();
        assert!(e.to_string().ends_with("expected up to 30000 rows, and values in a row"), "{e}");
    }
    statistics_of(gpu, [1, 1, 10_000, 3]);
}

#[test]
fn statistics_match_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for shape in [
            [1, 1, 1, 1],
            [1, 1, 2, 3],
            [7, 5, 3, 1],
            [3, 3, 3, 3],
            [9, 7, 5, 3],
            [63, 1, 2, 1],
            [64, 2, 1, 1],
            [65, 3, 1, 1],
            [2, 97, 101, 3],
        ] {
            let worst = statistics_of(gpu, shape);
            println!("statistics {shape:?}: worst {worst:.3} of the allowance");
        }
    }
}

#[test]
fn a_view_does_not_depend_on_its_batch() {
    let Some(gpu) = gpu(false) else { return };
    let full = AugmentOptions { noise: 0.2, ..ALL };
    // 40 images are stored from number 1000 on, in the order of `slots` of each batch.
    let made = |slots: &[u32], count: usize| -> Vec<Vec<f32>> {
        let mut case = Case::new([40, 6, 5, 3], [6, 5], slots.len(), true);
        case.slots = slots.to_vec();
        let ids: Vec<u32> = slots.iter().map(|s| s + 1000).collect();
        let draws = drawn(gpu, &full, [5, 6, 7], &ids, count).unwrap();
        let all = case.got(gpu, gpu.report().variant(), &draws, |t, images, slots, draws| {
            views(t, images, slots, draws, &full)
        });
        all.unwrap().chunks(6 * 5 * 3).map(<[f32]>::to_vec).collect()
    };
    let forward: Vec<u32> = (0..40).collect();
    let backward: Vec<u32> = (0..40).rev().collect();
    let (all, reversed, few) = (made(&forward, 2), made(&backward, 2), made(&[31, 3, 17], 3));
    for i in 0..40 {
        assert!(all[i] == reversed[39 - i] && all[40 + i] == reversed[79 - i], "image {i}");
        assert!(all[i] != all[40 + i], "both views of image {i} are the same");
    }
    for (at, image) in [31, 3, 17].into_iter().enumerate() {
        assert!(few[at] == all[image] && few[3 + at] == all[40 + image], "image {image}");
    }
}

#[test]
fn what_cannot_occur_is_not_recorded() {
    let Some(gpu) = gpu(false) else { return };
    use anomem::autograd::{Plan, PlanOptions};
    let dispatches = |options: &AugmentOptions| {
        let mut store = anomem::tensor::Store::new();
        let slab = store.slab("inputs");
        let mut declare = |name: &str, shape: &[usize], element| {
            store.declare(slab, name, shape, element, false).unwrap()
        };
        let pixels = declare("pixels", &[12], Element::U32);
        let slots = declare("slots", &[2], Element::U32);
        let counters = declare("counters", &[4], Element::U32);
        store.allocate(gpu).unwrap();
        let mut tape = Tape::new(gpu.report().variant());
        let [pixels, slots, counters] =
            [pixels, slots, counters].map(|id| tape.variable(&store, id));
        let (mean, std) = ([0.5; 3], [0.25; 3]);
        let images =
            Images { pixels, shape: [4, 2, 2, 3], size: [2, 2], statistics: None, mean, std };
        let draws = draw(&mut tape, options, counters, slots, 2).unwrap();
        let y = views(&mut tape, &images, slots, draws, options).unwrap();
        tape.keep(y);
        Plan::compile(gpu, &tape, &store, &PlanOptions::default()).unwrap().dispatches()
    };
    assert_eq!(dispatches(&ALL), 6);
    assert_eq!(dispatches(&AugmentOptions { blur_p: 0.0, ..ALL }), 4);
    assert_eq!(dispatches(&AugmentOptions { blur_p: 0.0, contrast: 0.0, ..ALL }), 2);
    assert_eq!(dispatches(&AugmentOptions { jitter_p: 0.0, ..ALL }), 4);
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |change: &dyn Fn(&mut Case), draws: &[f32], options: &AugmentOptions| {
        let mut case = Case::new([3, 4, 5, 3], [4, 5], 2, true);
        change(&mut case);
        let record =
            |t: &mut Tape, images: &Images, slots, draws| views(t, images, slots, draws, options);
        case.got(gpu, Variant::Simple, draws, record).unwrap_err().to_string()
    };
    let two = [IDENTITY; 2].concat();
    let pixels = "augment.views: pixels [45] for images ";
    assert!(fails(&|c| c.shape[0] = 4, &two, &ALL).starts_with(&format!("{pixels}[4, 4, 5, 3]")));
    assert!(fails(&|c| c.shape = [3, 4, 5, 2], &two, &ALL).contains("C 1 or 3"));
    assert!(fails(&|c| c.shape[0] = 0, &two, &ALL).contains("[0, 4, 5, 3]"));
    let e = fails(&|c| c.statistics = Some(vec![0.5; 4]), &two, &ALL);
    assert_eq!(e, "augment.views: statistics [2, 2], expected [3, 2]");
    assert!(fails(&|c| c.std[2] = 0.0, &two, &ALL).contains("std [0.25, 0.2, 0.0]"));
    assert!(fails(&|c| c.size = [0, 4], &two, &ALL).contains("views [0, 4]"));
    let e = fails(&|_| {}, &[IDENTITY; 3].concat(), &ALL);
    assert_eq!(e, "augment.views: draws [3, 16], expected [V * 2, 16]");
    assert!(fails(&|_| {}, &[0.0; 8], &ALL).contains("draws [1, 8]"));
    for options in [
        AugmentOptions { crop_min: 0.0, ..ALL },
        AugmentOptions { crop_min: 0.95, ..ALL },
        AugmentOptions { crop_max: 1.1, ..ALL },
        AugmentOptions { flip: f32::NAN, ..ALL },
        AugmentOptions { saturation: 1.5, ..ALL },
        AugmentOptions { blur_sigma: [0.0, 1.0], ..ALL },
    ] {
        assert!(fails(&|_| {}, &two, &options).starts_with("augment: out of range"), "{options:?}");
        assert!(drawn(gpu, &options, [1, 2, 3], &[1], 2).is_err());
    }
    assert!(drawn(gpu, &ALL, [1, 2, 3], &[1], 0).unwrap_err().to_string().contains("[0, 16]"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_shapes_and_draws(
        stored in (1usize..6, 1usize..12, 1usize..12),
        size in (1usize..12, 1usize..12),
        colour in any::<bool>(),
        standardised in any::<bool>(),
        batch in 1usize..4,
        count in 1usize..4,
        seed in any::<u64>(),
    ) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        let shape = [stored.0, stored.1, stored.2, if colour { 3 } else { 1 }];
        let case = Case::new(shape, [size.0, size.1], batch, standardised);
        let draws = rows(batch * count, &ALL, seed);
        for variant in variants(gpu) {
            case.views(gpu, variant, &draws, &ALL).map_err(TestCaseError::fail)?;
        }
    }
}
