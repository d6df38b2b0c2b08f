use crate::harness::{Input, Outcome, close, fill, gpu, run_case, variants, wide};
use crate::reference::{Out, batch_norm as reference};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::batch_norm::{batch_norm, batch_norm_eval};
use anomem::ops::{activation::relu, add::add};
use proptest::prelude::*;

/// The kernels differ between GPUs (interleaved chunks, sums by a workgroup) and software drivers.
const VARIANTS: [Variant; 2] = [Variant::Simple, Variant::Tiled];

const EPS: f32 = 1e-3;

/// Channels that differ in mean and spread.
struct Case {
    shape: Vec<usize>,
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
    grad: Vec<f32>,
}

fn case(shape: &[usize], seed: u64) -> Case {
    let (len, c) = (shape.iter().product(), *shape.last().unwrap());
    let (offset, spread) = (fill(c, seed + 1), fill(c, seed + 2));
    let mut x = fill(len, seed);
    for (i, x) in x.iter_mut().enumerate() {
        *x = *x * (1.5 + spread[i % c]) + 2.0 * offset[i % c];
    }
    Case {
        shape: shape.to_vec(),
        x,
        gamma: fill(c, seed + 3),
        beta: fill(c, seed + 4),
        mean: fill(c, seed + 5),
        variance: fill(c, seed + 6).iter().map(|v| v + 1.1).collect(),
        grad: fill(len, seed + 7),
    }
}

impl Case {
    fn inputs(&self) -> [Input<'_>; 5] {
        let c = &self.shape[self.shape.len() - 1..];
        [
            Input::Trainable(&self.shape, &self.x),
            Input::Trainable(c, &self.gamma),
            Input::Trainable(c, &self.beta),
            Input::Constant(c, &self.mean),
            Input::Constant(c, &self.variance),
        ]
    }

    fn train(&self, gpu: &Gpu, variant: Variant) -> Outcome {
        run_case(gpu, variant, &self.inputs(), &[&self.grad], |t, v| {
            Ok(vec![batch_norm(t, v[0], v[1], v[2], EPS, Some((v[3], v[4])))?])
        })
        .unwrap()
    }

    fn eval(&self, gpu: &Gpu, variant: Variant) -> Outcome {
        run_case(gpu, variant, &self.inputs(), &[&self.grad], |t, v| {
            Ok(vec![batch_norm_eval(t, v[0], v[1], v[2], v[3], v[4], EPS)?])
        })
        .unwrap()
    }

    /// Worst error / allowance of the training pass.
    fn check_train(&self, gpu: &Gpu, variant: Variant) -> f64 {
        let got = self.train(gpu, variant);
        let (x, gamma, beta) = (wide(&self.x), wide(&self.gamma), wide(&self.beta));
        let eps = f64::from(EPS);
        let s = reference::statistics(&x, gamma.len());
        let of_batch = (s.mean.value.as_slice(), s.variance.value.as_slice());
        let y = reference::forward(&x, &gamma, &beta, eps);
        let grads = reference::backward(&x, &gamma, of_batch, &wide(&self.grad), eps, true);
        [
            close("y", &got.outputs[0], &y, DEPTH),
            close("grad_x", &got.grads[0], &grads.x, DEPTH),
            close("grad_gamma", &got.grads[1], &grads.gamma, DEPTH),
            close("grad_beta", &got.grads[2], &grads.beta, DEPTH),
            close("batch mean", &got.inputs[3], &s.mean, DEPTH),
            close("batch variance", &got.inputs[4], &s.unbiased, DEPTH),
        ]
        .into_iter()
        .map(|r| r.unwrap_or_else(|e| panic!("{:?} {variant:?}: {e}", self.shape)))
        .fold(0.0, f64::max)
    }

    fn check_eval(&self, gpu: &Gpu, variant: Variant) -> f64 {
        let got = self.eval(gpu, variant);
        let (x, gamma, beta) = (wide(&self.x), wide(&self.gamma), wide(&self.beta));
        let (mean, variance) = (wide(&self.mean), wide(&self.variance));
        let (given, eps) = ((mean.as_slice(), variance.as_slice()), f64::from(EPS));
        let y = reference::normalise(&x, &gamma, &beta, given, eps);
        let grads = reference::backward(&x, &gamma, given, &wide(&self.grad), eps, false);
        assert_eq!(got.inputs[3], self.mean, "given statistics stay");
        [
            close("y", &got.outputs[0], &y, DEPTH),
            close("grad_x", &got.grads[0], &grads.x, DEPTH),
            close("grad_gamma", &got.grads[1], &grads.gamma, DEPTH),
            close("grad_beta", &got.grads[2], &grads.beta, DEPTH),
        ]
        .into_iter()
        .map(|r| r.unwrap_or_else(|e| panic!("{:?} {variant:?} eval: {e}", self.shape)))
        .fold(0.0, f64::max)
    }

