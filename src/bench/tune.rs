//! From which sizes on which kernels are faster on this adapter: `anomem tune`.
//!
//! Each number of a [`Tuning`] is tried at several values, the others as they are. Where a value leads to other launches
//! for a layer, their result is compared and their time taken, in turn with those of the value in use, so that a load
//! that comes and goes meets both.

use super::kernels::{TOLERANCE, relative, seconds, start, values_of};
use super::shapes::{Case, Convolution, Layers, RESNET_224, TINY_64};
use super::{Clock, sized};
use crate::autograd::{Plan, Tape, Value, launch_alike};
use crate::gpu::{AdapterClass, Gpu, KernelChoice, THRESHOLDS, Threshold, Tuning};
use crate::ops::conv2d::conv2d;
use crate::tensor::{Element, Store, VarId};
use crate::{Error, Result};
use std::time::{Duration, Instant};

/// A value replaces the one in use where it shortens the passes that it changes by this share or more, and by so many
/// standard errors of what the value in use seems to gain over itself.
const WORTH: f64 = 0.03;
const ERRORS: f64 = 3.0;

/// What is tried, by the keys of [`THRESHOLDS`].
const VALUES: &[(&str, &[u64])] = &[
    // None with which the tests' small products would wait for the wide tile's compilation.
    ("subgroup.wide_from", &[1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 60]),
    ("subgroup.split_workgroups", &[4, 8, 16, 32, 64]),
    ("subgroup.split_pixels", &[32, 64, 128, 256]),
    ("workgroup.narrow_to", &[0, 8, 16, 32]),
    ("workgroup.middle_to", &[16, 32, 64, 128]),
    ("workgroup.split_workgroups", &[128, 256, 512, 1024, 2048]),
    ("workgroup.split_pixels", &[64, 128, 256, 512, 1024]),
    ("winograd.two_channels", &[16, 32, 64, 128, 256, 2048]),
    ("winograd.four_channels", &[16, 32, 64, 128, 256, 2048]),
    ("winograd.chunk_bytes", &[2 << 20, 4 << 20, 8 << 20, 32 << 20]),
];

/// Of ResNet-18 and ResNet-50 on 32 x 32.
const CIFAR: Layers = &[
    [32, 3, 64, 3, 1],
    [32, 32, 32, 3, 1],
    [32, 64, 64, 3, 1],
    [32, 64, 128, 3, 2],
    [16, 128, 128, 3, 1],
    [8, 256, 256, 3, 1],
    [4, 512, 512, 3, 1],
    [32, 64, 256, 1, 1],
    [32, 256, 64, 1, 1],
    [8, 1024, 256, 1, 1],
];

/// What one number was tried at.
#[derive(Debug, Clone)]
pub struct TunedRow {
    /// Its key in a file.
    pub key: &'static str,
    /// In use before.
    pub before: u64,
    /// Best, or the one in use where none is better by more than noise.
    pub chosen: u64,
    /// Every value but the one in use.
    pub values: Vec<TunedValue>,
    /// What one pass's time varies by from run to run, as a share.
    pub noise: f64,
}

/// A value that was tried.
#[derive(Debug, Clone, Copy)]
pub struct TunedValue {
    /// The value.
    pub value: u64,
    /// Passes of layers that run otherwise with it.
    pub passes: usize,
    /// Their time by that with the value in use, geometric mean.
    pub time: f64,
}

impl TunedValue {
    /// Logarithm of how much faster all passes together are.
    fn gain(&self) -> f64 {
        -self.time.ln() * self.passes as f64
    }

    /// Whether that is more than chance.
    fn is_faster(&self, noise: f64) -> bool {
        let error = noise / (self.passes as f64).sqrt();
        self.passes > 0 && -self.time.ln() >= WORTH.max(ERRORS * error)
    }
}

/// How often a pass is run at least, and for how long.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: usize,
    time: Duration,
}

/// Tries every number that makes a difference on this adapter, and returns the best ones. `quick`: on few small layers,
/// which shows that it works and little more.
///
/// # Errors
/// Results that differ by more than rounding, faults of the GPU, what `row` says.
pub fn tune(
    gpu: &Gpu,
    quick: bool,
    row: &mut dyn FnMut(&TunedRow) -> Result<()>,
) -> Result<Tuning> {
    let layers = layers(gpu.report().class, quick);
    let effort = if quick {
        Effort { rounds: 3, time: Duration::from_millis(20) }
    } else {
        Effort { rounds: 3, time: Duration::from_millis(300) }
    };
    let mut tuning = gpu.report().tuning;
    for threshold in THRESHOLDS {
        let tried = vary(gpu, tuning, threshold, &layers, effort)?;
        if tried.values.iter().any(|v| v.passes > 0) {
            *(threshold.of)(&mut tuning) = tried.chosen;
            row(&tried)?;
        }
    }
    Ok(tuning)
}

