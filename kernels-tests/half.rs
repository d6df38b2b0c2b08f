//! Maps and their gradients stored in half precision: every kernel that takes them so computes what it computes of
//! floats, and what it stores is that, rounded.

use crate::harness::{Input, Outcome, fill, gpu, run_in, variants};
use anomem::autograd::{Precision, Tape, Value};
use anomem::gpu::{Gpu, Kernel, Shader, Variant};
use anomem::ops::{self, activation, add, affine, batch_norm, conv2d, pool, rows};
use half::f16;
use std::collections::BTreeSet;

/// Values that half precision holds, and their doubles too.
fn halves(len: usize, seed: u64) -> Vec<f32> {
    fill(len, seed).iter().map(|v| f16::from_f32(*v).to_f32()).collect()
}

type Record = dyn Fn(&mut Tape, &[Value]) -> anomem::Result<Value>;

/// An operation on a map x and on what is no map.
pub struct Case {
    pub name: &'static str,
    pub x: Vec<usize>,
    others: Vec<Vec<usize>>,
    record: Box<Record>,
}

fn case(
    name: &'static str,
    x: &[usize],
    others: &[&[usize]],
    record: impl Fn(&mut Tape, &[Value]) -> anomem::Result<Value> + 'static,
) -> Case {
    let others = others.iter().map(|s| s.to_vec()).collect();
    Case { name, x: x.to_vec(), others, record: Box::new(record) }
}

fn convolution(x: &[usize; 4], weight: &[usize; 4], stride: usize, padding: usize) -> Case {
    case("conv2d", x, &[weight], move |t, v| conv2d::conv2d(t, v[0], v[1], stride, padding))
}

/// 1 x 1, 3 x 3 as a plain product, by both Winograd forms, with stride 2, 7 x 7; norms with and without a ReLU, of
/// running statistics; the others. Sizes leave tiles and workgroups partly filled.
pub fn cases() -> Vec<Case> {
    vec![
        convolution(&[2, 5, 7, 8], &[1, 1, 8, 12], 1, 0),
        convolution(&[2, 5, 7, 8], &[3, 3, 8, 20], 1, 1),
        convolution(&[2, 9, 9, 64], &[3, 3, 64, 68], 1, 1),
        convolution(&[3, 3, 3, 64], &[3, 3, 64, 64], 1, 1),
        convolution(&[2, 9, 8, 8], &[3, 3, 8, 40], 2, 1),
        convolution(&[1, 11, 12, 4], &[7, 7, 4, 8], 2, 3),
        case("batch_norm", &[3, 5, 7, 12], &[&[12], &[12]], |t, v| {
            batch_norm::batch_norm(t, v[0], v[1], v[2], 1e-3, None)
        }),
        case("batch_norm and relu", &[3, 5, 7, 12], &[&[12], &[12]], |t, v| {
            let y = batch_norm::batch_norm(t, v[0], v[1], v[2], 1e-3, None)?;
            activation::relu(t, y)
        }),
        case("batch_norm and sum", &[3, 5, 7, 12], &[&[12], &[12], &[3, 5, 7, 12]], |t, v| {
            let y = batch_norm::batch_norm(t, v[0], v[1], v[2], 1e-3, None)?;
            let skip = activation::relu(t, v[3])?;
            add::add(t, y, skip)
        }),
        case("relu", &[3, 5, 7, 4], &[], |t, v| activation::relu(t, v[0])),
        case("add", &[3, 5, 7, 4], &[], |t, v| {
            let y = activation::relu(t, v[0])?;
            add::add(t, y, v[0])
        }),
        case("max_pool", &[2, 7, 9, 8], &[], |t, v| pool::max_pool(t, v[0], 3, 2, 1)),
        case("average_pool", &[2, 7, 9, 8], &[], |t, v| pool::average_pool(t, v[0], 3, 2, 1)),
        case("rows", &[6, 3, 8], &[], |t, v| {
            let mut parts = rows::split(t, v[0], 1, &[2, 1, 3])?;
            parts.rotate_left(1);
            rows::join(t, &parts, 1)
        }),
    ]
}

/// y twice, of x twice: so that x and y and their gradients are temporaries, whose memory the plan chooses.
pub fn run(gpu: &Gpu, variant: Variant, precision: Precision, case: &Case) -> Outcome {
    let len = |shape: &[usize]| shape.iter().product::<usize>();
    let x = halves(len(&case.x), 1);
    let others: Vec<Vec<f32>> =
        case.others.iter().enumerate().map(|(i, s)| halves(len(s), 2 + i as u64)).collect();
    let mut inputs = vec![Input::Trainable(&case.x, &x)];
    inputs.extend(case.others.iter().zip(&others).map(|(s, v)| Input::Trainable(s, v)));
    let record = |t: &mut Tape, v: &[Value]| {
        let mut v = v.to_vec();
        v[0] = add::add(t, v[0], v[0])?;
        let y = (case.record)(t, &v)?;
        Ok(vec![add::add(t, y, y)?])
    };
    let shape = std::cell::RefCell::new(Vec::new());
    let measure = |t: &mut Tape, v: &[Value]| {
        let y = record(t, v)?;
        *shape.borrow_mut() = t.shape(y[0]).to_vec();
        Ok(y)
    };
    run_in(gpu, variant, Precision::F32, &inputs, &[&[]], measure).unwrap();
    let seed = halves(len(&shape.borrow()), 9);
    run_in(gpu, variant, precision, &inputs, &[&seed], record).unwrap()
}