    /// Worst error / allowance of the pass that ends a residual block: a sum behind the batch norm, on either side of
    /// which it stands, with a ReLU or without.
    fn check_residual(&self, gpu: &Gpu, variant: Variant) -> f64 {
        let skip = fill(self.x.len(), 99);
        let mut inputs = self.inputs().into_iter().collect::<Vec<_>>();
        inputs.push(Input::Trainable(&self.shape, &skip));
        let given = (&*wide(&self.mean), &*wide(&self.variance));
        let (x, gamma, beta, eps) =
            (wide(&self.x), wide(&self.gamma), wide(&self.beta), f64::from(EPS));
        let mut sum = reference::normalise(&x, &gamma, &beta, given, eps);
        for ((value, mag), skip) in sum.value.iter_mut().zip(&mut sum.mag).zip(wide(&skip)) {
            *value += skip;
            *mag += skip.abs();
        }
        let mut worst = 0f64;
        for (with_relu, norm_first) in [(false, true), (true, false)] {
            let got = run_case(gpu, variant, &inputs, &[&self.grad], |t, v| {
                let y = batch_norm_eval(t, v[0], v[1], v[2], v[3], v[4], EPS)?;
                let sum = if norm_first { add(t, y, v[5])? } else { add(t, v[5], y)? };
                Ok(vec![if with_relu { relu(t, sum)? } else { sum }])
            })
            .unwrap();
            let ran: Vec<String> = got.kernels.iter().map(|k| k.name()).collect();
            let passes = ["add.", "batch_norm.forward", "relu_vec4 ", "relu "];
            assert!(!ran.iter().any(|k| passes.iter().any(|p| k.contains(p))), "{ran:?}");
            assert_eq!(ran.iter().filter(|k| k.contains("residual")).count(), 1, "{ran:?}");
            let mut want = Out { value: sum.value.clone(), mag: sum.mag.clone() };
            let mut grad = wide(&self.grad);
            if with_relu {
                want.value.iter_mut().for_each(|v| *v = v.max(0.0));
                // Where the sum rounds to 0, on the side that the kernel saw.
                let open = got.outputs[0].iter().map(|v| *v > 0.0);
                grad.iter_mut().zip(open).filter(|(_, open)| !open).for_each(|(g, _)| *g = 0.0);
            }
            let grads = reference::backward(&x, &gamma, given, &grad, eps, false);
            let skipped: Vec<f32> = grad.iter().map(|g| *g as f32).collect();
            assert_eq!(got.grads[5], skipped, "grad_skip");
            let each = [
                close("sum", &got.outputs[0], &want, DEPTH),
                close("grad_x", &got.grads[0], &grads.x, DEPTH),
                close("grad_gamma", &got.grads[1], &grads.gamma, DEPTH),
                close("grad_beta", &got.grads[2], &grads.beta, DEPTH),
            ];
            for of in each {
                worst =
                    worst.max(of.unwrap_or_else(|e| panic!("{:?} {variant:?}: {e}", self.shape)));
            }
        }
        worst
    }
}

/// Roundings on the way of a term: the sums here are of few hundred terms, whose errors grow with
/// the square root of their number and are far below the sum of magnitudes.
const DEPTH: f64 = 3.0;

/// All sizes different, scalar and vec4; all equal; the least; one under, at and over a workgroup of
/// channels, of quads and of chunk rows; rows that leave a short last chunk; many chunks.
const SHAPES: &[&[usize]] = &[
    &[2, 3, 5, 7],
    &[3, 2, 5, 8],
    &[4, 4, 4, 4],
    &[2, 1],
    &[3, 63],
    &[2, 64],
    &[3, 65],
    &[5, 252],
    &[6, 256],
    &[3, 260],
    &[15, 5],
    &[16, 4],
    &[17, 6],
    &[3, 11, 12],
    &[1999, 3],
    &[2, 41, 31, 4],
    &[70_001, 1],
];

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in VARIANTS {
            let mut worst = [0f64; 3];
            for (i, shape) in SHAPES.iter().enumerate() {
                let case = case(shape, 10 * i as u64);
                worst[0] = worst[0].max(case.check_train(gpu, variant));
                worst[1] = worst[1].max(case.check_eval(gpu, variant));
                worst[2] = worst[2].max(case.check_residual(gpu, variant));
            }
            println!("batch_norm {variant:?}: worst {worst:.3?} of the allowance");
        }
    }
}