fn layers(class: AdapterClass, quick: bool) -> Vec<Convolution> {
    // Batches, as in training: Winograd's points of the weights are worth it only among many images, but one image must
    // come to the same bits as among others.
    let parts = [
        (TINY_64, sized(class, 32, 256)),
        (CIFAR, sized(class, 32, 128)),
        (RESNET_224, sized(class, 8, 32)),
    ];
    let parts = if quick { &parts[..1] } else { &parts };
    let layer = |[size, channels, out, kernel, stride]: [usize; 5], images| Convolution {
        network: "tune",
        images,
        size,
        channels,
        out,
        kernel,
        stride,
    };
    let of = |(layers, images): &(&[[usize; 5]], usize)| {
        layers.iter().map(|sizes| layer(*sizes, *images)).collect::<Vec<_>>()
    };
    parts.iter().flat_map(of).collect()
}

/// Tries one number, the others as in `tuning`.
fn vary(
    gpu: &Gpu,
    tuning: Tuning,
    threshold: &Threshold,
    layers: &[Convolution],
    effort: Effort,
) -> Result<TunedRow> {
    let Threshold { key, of, .. } = threshold;
    let with = |value| {
        let mut other = tuning;
        *of(&mut other) = value;
        other
    };
    let before = *of(&mut tuning.clone());
    let listed = VALUES.iter().find(|(listed, _)| listed == key).map_or(&[][..], |(_, v)| *v);
    let usable = |v: &u64| *v != before && with(*v).validate().is_ok();
    let values: Vec<u64> = listed.iter().copied().filter(usable).collect();
    let tunings: Vec<Tuning> = [before].iter().chain(&values).map(|v| with(*v)).collect();
    // Of each value but the one in use, the logarithms of its times by that one's.
    let mut ratios = vec![Vec::new(); values.len()];
    let mut noises = Vec::new();
    for layer in layers {
        for pass in Case::Convolution(*layer).passes() {
            let Some((of_pass, noise)) = compare(gpu, layer, pass, &tunings, effort)? else {
                continue;
            };
            ratios.iter_mut().zip(of_pass).for_each(|(all, one)| all.extend(one));
            noises.push(noise);
        }
    }
    let values: Vec<TunedValue> = values
        .iter()
        .zip(ratios)
        .map(|(value, ratios)| {
            let mean = ratios.iter().sum::<f64>() / ratios.len().max(1) as f64;
            TunedValue { value: *value, passes: ratios.len(), time: mean.exp() }
        })
        .collect();
    let squares: f64 = noises.iter().map(|noise| noise * noise).sum();
    let noise = (squares / noises.len().max(1) as f64).sqrt();
    Ok(TunedRow { key, before, chosen: choose(before, noise, &values), values, noise })
}

/// The value that gains most, of those that gain more than noise.
fn choose(before: u64, noise: f64, values: &[TunedValue]) -> u64 {
    let better = values.iter().filter(|v| v.is_faster(noise));
    better.max_by(|a, b| a.gain().total_cmp(&b.gain())).map_or(before, |best| best.value)
}

/// A layer whose passes are recorded.
struct Layer {
    sizes: Convolution,
    store: Store,
    x: VarId,
    weight: VarId,
    /// The gradient of y.
    seed: VarId,
}

impl Layer {
    fn new(c: &Convolution) -> Result<Self> {
        let mut store = Store::new();
        let mut declare = |name: &str, shape: &[usize]| {
            let slab = store.slab(name);
            store.declare(slab, name, shape, Element::F32, name != "seed")
        };
        let x = declare("x", &[c.images, c.size, c.size, c.channels])?;
        let weight = declare("weight", &[c.kernel, c.kernel, c.channels, c.out])?;
        let seed = declare("seed", &[c.images, c.out_size(), c.out_size(), c.out])?;
        Ok(Self { sizes: *c, store, x, weight, seed })
    }

    /// Records a pass; also what it computes.
    fn record(&self, kernels: KernelChoice, pass: &str) -> Result<(Tape, Value)> {
        let mut t = Tape::new(kernels);
        let graded = if pass == "grad_x" { self.x } else { self.weight };
        t.freeze(if graded == self.x { self.weight } else { self.x });
        let [x, weight, seed] =
            [self.x, self.weight, self.seed].map(|id| t.variable(&self.store, id));
        let mut out = conv2d(&mut t, x, weight, self.sizes.stride, self.sizes.padding())?;
        if pass != "y" {
            let none = || Error::Internal(format!("tune: {pass} is not recorded"));
            out = t.backward(&[(out, seed)])?.get(graded).ok_or_else(none)?;
        }
        t.keep(out);
        Ok((t, out))
    }

