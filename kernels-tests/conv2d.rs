use crate::harness::{Input, close, fill, gpu, run_case, run_replaced, variants, wide};
use crate::reference::Out;
use crate::reference::conv2d::{self as reference, Sizes};
use anomem::gpu::{
    AdapterClass, Gpu, Kernel, KernelChoice, Shader, SubgroupTuning, Tuning, Variant,
    WinogradTuning, WorkgroupTuning,
};
use anomem::ops::conv2d::conv2d;
use proptest::prelude::*;
use std::sync::LazyLock;

/// n, h, w, c, o, kh, kw, stride, padding.
const fn sizes(s: [usize; 9]) -> Sizes {
    let [n, h, w, c, o, kh, kw, stride, padding] = s;
    Sizes { n, h, w, c, o, kh, kw, stride, padding }
}

const CASES: &[Sizes] = &[
    // All ones; all equal.
    sizes([1, 1, 1, 1, 1, 1, 1, 1, 0]),
    sizes([4, 4, 4, 4, 4, 4, 4, 1, 0]),
    // All different, nothing a multiple of 4; then multiples of 4.
    sizes([2, 11, 7, 3, 6, 5, 4, 3, 1]),
    sizes([3, 9, 7, 8, 12, 3, 2, 1, 1]),
    // Strides: with taps for each class of pixels, with classes that no tap reaches, odd and even
    // sizes, a last row and column that no window touches.
    sizes([2, 8, 6, 4, 20, 3, 3, 2, 1]),
    sizes([2, 7, 9, 16, 5, 3, 3, 2, 1]),
    sizes([3, 6, 8, 8, 16, 1, 1, 2, 0]),
    sizes([2, 10, 8, 5, 4, 2, 3, 4, 0]),
    // Padding as wide as the kernel: windows wholly outside.
    sizes([2, 3, 4, 4, 8, 2, 2, 1, 2]),
    // One under, at and over a tile of 64 or 128 pixels and of 16 or 64 channels.
    sizes([1, 7, 9, 4, 15, 1, 1, 1, 0]),
    sizes([1, 8, 8, 4, 16, 1, 1, 1, 0]),
    sizes([1, 5, 13, 4, 17, 1, 1, 1, 0]),
    sizes([1, 1, 127, 12, 63, 1, 1, 1, 0]),
    sizes([2, 8, 8, 16, 64, 3, 3, 1, 1]),
    sizes([3, 1, 43, 20, 65, 1, 3, 1, 1]),
    // Kernel rows that fill tiles of weights: 9 * 16 = 144 = 128 + 16 rows; the first layer.
    sizes([1, 6, 5, 24, 24, 3, 3, 1, 1]),
    sizes([2, 8, 7, 3, 16, 3, 3, 1, 1]),
    // Winograd's tiles: odd and even sizes, one row, each padding; a surplus of tiles, and of channels in the last
    // product tile.
    sizes([2, 5, 6, 64, 64, 3, 3, 1, 1]),
    sizes([3, 3, 7, 68, 76, 3, 3, 1, 0]),
    sizes([1, 1, 2, 64, 68, 3, 3, 1, 2]),
    // Its larger tiles, of 4 x 4 pixels, where there are enough of them: likewise.
    sizes([2, 17, 18, 64, 64, 3, 3, 1, 1]),
    sizes([3, 15, 17, 68, 76, 3, 3, 1, 0]),
    sizes([2, 14, 15, 64, 68, 3, 3, 1, 2]),
    sizes([1, 1, 720, 64, 64, 3, 3, 1, 1]),
    sizes([2, 17, 18, 32, 36, 3, 3, 1, 1]),
    // Fewer than four channels: patches of a whole number of quads, and more of them than a small chunk takes, with one
    // that begins within an image.
    sizes([2, 9, 8, 2, 8, 2, 2, 2, 0]),
    sizes([3, 40, 40, 1, 5, 3, 3, 1, 1]),
    sizes([2, 23, 21, 3, 12, 7, 7, 2, 3]),
    // More shares of the pixels than weights to sum them into.
    sizes([2, 40, 40, 1, 1, 1, 1, 1, 0]),
];

/// The variants of this adapter, and the kernels of 4 lanes, which run in any larger subgroup.
fn all_variants(gpu: &Gpu) -> Vec<Variant> {
    let mut list = variants(gpu);
    list.extend(gpu.report().cooperative_variant());
    if list.contains(&Variant::Subgroup { lanes: 8 }) {
        list.push(Variant::Subgroup { lanes: 4 });
    }
    list
}

