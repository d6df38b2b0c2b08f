//! One pass of an operation: recorded, compared with its plain twin, timed.

use super::shapes::{Case, RETRIEVAL_STEPS, gradient_of};
use super::{Bounds, Clock, KernelRow, Limit};
use crate::anomem::{Config, augmentation};
use crate::autograd::{Plan, PlanOptions, Tape, Value};
use crate::gpu::{Gpu, KernelChoice, Profile, Variant};
use crate::ops::activation::relu;
use crate::ops::add::add;
use crate::ops::augment::{self, Images};
use crate::ops::batch_norm::batch_norm;
use crate::ops::conv2d::conv2d;
use crate::ops::hopfield::{Gradient, HopfieldOptions, hopfield};
use crate::ops::matmul::matmul;
use crate::ops::nt_xent::{Negatives, NtXentOptions, nt_xent};
use crate::ops::optimizer::{Sgd, sgd};
use crate::tensor::{Element, Store, VarId};
use crate::{Error, Result};
use std::time::{Duration, Instant};

/// Greatest difference from the plain kernels that is rounding, by the greatest value: sums of up to 10^5
/// products in another order, and Winograd's points.
pub(super) const TOLERANCE: f64 = 1e-3;

/// The same where operands are rounded to half precision, by 2^-12 on average.
const TOLERANCE_OF_HALVES: f64 = 1e-2;

/// How long a pass is run again for, and how often at least and at most.
const TIMED: Duration = Duration::from_millis(300);
const LEAST_RUNS: usize = 3;
const MOST_RUNS: usize = 50;

/// A variable with the values that it will have.
pub(super) struct Filled {
    pub id: VarId,
    values: Vec<f32>,
}

/// Declares a variable of values from -1 to 1 that no stride repeats soon; others for another name.
///
/// # Errors
/// A name that exists, an empty shape.
pub(super) fn filled(
    store: &mut Store,
    name: &str,
    shape: &[usize],
    trainable: bool,
) -> Result<Filled> {
    let slab = store.slab(name);
    let id = store.declare(slab, name, shape, Element::F32, trainable)?;
    Ok(Filled { id, values: values_of(name, shape.iter().product()) })
}

/// What [`filled`] gives a variable of that name.
pub(super) fn values_of(name: &str, len: usize) -> Vec<f32> {
    let from = name.bytes().map(usize::from).sum::<usize>();
    (from..from + len).map(|i| (i as f32).sin()).collect()
}

impl Filled {
    /// The same values times `factor`.
    fn scaled(mut self, factor: f32) -> Self {
        self.values.iter_mut().for_each(|v| *v *= factor);
        self
    }

    /// Allocates what is not yet, writes the values and returns them.
    ///
    /// # Errors
    /// No memory left.
    pub(super) fn upload(self, gpu: &Gpu, store: &mut Store) -> Result<Vec<f32>> {
        store.allocate(gpu)?;
        store.upload(gpu, self.id, &self.values)?;
        Ok(self.values)
    }
}

/// A pass on the tape.
struct Recorded {
    tape: Tape,
    store: Store,
    outputs: Vec<Value>,
    /// Variables that the pass changes.
    changed: Vec<VarId>,
}

/// Measures one pass of a case.
///
/// # Errors
/// Results that differ from the plain kernels', faults of the GPU.
pub(super) fn measure(
    gpu: &Gpu,
    variant: Variant,
    clock: Clock,
    bounds: &Bounds,
    case: &Case,
    pass: &'static str,
) -> Result<KernelRow> {
    let name = case.name();
    let fast = record(gpu, variant, case, pass)?;
    let (plan, first) = start(gpu, &fast.tape, &fast.store)?;
    let difference = difference(gpu, &fast, &plan, case, pass)?;
    let tolerance = if variant == Variant::Cooperative { TOLERANCE_OF_HALVES } else { TOLERANCE };
    if let Some(difference) = difference.filter(|d| *d > tolerance) {
        return Err(Error::Internal(format!(
            "{name}, {pass}: differs from the plain kernels by {difference:.1e} of the greatest value"
        )));
    }
    let times = repeat(gpu, clock, &plan)?;
    let seconds = times[times.len() / 2];
    let (work, limit) = case.work(pass);
    let rate = work / seconds * 1e-9;
    let bound = match limit {
        Limit::Arithmetic => bounds.gflops,
        Limit::Memory => bounds.gb_s,
    };
    Ok(KernelRow {
        name,
        pass,
        dispatches: plan.dispatches(),
        first_ms: first * 1e3,
        ms: seconds * 1e3,
        rate,
        limit,
        share_of_bound: rate / bound,
        difference,
        mib: plan.temporary_bytes() as f64 / f64::from(1 << 20),
    })
}

