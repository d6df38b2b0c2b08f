//! Convolution, batch norm and linear layers.

use super::Mode;
use super::module::{Builder, Initial, Kind, Statistic};
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::ops::{batch_norm, conv2d, matmul};
use crate::tensor::{Store, VarId};

/// Added to the variance before the root, as in PyTorch.
const EPS: f32 = 1e-5;

/// A convolution without bias.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: VarId,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// `kernel` x `kernel`, He-initialised by its fan-out as torchvision's ResNets are; padded by
    /// half the kernel.
    ///
    /// # Errors
    /// A name that exists.
    pub fn new(
        b: &mut Builder<'_>,
        name: &str,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Result<Self> {
        let [input, output] = channels;
        let shape = [kernel, kernel, input, output];
        let initial = Initial::he_normal(output * kernel * kernel);
        let weight = b.parameter(&format!("{name}.weight"), &shape, Kind::Convolution, initial)?;
        Ok(Self { weight, stride, padding: kernel / 2 })
    }

    /// `[N, H, W, I]` to `[N, H/stride, W/stride, O]`.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn forward(&self, tape: &mut Tape, store: &Store, x: Value) -> Result<Value> {
        let weight = tape.variable(store, self.weight);
        conv2d::conv2d(tape, x, weight, self.stride, self.padding)
    }
}

/// Batch norm over the channels of an NHWC map.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    gamma: VarId,
    beta: VarId,
    mean: Statistic,
    variance: Statistic,
}

impl BatchNorm {
    /// Scale 1, shift 0, running mean 0 and variance 1.
    ///
    /// # Errors
    /// A name that exists.
    pub fn new(b: &mut Builder<'_>, name: &str, channels: usize) -> Result<Self> {
        let mut parameter = |suffix: &str, start: f32| {
            let name = format!("{name}.{suffix}");
            b.parameter(&name, &[channels], Kind::Plain, Initial::Constant(start))
        };
        let (gamma, beta) = (parameter("weight", 1.0)?, parameter("bias", 0.0)?);
        let mean = b.statistic(&format!("{name}.running_mean"), channels, 0.0)?;
        let variance = b.statistic(&format!("{name}.running_var"), channels, 1.0)?;
        Ok(Self { gamma, beta, mean, variance })
    }

    /// Normalises the channels of `x`.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn forward(&self, tape: &mut Tape, store: &Store, x: Value, mode: Mode) -> Result<Value> {
        let (gamma, beta) = (tape.variable(store, self.gamma), tape.variable(store, self.beta));
        let mut statistics = |of: fn(&Statistic) -> VarId| {
            [&self.mean, &self.variance].map(|s| tape.variable(store, of(s)))
        };
        match mode {
            Mode::Train => {
                let [mean, variance] = statistics(|s| s.batch);
                batch_norm::batch_norm(tape, x, gamma, beta, EPS, Some((mean, variance)))
            }
            Mode::Evaluate => {
                let [mean, variance] = statistics(|s| s.running);
                batch_norm::batch_norm_eval(tape, x, gamma, beta, mean, variance, EPS)
            }
        }
    }
}

/// x W^T + b.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: VarId,
    bias: VarId,
}

impl Linear {
    /// He-initialised by its fan-in; bias 0.
    ///
    /// # Errors
    /// A name that exists.
    pub fn new(b: &mut Builder<'_>, name: &str, input: usize, output: usize) -> Result<Self> {
        Self::starting(b, name, [input, output], Initial::he_normal(input), Initial::Constant(0.0))
    }

    /// Weights and bias uniform within 1/sqrt(fan-in), PyTorch's default: a fifth of He's outputs after two
    /// layers, for heads whose first scores should lie between their margins.
    ///
    /// # Errors
    /// A name that exists.
    pub fn uniform(b: &mut Builder<'_>, name: &str, input: usize, output: usize) -> Result<Self> {
        let initial = Initial::Uniform((input as f64).powf(-0.5));
        Self::starting(b, name, [input, output], initial.clone(), initial)
    }

    fn starting(
        b: &mut Builder<'_>,
        name: &str,
        [input, output]: [usize; 2],
        weight: Initial,
        bias: Initial,
    ) -> Result<Self> {
        let mut parameter = |suffix: &str, shape: &[usize], initial| {
            b.parameter(&format!("{name}.{suffix}"), shape, Kind::Plain, initial)
        };
        let weight = parameter("weight", &[output, input], weight)?;
        Ok(Self { weight, bias: parameter("bias", &[output], bias)? })
    }

    /// `[N, I]` to `[N, O]`.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn forward(&self, tape: &mut Tape, store: &Store, x: Value) -> Result<Value> {
        let (weight, bias) = (tape.variable(store, self.weight), tape.variable(store, self.bias));
        matmul::linear(tape, x, weight, bias)
    }
}