/// [`fill`], rounded to half precision for the variant that does so: what it then computes is exact but
/// for the sums, as with the others.
fn operand(variant: Variant, len: usize, seed: u64) -> Vec<f32> {
    let rounded = |v: f32| if variant == Variant::Cooperative { half(v) } else { v };
    fill(len, seed).into_iter().map(rounded).collect()
}

fn half(v: f32) -> f32 {
    half::f16::from_f32(v).to_f32()
}

/// One convolution with its gradients.
struct Problem {
    s: Sizes,
    x: Vec<f32>,
    weight: Vec<f32>,
    grad_y: Vec<f32>,
}

/// y, grad_x, grad_weight.
type Results = [Vec<f32>; 3];

impl Problem {
    fn new(s: &Sizes, operand: impl Fn(usize, u64) -> Vec<f32>) -> Self {
        Self {
            s: *s,
            x: operand(s.n * s.h * s.w * s.c, 1),
            weight: operand(s.kh * s.kw * s.c * s.o, 2),
            grad_y: operand(s.n * s.ho() * s.wo() * s.o, 3),
        }
    }

    fn run(
        &self,
        gpu: &Gpu,
        kernels: impl Into<KernelChoice>,
        other: impl Fn(&Kernel) -> Option<Kernel>,
    ) -> Result<Results, String> {
        let s = &self.s;
        let (x_shape, weight_shape) = ([s.n, s.h, s.w, s.c], [s.kh, s.kw, s.c, s.o]);
        let x = Input::Trainable(&x_shape, &self.x);
        let weight = Input::Trainable(&weight_shape, &self.weight);
        let record = |t: &mut anomem::autograd::Tape, v: &[anomem::autograd::Value]| {
            Ok(vec![conv2d(t, v[0], v[1], s.stride, s.padding)?])
        };
        let out = run_replaced(gpu, kernels, &[x, weight], &[&self.grad_y], record, other);
        let mut out = out.map_err(|e| e.to_string())?;
        let [grad_x, grad_weight] = [0, 1].map(|i| std::mem::take(&mut out.grads[i]));
        Ok([out.outputs.swap_remove(0), grad_x, grad_weight])
    }

    /// Of each result: what it should be, and the number of terms.
    fn wanted(&self) -> [(Out, f64); 3] {
        let s = &self.s;
        let (x, weight, g) = (wide(&self.x), wide(&self.weight), wide(&self.grad_y));
        [
            (reference::forward(s, &x, &weight), (s.kh * s.kw * s.c) as f64),
            (reference::backward_input(s, &weight, &g), (s.kh * s.kw * s.o) as f64),
            (reference::backward_weight(s, &x, &g), (s.n * s.ho() * s.wo()) as f64),
        ]
    }
}

/// Worst error / allowance of y, grad_x, grad_weight; `more` is added to the roundings on the way.
fn compare(got: &Results, wanted: &[(Out, f64); 3], more: f64) -> Result<[f64; 3], String> {
    let mut worst = [0.0; 3];
    for (i, name) in ["y", "grad_x", "grad_weight"].into_iter().enumerate() {
        worst[i] = close(name, &got[i], &wanted[i].0, wanted[i].1 + more)?;
    }
    Ok(worst)
}

/// Worst error / allowance of y, grad_x, grad_weight.
fn check(gpu: &Gpu, kernels: impl Into<KernelChoice>, s: &Sizes) -> Result<[f64; 3], String> {
    let kernels = kernels.into();
    let problem = Problem::new(s, |len, seed| operand(kernels.variant, len, seed));
    let mut wanted = problem.wanted();
    let spread_out = if by_points(kernels, s) { of_points(kernels.variant) } else { 0 };
    wanted[..spread_out].iter_mut().for_each(|(out, _)| spread(out));
    compare(&problem.run(gpu, kernels, |_| None)?, &wanted, 0.0)
}

/// Whether a convolution goes by Winograd's points.
fn by_points(KernelChoice { variant, tuning }: KernelChoice, s: &Sizes) -> bool {
    let square = s.kh == 3 && s.kw == 3 && s.stride == 1;
    let WinogradTuning { two_channels, four_channels, .. } = tuning.winograd;
    let least = if s.ho() * s.wo() > 16 { four_channels.min(two_channels) } else { two_channels };
    of_points(variant) > 0 && square && s.c.min(s.o) as u64 >= least
}