/// Twice what was rounded to half precision once: by less than a unit in its last place, of which the smallest are
/// equally far apart.
fn rounded(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let mut differ = 0;
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let unit = (want.abs() * 2f32.powi(-10)).max(2.0 * 2f32.powi(-24));
        assert!((got - want).abs() <= unit, "{what}[{i}]: {got}, in floats {want}");
        differ += usize::from(got != want);
    }
    println!("{what}: {differ} of {} rounded", got.len());
}

#[test]
fn maps_are_stored_in_half_precision() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let mut halved = BTreeSet::new();
        let cooperative = gpu.report().cooperative_variant();
        for variant in variants(gpu).into_iter().chain(cooperative) {
            for case in cases() {
                let [full, half] =
                    [Precision::F32, Precision::F16].map(|p| run(gpu, variant, p, &case));
                let name = |what: &str| format!("{variant:?} {} {:?} {what}", case.name, case.x);
                rounded(&name("y"), &half.outputs[0], &full.outputs[0]);
                rounded(&name("grad_x"), &half.grads[0], &full.grads[0]);
                assert!(half.grads[1..] == full.grads[1..], "{}", name("other gradients"));
                assert!(full.kernels.iter().all(|k| k.half == 0));
                halved
                    .extend(half.kernels.iter().filter(|k| k.half != 0).map(|k| k.shader.label()));
            }
        }
        let can = ops::shaders().into_iter().filter(|s| s.half().unwrap() != 0);
        let here = can.map(Shader::label).filter(|label| {
            let of_subgroups = label.contains("subgroup") || label.contains("winograd");
            (cooperative.is_some() || !label.contains("cooperative"))
                && (!of_subgroups || gpu.report().subgroup_variant().is_some())
        });
        assert_eq!(halved, here.collect(), "what ran in half precision, and what can");
    }
}

/// A map that another kernel reads as floats, and one that is kept, stay so.
#[test]
fn what_not_every_kernel_reads_so_stays_in_floats() {
    let Some(gpu) = gpu(false) else { return };
    let x = halves(32, 1);
    let outcome = run_in(
        gpu,
        Variant::Simple,
        Precision::F16,
        &[Input::Constant(&[8, 4], &x)],
        &[&[], &[]],
        |t, v| {
            let kept = activation::relu(t, v[0])?;
            let shared = activation::relu(t, kept)?;
            let y = activation::relu(t, shared)?;
            let scaled = affine::affine(t, shared, 1.0, 0.0)?;
            let sum = add::add(t, y, scaled)?;
            Ok(vec![kept, sum])
        },
    );
    let kernels = outcome.unwrap().kernels;
    // Of the sum's operands y alone.
    let halved: Vec<String> = kernels.iter().filter(|k| k.half != 0).map(Kernel::name).collect();
    assert_eq!(halved, ["activation.relu_vec4 f16:1", "add.forward_vec4 f16:0"]);
}

/// What no half holds is rounded to the nearest, ties to even, and from 65,520 on infinite, whatever the driver's own
/// conversion does: a loss scale is lowered when infinities are seen.
#[test]
fn stored_halves_are_the_nearest() {
    let Some(gpu) = gpu(false) else { return };
    let unit = 2f32.powi(-10);
    let smallest = 2f32.powi(-24);
    let mut x = vec![0.0, 65_504.0, 65_519.0, 65_519.996, 65_520.0, 65_535.0, 65_536.0, 7e4, 1e6];
    x.extend([f32::MAX, f32::INFINITY, f32::NAN, f32::MIN_POSITIVE]);
    // Ties, and what lies beside them; the last are beside the least normal half.
    x.extend([0.5, 0.500_01, 1.5, 1.499_99, 2.5, 1023.5].map(|units| 1.0 + units * unit));
    x.extend([0.5, 0.500_01, 0.499_99, 1.0, 1.5, 2.5, 512.5, 1023.4, 1023.5].map(|u| u * smallest));
    for power in -16..16 {
        x.extend(fill(100, power as u64).iter().map(|v| v * 2f32.powi(power)));
    }
    x = x.iter().flat_map(|v| [*v, -v]).collect();
    x.resize(x.len().next_multiple_of(4), 1.0);
    let (shape, nothing) = ([x.len()], vec![-0.0; x.len()]);
    let inputs = [Input::Constant(&shape, &x), Input::Constant(&shape, &nothing)];
    let outcome = run_in(gpu, Variant::Simple, Precision::F16, &inputs, &[&[]], |t, v| {
        let stored = add::add(t, v[0], v[1])?;
        Ok(vec![add::add(t, stored, v[1])?])
    })
    .unwrap();
    assert!(outcome.kernels.iter().any(|k| k.half != 0));
    for (x, got) in x.iter().zip(&outcome.outputs[0]) {
        let want = f16::from_f32(*x).to_f32();
        // Subnormal halves may read as zero.
        let zero = *got == 0.0 && want.abs() < 1024.0 * smallest;
        assert!(zero || *got == want || (got.is_nan() && want.is_nan()), "{x}: {got}, not {want}");
    }
}