    fn upload(&mut self, gpu: &Gpu) -> Result<()> {
        self.store.allocate(gpu)?;
        for id in [self.x, self.weight, self.seed] {
            let v = self.store.variable(id);
            let values = values_of(&v.name, v.len());
            self.store.upload(gpu, id, &values)?;
        }
        Ok(())
    }
}

/// Of each tuning but the first, the logarithm of the pass's time by that with the first, and nothing where it runs the
/// same; and the same of the first by itself. Nothing at all where all run the same.
fn compare(
    gpu: &Gpu,
    sizes: &Convolution,
    pass: &str,
    tunings: &[Tuning],
    effort: Effort,
) -> Result<Option<(Vec<Option<f64>>, f64)>> {
    let mut layer = Layer::new(sizes)?;
    let variant = gpu.report().variant();
    let mut different: Vec<(Tape, Value)> = Vec::new();
    // Which of them each tuning is.
    let mut which = Vec::new();
    for tuning in tunings {
        let recorded = layer.record(KernelChoice { variant, tuning: *tuning }, pass)?;
        let known = different.iter().position(|(tape, _)| launch_alike(tape, &recorded.0));
        which.push(known.unwrap_or(different.len()));
        if known.is_none() {
            different.push(recorded);
        }
    }
    if different.len() == 1 {
        return Ok(None);
    }
    layer.upload(gpu)?;
    let mut plans: Vec<Plan> = Vec::new();
    let mut want: Vec<f32> = Vec::new();
    for (tape, out) in &different {
        let (plan, _) = start(gpu, tape, &layer.store)?;
        let got = plan.read(gpu, *out)?;
        if plans.is_empty() {
            want = got;
        } else {
            let difference = relative(&got, &want);
            if difference > TOLERANCE {
                let name = Case::Convolution(*sizes).name();
                return Err(Error::Internal(format!(
                    "{name}, {pass}: kernels differ by {difference:.1e} of the greatest value"
                )));
            }
        }
        plans.push(plan);
    }
    let clock = Clock::of(gpu);
    let (begin, mut rounds) = (Instant::now(), Vec::new());
    while rounds.len() < effort.rounds || begin.elapsed() < effort.time {
        // The first comes last as well: what drifts in between is halved, and it is told from itself.
        let in_turn = plans.iter().chain(&plans[..1]);
        let times = in_turn.map(|plan| Ok(seconds(gpu, clock, plan)?.ln()));
        rounds.push(times.collect::<Result<Vec<f64>>>()?);
    }
    let median = |of: &dyn Fn(&[f64]) -> f64| {
        let mut list: Vec<f64> = rounds.iter().map(|times| of(times)).collect();
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    let last = plans.len();
    let ratio = |plan: usize| median(&|times| times[plan] - 0.5 * (times[0] + times[last]));
    let ratios = which[1..].iter().map(|plan| (*plan > 0).then(|| ratio(*plan))).collect();
    Ok(Some((ratios, median(&|times| times[last] - times[0]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_threshold_is_tried_with_values_that_a_file_may_hold() {
        let keys: Vec<&str> = VALUES.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, THRESHOLDS.iter().map(|t| t.key).collect::<Vec<_>>());
        for ((key, values), Threshold { of, range: [least, most], .. }) in
            VALUES.iter().zip(THRESHOLDS)
        {
            assert!(values.iter().all(|v| (least..=most).contains(&v)), "{key}");
            for class in [AdapterClass::Software, AdapterClass::Integrated, AdapterClass::Discrete]
            {
                assert!(values.contains(of(&mut Tuning::built_in(class))), "{key}");
            }
        }
    }

    #[test]
    fn what_gains_less_than_noise_changes_nothing() {
        let value = |value, passes, time| TunedValue { value, passes, time };
        let noise = 0.01;
        assert_eq!(choose(1, noise, &[]), 1);
        assert_eq!(choose(1, noise, &[value(2, 9, 0.98), value(3, 0, 1.0), value(4, 9, 1.2)]), 1);
        assert_eq!(choose(1, noise, &[value(2, 9, 0.9), value(3, 2, 0.8)]), 2);
        assert_eq!(choose(1, noise, &[value(2, 9, 0.98), value(3, 2, 0.8)]), 3);
        // A loaded machine: 3 * 0.2 / sqrt(9).
        assert_eq!(choose(1, 0.2, &[value(2, 9, 0.83)]), 1);
        assert_eq!(choose(1, 0.2, &[value(2, 9, 0.80)]), 2);
    }

    #[test]
    fn layers_suit_the_adapter() {
        let of = |class, quick| layers(class, quick).len();
        assert_eq!(
            of(AdapterClass::Software, false),
            TINY_64.len() + CIFAR.len() + RESNET_224.len()
        );
        assert_eq!(of(AdapterClass::Discrete, true), TINY_64.len());
    }
}