/// How many of y, grad_x and grad_weight a variant computes from Winograd's points.
fn of_points(variant: Variant) -> usize {
    match variant {
        Variant::Subgroup { .. } => 3,
        Variant::Tiled => 2,
        Variant::Simple | Variant::Cooperative => 0,
    }
}

/// Winograd's points mix the pixels of a tile and the taps of a kernel, so that a small result carries the rounding of
/// its largest neighbour.
fn spread(out: &mut Out) {
    let most = out.mag.iter().copied().fold(0.0, f64::max);
    out.mag.fill(most);
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in all_variants(gpu) {
            for s in CASES {
                let worst =
                    check(gpu, variant, s).unwrap_or_else(|e| panic!("{variant:?} {s:?} {e}"));
                println!("conv2d {variant:?} {s:?}: worst {worst:.3?} of the allowance");
            }
        }
    }
}

/// Whatever a file of `anomem tune` may say: Winograd's forms wherever they can be or nowhere, the widest and the
/// narrowest tiles, as many shares of the pixels as there may be or one.
#[test]
fn any_tuning_matches_the_reference() {
    let Some(gpu) = gpu(false) else { return };
    let workgroup = |to, split_workgroups, split_pixels| WorkgroupTuning {
        narrow_to: to,
        middle_to: to,
        split_workgroups,
        split_pixels,
    };
    let most = Tuning {
        subgroup: SubgroupTuning { wide_from: 0, split_workgroups: 2048, split_pixels: 4 },
        workgroup: workgroup(0, 2048, 4),
        winograd: WinogradTuning { two_channels: 4, four_channels: 4, chunk_bytes: 1 << 16 },
    };
    let never = WinogradTuning { two_channels: 2048, four_channels: 2048, chunk_bytes: 64 << 20 };
    let least = Tuning {
        subgroup: SubgroupTuning { wide_from: 1 << 60, split_workgroups: 1, split_pixels: 1 << 20 },
        workgroup: workgroup(1 << 20, 1, 1 << 20),
        winograd: never,
    };
    let two = WinogradTuning { two_channels: 4, ..never };
    let two = Tuning { winograd: two, ..Tuning::built_in(AdapterClass::Software) };
    for tuning in [most, least, two] {
        tuning.validate().unwrap();
        for variant in variants(gpu).into_iter().filter(|v| *v != Variant::Simple) {
            for s in CASES {
                check(gpu, KernelChoice { variant, tuning }, s)
                    .unwrap_or_else(|e| panic!("{variant:?} {tuning:?} {s:?} {e}"));
            }
        }
    }
}

/// Sums of the gradient of the weights over more pixels than an invocation may walk on a software driver, if the tuning
/// knows one share only: on rows of one pixel, of some and of all; more than fit in rounds of sixteen. Whole numbers
/// that add without rounding: a pixel lost shows.
#[test]
fn no_pixel_is_lost_of_many() {
    let Some(gpu) = gpu(false) else { return };
    let software = Tuning::built_in(AdapterClass::Software);
    let (split_workgroups, split_pixels) = (1, 1 << 20);
    let tuning = Tuning {
        subgroup: SubgroupTuning { split_workgroups, split_pixels, ..software.subgroup },
        workgroup: WorkgroupTuning { split_workgroups, split_pixels, ..software.workgroup },
        ..software
    };
    for s in [
        [1, 45_000, 1, 1, 1, 1, 1, 1, 0],
        [130, 32, 32, 1, 2, 1, 1, 1, 0],
        [34, 127, 127, 4, 1, 3, 3, 2, 1],
        [1, 1, 140_001, 1, 1, 1, 1, 1, 0],
        [1, 1025, 1025, 1, 1, 1, 1, 1, 0],
    ]
    .map(sizes)
    {
        let whole = |len: usize, least: usize| -> Vec<f32> {
            (0..len).map(|i| ((i * 7 + i / 1000) % 3 + least) as f32).collect()
        };
        let (x, weight) = (whole(s.n * s.h * s.w * s.c, 0), vec![0.0; s.kh * s.kw * s.c * s.o]);
        let g = whole(s.n * s.ho() * s.wo() * s.o, 1);
        let want = reference::backward_weight(&s, &wide(&x), &wide(&g)).value;
        let (x_shape, weight_shape) = ([s.n, s.h, s.w, s.c], [s.kh, s.kw, s.c, s.o]);
        let inputs = [Input::Constant(&x_shape, &x), Input::Trainable(&weight_shape, &weight)];
        for variant in all_variants(gpu) {
            let kernels = KernelChoice { variant, tuning };
            let out = run_case(gpu, kernels, &inputs, &[&g], |t, v| {
                Ok(vec![conv2d(t, v[0], v[1], s.stride, s.padding)?])
            });
            assert_eq!(wide(&out.unwrap().grads[1]), want, "{variant:?} {s:?}");
        }
    }
}