#[test]
fn evaluation_takes_a_single_row() {
    let Some(gpu) = gpu(false) else { return };
    for variant in VARIANTS {
        case(&[1, 1], 1).check_eval(gpu, variant);
        case(&[1, 1, 1, 8], 2).check_eval(gpu, variant);
    }
}

#[test]
fn more_workgroups_than_one_dimension_holds() {
    let Some(gpu) = gpu(false) else { return };
    // Chunks have 16 rows or more: two rows take one invocation per channel.
    case(&[2, 65_535 * 64 + 1], 3).check_train(gpu, Variant::Simple);
}

#[test]
fn variance_survives_a_mean_far_from_zero() {
    let Some(gpu) = gpu(false) else { return };
    for (variant, c) in VARIANTS.into_iter().flat_map(|v| [(v, 3), (v, 4)]) {
        let mut case = case(&[700, c], 5);
        case.x = fill(700 * c, 6).iter().map(|v| 1000.0 + v).collect();
        case.check_train(gpu, variant);
        // A constant channel has no variance at all.
        case.x.iter_mut().step_by(c).for_each(|v| *v = 777.25);
        let got = case.train(gpu, variant);
        assert_eq!((got.inputs[3][0], got.inputs[4][0]), (777.25, 0.0));
        assert_eq!(got.outputs[0][0], case.beta[0]);
    }
}

#[test]
fn without_receivers_and_with_single_gradients() {
    let Some(gpu) = gpu(false) else { return };
    let case = case(&[5, 7, 12], 7);
    let all = [case.train(gpu, Variant::Tiled), case.eval(gpu, Variant::Tiled)];
    for wanted in 0..3 {
        let c = &case.shape[2..];
        let input = |i: usize, shape, data| match i == wanted {
            true => Input::Trainable(shape, data),
            false => Input::Constant(shape, data),
        };
        let inputs = [
            input(0, &case.shape, &case.x),
            input(1, c, &case.gamma),
            input(2, c, &case.beta),
            Input::Constant(c, &case.mean),
            Input::Constant(c, &case.variance),
        ];
        let train = run_case(gpu, Variant::Tiled, &inputs, &[&case.grad], |t, v| {
            Ok(vec![batch_norm(t, v[0], v[1], v[2], EPS, None)?])
        });
        let eval = run_case(gpu, Variant::Tiled, &inputs, &[&case.grad], |t, v| {
            Ok(vec![batch_norm_eval(t, v[0], v[1], v[2], v[3], v[4], EPS)?])
        });
        for (got, all) in [train.unwrap(), eval.unwrap()].iter().zip(&all) {
            assert_eq!(got.outputs, all.outputs);
            assert_eq!(got.grads[wanted], all.grads[wanted]);
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_the_shapes() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |x: &[usize], c: &[usize], eps: f32, eval: bool| {
        let len = |s: &[usize]| s.iter().product::<usize>();
        let (data, vector) = (fill(len(x), 1), fill(len(c), 2));
        let inputs = [Input::Trainable(x, &data), Input::Trainable(c, &vector)];
        run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| {
            Ok(vec![match eval {
                true => batch_norm_eval(t, v[0], v[1], v[1], v[1], v[1], eps)?,
                false => batch_norm(t, v[0], v[1], v[1], eps, None)?,
            }])
        })
        .err()
        .unwrap()
        .to_string()
    };
    assert_eq!(fails(&[2, 3], &[2], EPS, false), "batch_norm: x [2, 3], gamma [2]: expected [3]");
    let e = fails(&[2, 3], &[1, 3], EPS, true);
    assert_eq!(e, "batch_norm_eval: x [2, 3], gamma [1, 3]: expected [3]");
    assert_eq!(fails(&[3], &[3], EPS, false), "batch_norm: x [3]: expected [.., C]");
    assert!(fails(&[1, 1, 3], &[3], EPS, false).contains("[1, 1, 3]: the variance of a batch"));
    assert!(fails(&[2, 3], &[3], 0.0, false).contains("eps 0"));
    assert!(fails(&[0, 3], &[3], EPS, false).contains("at least 1"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_shape(a in 1usize..40, b in 2usize..20, c in 1usize..30, seed in 0u64..1000) {
        if let Some(gpu) = gpu(false) {
            for variant in variants(gpu) {
                case(&[a, b, c], seed).check_train(gpu, variant);
                case(&[b, a, c], seed).check_eval(gpu, variant);
            }
        }
    }
}