/// Compiles a tape and runs it once: the plan, and the seconds of that run.
///
/// # Errors
/// Faults of the GPU.
pub(super) fn start(gpu: &Gpu, tape: &Tape, store: &Store) -> Result<(Plan, f64)> {
    let options = PlanOptions { label: "bench".into(), ..Default::default() };
    let plan = Plan::compile(gpu, tape, store, &options)?;
    let start = Instant::now();
    gpu.wait(plan.run(gpu)?)?;
    Ok((plan, start.elapsed().as_secs_f64()))
}

/// Seconds of each run of a plan that ran once already, least first.
///
/// # Errors
/// Faults of the GPU.
pub(super) fn repeat(gpu: &Gpu, clock: Clock, plan: &Plan) -> Result<Vec<f64>> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < LEAST_RUNS || times.len() < MOST_RUNS && start.elapsed() < TIMED {
        times.push(seconds(gpu, clock, plan)?);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Seconds of a run.
///
/// # Errors
/// Faults of the GPU.
pub(super) fn seconds(gpu: &Gpu, clock: Clock, plan: &Plan) -> Result<f64> {
    match clock {
        Clock::Timestamps => {
            let mut profile = Profile::new();
            plan.profile_step(gpu, &mut profile)?;
            Ok(profile.kernels().iter().map(|k| k.seconds).sum())
        }
        Clock::Host => {
            let start = Instant::now();
            gpu.wait(plan.run(gpu)?)?;
            Ok(start.elapsed().as_secs_f64())
        }
    }
}

/// The greatest difference of any output from that of the plain kernels, by that output's greatest value; none
/// where the plan consists of those.
fn difference(
    gpu: &Gpu,
    fast: &Recorded,
    plan: &Plan,
    case: &Case,
    pass: &'static str,
) -> Result<Option<f64>> {
    let plain = record(gpu, Variant::Simple, case, pass)?;
    let (plain_plan, _) = start(gpu, &plain.tape, &plain.store)?;
    let names = |plan: &Plan| plan.kernels().map(crate::gpu::Kernel::name).collect::<Vec<_>>();
    if names(plan) == names(&plain_plan) {
        return Ok(None);
    }
    let mut pairs = Vec::new();
    for (a, b) in fast.outputs.iter().zip(&plain.outputs) {
        pairs.push([plan.read::<f32>(gpu, *a)?, plain_plan.read(gpu, *b)?]);
    }
    for (a, b) in fast.changed.iter().zip(&plain.changed) {
        pairs.push([fast.store.download(gpu, *a)?, plain.store.download(gpu, *b)?]);
    }
    Ok(Some(pairs.iter().map(|[a, b]| relative(a, b)).fold(0.0, f64::max)))
}

/// The greatest difference by the greatest value of `want`; infinite where something is not finite.
pub(super) fn relative(got: &[f32], want: &[f32]) -> f64 {
    let largest = want.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
    let off = got.iter().zip(want).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    let off = off.fold(0f64, |m, v| if v.is_nan() { f64::INFINITY } else { m.max(v) });
    if off == 0.0 { 0.0 } else { off / largest }
}

/// Records a pass with the kernels of `variant`.
fn record(gpu: &Gpu, variant: Variant, case: &Case, pass: &'static str) -> Result<Recorded> {
    let kernels = KernelChoice { variant, tuning: gpu.report().tuning };
    let (mut tape, mut store) = (Tape::new(kernels), Store::new());
    let (t, s) = (&mut tape, &mut store);
    let mut changed = Vec::new();
    let (inputs, outputs) = match *case {
        Case::Convolution(c) => {
            let x = filled(s, "x", &[c.images, c.size, c.size, c.channels], pass == "grad_x")?;
            let of_weight = [c.kernel, c.kernel, c.channels, c.out];
            let weight = filled(s, "weight", &of_weight, pass == "grad_w")?;
            let [xv, wv] = [&x, &weight].map(|input| t.variable(s, input.id));
            let y = conv2d(t, xv, wv, c.stride, c.padding())?;
            finish(t, s, vec![x, weight], y, pass != "y")?
        }
        Case::Product { size } => {
            let (a, b) = (filled(s, "a", &[size; 2], false)?, filled(s, "b", &[size; 2], false)?);
            let [av, bv] = [&a, &b].map(|input| t.variable(s, input.id));
            let y = matmul(t, av, bv)?;
            finish(t, s, vec![a, b], y, false)?
        }
        Case::NtXent { rows, features } => {
            // Rows of length 1, nearly.
            let length = (2.0 / features as f32).sqrt();
            let back = pass != "loss";
            let shape = [rows / 2, features];
            let (a, b) = (filled(s, "a", &shape, back)?, filled(s, "b", &shape, back)?);
            let (a, b) = (a.scaled(length), b.scaled(length));
            let [av, bv] = [&a, &b].map(|input| t.variable(s, input.id));
            let options = NtXentOptions { tau: 0.1, positions: 1, negatives: Negatives::Joint };
            let loss = nt_xent(t, av, bv, &options, None)?;
            finish(t, s, vec![a, b], loss, back)?
        }
        Case::Hopfield { queries, slots, features } => {
            // Unit vectors, nearly: queries as an encoder gives them, and prototypes.
            let length = (2.0 / features as f32).sqrt();
            let gradient = gradient_of(pass);
            let back = gradient.is_some();
            let query = filled(s, "query", &[queries, features], back)?.scaled(length);
            let patterns = filled(s, "patterns", &[slots, features], back)?.scaled(length);
            let mut beta = filled(s, "beta", &[1], false)?;
            beta.values = vec![16.0];
            let [q, w, b] = [&query, &patterns, &beta].map(|input| t.variable(s, input.id));
            let options = HopfieldOptions {
                steps: RETRIEVAL_STEPS,
                tolerance: 0.0,
                renormalise: false,
                gradient: gradient.unwrap_or(Gradient::Unrolled),
            };
            let y = hopfield(t, q, w, b, &options)?.retrieved;
            finish(t, s, vec![query, patterns, beta], y, back)?
        }
        Case::BatchNorm { rows, channels } => {
            let x = filled(s, "x", &[rows, channels], pass != "y")?;
            let gamma = filled(s, "gamma", &[channels], pass != "y")?;
            let beta = filled(s, "beta", &[channels], pass != "y")?;
            let [xv, g, b] = [&x, &gamma, &beta].map(|input| t.variable(s, input.id));
            let y = batch_norm(t, xv, g, b, 1e-5, None)?;
            finish(t, s, vec![x, gamma, beta], y, pass != "y")?
        }
        Case::Relu { len } => {
            let x = filled(s, "x", &[len], pass != "y")?;
            let value = t.variable(s, x.id);
            let y = relu(t, value)?;
            finish(t, s, vec![x], y, pass != "y")?
        }
        Case::Add { len } => {
            let (a, b) = (filled(s, "a", &[len], false)?, filled(s, "b", &[len], false)?);
            let [av, bv] = [&a, &b].map(|input| t.variable(s, input.id));
            let y = add(t, av, bv)?;
            finish(t, s, vec![a, b], y, false)?
        }
        Case::Augment { images, size } => {
            let y = augmented(gpu, t, s, images, size)?;
            t.keep(y);
            (Vec::new(), vec![y])
        }
        Case::Sgd { len } => {
            let [param, grad, velocity, lr] =
                [("param", len), ("grad", len), ("velocity", len), ("lr", 1)]
                    .map(|(name, len)| filled(s, name, &[len], false));
            let (param, grad, velocity, lr) = (param?, grad?, velocity?, lr?.scaled(1e-3));
            let slab = s.slab("non_finite");
            let non_finite = s.declare(slab, "non_finite", &[1], Element::U32, false)?;
            let options = Sgd { momentum: 0.9, weight_decay: 5e-4, lr_scale: 1.0 };
            let [p, g, v, l] = [&param, &grad, &velocity, &lr].map(|i| t.variable(s, i.id));
            let non_finite = t.variable(s, non_finite);
            sgd(t, &options, p, g, v, l, non_finite)?;
            changed = vec![param.id, velocity.id];
            (vec![param, grad, velocity, lr], Vec::new())
        }
    };
    store.allocate(gpu)?;
    for input in inputs {
        input.upload(gpu, &mut store)?;
    }
    Ok(Recorded { tape, store, outputs, changed })
}

/// Keeps `y`, or the gradients of the trainable inputs that a gradient of `y` gives.
fn finish(
    t: &mut Tape,
    s: &mut Store,
    mut inputs: Vec<Filled>,
    y: Value,
    back: bool,
) -> Result<(Vec<Filled>, Vec<Value>)> {
    if !back {
        t.keep(y);
        return Ok((inputs, vec![y]));
    }
    let seed = filled(s, "seed", t.shape(y), false)?;
    let of_y = t.variable(s, seed.id);
    let grads = t.backward(&[(y, of_y)])?;
    let outputs: Vec<Value> = inputs.iter().filter_map(|input| grads.get(input.id)).collect();
    outputs.iter().for_each(|gradient| t.keep(*gradient));
    inputs.push(seed);
    Ok((inputs, outputs))
}

/// Two views of each image, with every change that the paper's training makes.
fn augmented(gpu: &Gpu, t: &mut Tape, s: &mut Store, images: usize, size: usize) -> Result<Value> {
    let shape = [images, size, size, 3];
    let slab = s.slab("images");
    let words = shape.iter().product::<usize>().div_ceil(4);
    let pixels = s.declare(slab, "pixels", &[words], Element::U32, false)?;
    let ids = s.declare(slab, "ids", &[images], Element::U32, false)?;
    let counters = s.declare(slab, "counters", &[4], Element::U32, false)?;
    s.allocate(gpu)?;
    // A multiplicative hash: every byte differs from its neighbours.
    let noise: Vec<u32> = (0..words as u32).map(|i| i.wrapping_mul(0x9E37_79B9)).collect();
    s.upload(gpu, pixels, &noise)?;
    s.upload(gpu, ids, &(0..images as u32).collect::<Vec<_>>())?;
    s.upload(gpu, counters, &[1_u32, 2, 3, 0])?;
    let [pixels, ids, counters] = [pixels, ids, counters].map(|id| t.variable(s, id));
    let options = augmentation(&Config::preset("resnet18")?);
    let draws = augment::draw(t, &options, counters, ids, 2)?;
    let (mean, std) = ([0.5; 3], [0.25; 3]);
    let source = Images { pixels, shape, size: [size; 2], statistics: None, mean, std };
    augment::views(t, &source, ids, draws, &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_and_nothing_hides() {
        assert_eq!(relative(&[1.0, -2.0], &[1.0, -2.0]), 0.0);
        assert_eq!(relative(&[1.0, -2.5], &[1.0, -2.0]), 0.25);
        assert_eq!(relative(&[f32::NAN], &[1.0]), f64::INFINITY);
        assert_eq!(relative(&[1.0], &[0.0]), f64::INFINITY);
    }
}