/// Enough work for the wide subgroup tile, with surplus columns in its last; more of Winograd's tiles than one chunk
/// takes, the second smaller.
#[test]
fn large_products_match_the_reference() {
    let Some(gpu) = gpu(false) else { return };
    let variant = Variant::Subgroup { lanes: 8 };
    if !all_variants(gpu).contains(&variant) {
        return;
    }
    for s in [[3, 26, 24, 92, 90, 3, 3, 1, 1], [1, 130, 126, 64, 64, 3, 3, 1, 1]].map(sizes) {
        let worst = check(gpu, variant, &s).unwrap_or_else(|e| panic!("{s:?} {e}"));
        println!("conv2d {s:?}: worst {worst:.3?} of the allowance");
    }
}

#[test]
fn random_shapes_match_the_reference() {
    let Some(gpu) = gpu(false) else { return };
    let strategy = (1..4usize, 1..10usize, 1..10usize, 1..21usize, 1..37usize)
        .prop_flat_map(|(n, h, w, c, o)| {
            (Just((n, h, w, c, o)), 1..5usize, 1..5usize, 1..4usize, 0..3usize)
        })
        .prop_filter("the kernel fits", |((_, h, w, _, _), kh, kw, _, padding)| {
            *kh <= h + 2 * padding && *kw <= w + 2 * padding
        });
    check_random(
        gpu,
        &strategy.prop_map(|((n, h, w, c, o), kh, kw, stride, padding)| Sizes {
            n,
            h,
            w,
            c,
            o,
            kh,
            kw,
            stride,
            padding,
        }),
    );
}

/// Shapes with the channels from which on 3 x 3 kernels go by Winograd's points.
#[test]
fn random_wide_shapes_match_the_reference() {
    let Some(gpu) = gpu(false) else { return };
    let strategy = (1..4usize, 1..20usize, 1..20usize, 16..20usize, 16..20usize, 1..3usize);
    check_random(
        gpu,
        &strategy.prop_map(|(n, h, w, c, o, padding)| Sizes {
            n,
            h,
            w,
            c: 4 * c,
            o: 4 * o,
            kh: 3,
            kw: 3,
            stride: 1,
            padding,
        }),
    );
}

fn check_random(gpu: &Gpu, strategy: &impl Strategy<Value = Sizes>) {
    let variants = all_variants(gpu);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..Default::default()
    });
    runner
        .run(strategy, |s| {
            for variant in &variants {
                check(gpu, *variant, &s)
                    .map_err(|e| TestCaseError::fail(format!("{variant:?} {s:?}: {e}")))?;
            }
            Ok(())
        })
        .unwrap();
}

/// The first layer needs no gradient of the images: none is recorded.
#[test]
fn gradients_are_only_what_is_needed() {
    let Some(gpu) = gpu(false) else { return };
    let s = sizes([2, 5, 4, 3, 8, 3, 3, 1, 1]);
    let (xs, ws) = ([2, 5, 4, 3], [3, 3, 3, 8]);
    for variant in all_variants(gpu) {
        let [x, weight, g] = [(120, 1), (216, 2), (320, 3)].map(|(n, i)| operand(variant, n, i));
        let record = |t: &mut anomem::autograd::Tape, v: &[anomem::autograd::Value]| {
            Ok(vec![conv2d(t, v[0], v[1], 1, 1)?])
        };
        let inputs = [Input::Constant(&xs, &x), Input::Trainable(&ws, &weight)];
        let out = run_case(gpu, variant, &inputs, &[&g], record).unwrap();
        let want = reference::backward_weight(&s, &wide(&x), &wide(&g));
        close("grad_weight", &out.grads[1], &want, 40.0).unwrap();
        let inputs = [Input::Trainable(&xs, &x), Input::Constant(&ws, &weight)];
        let out = run_case(gpu, variant, &inputs, &[&g], record).unwrap();
        let want = reference::backward_input(&s, &wide(&weight), &wide(&g));
        close("grad_x", &out.grads[0], &want, 72.0).unwrap();
    }
}

/// More workgroups than one dispatch dimension holds: 65,535 of 64 elements, or of 32 pixels.
#[test]
fn runs_over_a_dispatch_dimension() {
    let Some(gpu) = gpu(false) else { return };
    for (variant, height) in
        [(Variant::Simple, 65_536), (Variant::Subgroup { lanes: 4 }, 65_536 / 2)]
    {
        if !all_variants(gpu).contains(&variant) {
            continue;
        }
        let s = sizes([1, height, 65, 1, 1, 1, 1, 1, 0]);
        let (x, shape) = (fill(height * 65, 1), [1, height, 65, 1]);
        let inputs = [Input::Constant(&shape, &x), Input::Constant(&[1, 1, 1, 1], &[0.7])];
        let record = |t: &mut anomem::autograd::Tape, v: &[anomem::autograd::Value]| {
            Ok(vec![conv2d(t, v[0], v[1], 1, 0)?])
        };
        let out = run_case(gpu, variant, &inputs, &[&[]], record).unwrap();
        let want = reference::forward(&s, &wide(&x), &[f64::from(0.7f32)]);
        close("y", &out.outputs[0], &want, 1.0).unwrap();
    }
}

#[test]
fn gradients_are_the_same_bits_each_time() {
    let Some(gpu) = gpu(false) else { return };
    let (x, weight, g) = (fill(2 * 40 * 40 * 4, 1), fill(9 * 4 * 8, 2), fill(2 * 40 * 40 * 8, 3));
    for variant in all_variants(gpu) {
        let once = || {
            let (xs, ws) = ([2, 40, 40, 4], [3, 3, 4, 8]);
            let inputs = [Input::Trainable(&xs, &x), Input::Trainable(&ws, &weight)];
            run_case(gpu, variant, &inputs, &[&g], |t, v| Ok(vec![conv2d(t, v[0], v[1], 1, 1)?]))
                .unwrap()
        };
        let (a, b) = (once(), once());
        assert!(a.outputs == b.outputs && a.grads == b.grads, "{variant:?}");
    }
}

/// The kernels of [`Variant::Cooperative`] with fragments in plain WGSL: for any adapter with halves and
/// subgroups of 8 lanes, and the same text but for what a fragment is. None for other kernels.
fn in_plain_wgsl(kernel: &Kernel, at_once: u32) -> Option<Kernel> {
    static SHADERS: LazyLock<Vec<Shader>> = LazyLock::new(|| {
        let fragments = include_str!("../shaders/conv2d/fragments.wgsl");
        let plain = |s: &Shader| {
            let text = s.text(&[]).unwrap();
            text.contains(fragments).then(|| Shader {
                family: "test",
                stem: s.stem,
                source: text.replace(fragments, include_str!("fragments.wgsl")).leak(),
                params: s.params,
            })
        };
        anomem::ops::shaders().into_iter().filter_map(plain).collect()
    });
    let shader = SHADERS.iter().find(|s| s.stem == kernel.shader.stem)?;
    let at_once = [("AT_ONCE", at_once)];
    Some(Kernel::with(shader, &[&kernel.consts[..], &at_once].concat()))
}

/// An adapter that can run them.
fn gpu_for_plain_fragments() -> Option<&'static Gpu> {
    let gpu = gpu(false)?;
    let report = gpu.report();
    if report.f16 && report.subgroup.is_some_and(|(least, _)| least >= 8) {
        return Some(gpu);
    }
    eprintln!(
        "SKIPPED, no fragments in plain WGSL: {} lacks halves or wide subgroups",
        report.name
    );
    None
}

/// Several tiles each way, with surplus in the last; shares of the pixels that no 16 divides.
const TILES: &[Sizes] = &[
    sizes([1, 15, 18, 20, 70, 3, 3, 1, 1]),
    sizes([2, 13, 17, 36, 24, 3, 3, 2, 1]),
    sizes([1, 20, 40, 36, 12, 1, 1, 1, 0]),
    sizes([3, 9, 11, 5, 33, 4, 2, 3, 2]),
];

#[test]
fn fragments_in_plain_wgsl_match_the_reference() {
    let Some(gpu) = gpu_for_plain_fragments() else { return };
    let run = |s: &Sizes, at_once: u32| {
        let problem = Problem::new(s, |len, seed| operand(Variant::Cooperative, len, seed));
        let replaced = std::cell::Cell::new(0);
        let plain = |kernel: &Kernel| {
            let plain = in_plain_wgsl(kernel, at_once);
            replaced.set(replaced.get() + u32::from(plain.is_some()));
            plain
        };
        let got = problem.run(gpu, Variant::Cooperative, plain).unwrap();
        assert!(replaced.get() >= 3, "{s:?}: {} kernels", replaced.get());
        let worst = compare(&got, &problem.wanted(), 0.0);
        let worst = worst.unwrap_or_else(|e| panic!("{s:?}, {at_once} at once: {e}"));
        println!("conv2d fragments {s:?}: worst {worst:.3?} of the allowance");
    };
    CASES.iter().chain(TILES).for_each(|s| run(s, 4));
    // Three bands, then the fourth.
    run(&TILES[0], 3);
}

/// Whatever way a conversion rounds, an operand is off by 2^-10 of itself at most, and a product by 2^-9: 2^12 times
/// what [`close`] allows for a rounding of f32, which is 2^-21.
#[test]
fn operands_are_rounded_to_halves_and_no_further() {
    let Some(gpu) = gpu_for_plain_fragments() else { return };
    for s in TILES {
        let problem = Problem::new(s, fill);
        let got = problem.run(gpu, Variant::Cooperative, |k| in_plain_wgsl(k, 4)).unwrap();
        let wanted = problem.wanted();
        compare(&got, &wanted, 4096.0).unwrap();
        assert!(compare(&got, &wanted, 0.0).is_err(), "{s:?}: nothing was rounded");
    }
}

/// Matrix units work under a memory model of their own, which wgpu declares but does not follow in all it
/// says of loads and stores (gfx-rs/wgpu #8805): were a barrier not kept, some element would differ some time.
/// `ANOMEM_RACE_REPEATS` says how often each product is repeated.
#[test]
fn fragments_give_the_same_bits_each_time() {
    let Some(gpu) = gpu(false) else { return };
    let Some(variant) = gpu.report().cooperative_variant() else {
        eprintln!("SKIPPED, no race was looked for: {} multiplies no fragments", gpu.report().name);
        return;
    };
    let repeats = std::env::var("ANOMEM_RACE_REPEATS").map_or(20, |n| n.parse().unwrap());
    for s in [
        [4, 28, 30, 64, 72, 3, 3, 1, 1],
        [8, 31, 29, 32, 32, 3, 3, 2, 1],
        [2, 64, 63, 16, 16, 3, 3, 1, 1],
        [4, 16, 17, 128, 130, 1, 1, 1, 0],
    ]
    .map(sizes)
    {
        let problem = Problem::new(&s, |len, seed| operand(variant, len, seed));
        let first = problem.run(gpu, variant, |_| None).unwrap();
        compare(&first, &problem.wanted(), 0.0).unwrap_or_else(|e| panic!("{s:?}: {e}"));
        for repeat in 1..repeats {
            let again = problem.run(gpu, variant, |_| None).unwrap();
            for ((name, a), b) in ["y", "grad_x", "grad_weight"].iter().zip(&first).zip(&again) {
                let differ = a.iter().zip(b).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
                assert!(differ == 0, "{s:?}, run {repeat}: {differ} values of {name} differ");
            }
        }
        println!("conv2d {s:?}: {repeats} times the same");
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |x: &[usize], w: &[usize], stride, padding, words: &str| {
        let (xd, wd) = (fill(x.iter().product(), 1), fill(w.iter().product(), 2));
        let inputs = [Input::Constant(x, &xd), Input::Constant(w, &wd)];
        let e = run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| {
            Ok(vec![conv2d(t, v[0], v[1], stride, padding)?])
        });
        let text = e.err().unwrap().to_string();
        assert!(text.contains(words), "{text}");
    };
    fails(&[2, 5, 4, 3], &[3, 3, 2, 8], 1, 1, "conv2d: x [2, 5, 4, 3], weight [3, 3, 2, 8]");
    fails(&[2, 5, 4], &[3, 3, 2, 8], 1, 1, "conv2d: x [2, 5, 4]");
    fails(&[2, 5, 4, 3], &[3, 3, 3, 8], 0, 1, "stride 0");
    fails(&[2, 5, 4, 3], &[8, 3, 3, 8], 1, 1, "larger than");
    fails(&[0, 5, 4, 3], &[3, 3, 3, 8], 1, 1, "at least 1");
    fails(&[1, 3, 3, 7000], &[3, 3, 7000, 1], 1, 1, "more taps and channels than");
}
