//! Batch normalisation over all leading dimensions (Ioffe and Szegedy 2015, arXiv 1502.03167).
//!
//! Training: chunks of rows are summed up on their own, then joined in a fixed order; one more pass
//! normalises. Backward: the same two stages for gamma and beta, then one pass for x. The passes do the work of a
//! ReLU or of a residual block's sum behind them too, where a [plan](crate::autograd::Plan) finds one.

use super::{groups_for, launch_rows};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Variant, params, shader};
use crate::{Error, Result};

params! {
    /// Rows and channels, and how the rows are divided among invocations.
    pub struct Params {
        rows: u32,
        channels: u32,
        chunks: u32,
        chunk_stride: u32,
        row_stride: u32,
        chunk_rows: u32,
        eps: f32,
    }
}

static STATISTICS: Shader = shader!("batch_norm", "statistics", Params);
static STATISTICS_VEC4: Shader = shader!("batch_norm", "statistics_vec4", Params);
static STATISTICS_FINAL: Shader = shader!("batch_norm", "statistics_final", Params);
static FORWARD: Shader = shader!("batch_norm", "forward", Params);
static FORWARD_VEC4: Shader = shader!("batch_norm", "forward_vec4", Params);
static RESIDUAL: Shader = shader!("batch_norm", "residual", Params);
static RESIDUAL_VEC4: Shader = shader!("batch_norm", "residual_vec4", Params);
static BACKWARD_SUMS: Shader = shader!("batch_norm", "backward_sums", Params);
static BACKWARD_SUMS_VEC4: Shader = shader!("batch_norm", "backward_sums_vec4", Params);
static BACKWARD_FINAL: Shader = shader!("batch_norm", "backward_final", Params);
static BACKWARD_INPUT: Shader = shader!("batch_norm", "backward_input", Params);
static BACKWARD_INPUT_VEC4: Shader = shader!("batch_norm", "backward_input_vec4", Params);
static BACKWARD_EVAL: Shader = shader!("batch_norm", "backward_eval", Params);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[
    &STATISTICS,
    &STATISTICS_VEC4,
    &STATISTICS_FINAL,
    &FORWARD,
    &FORWARD_VEC4,
    &RESIDUAL,
    &RESIDUAL_VEC4,
    &BACKWARD_SUMS,
    &BACKWARD_SUMS_VEC4,
    &BACKWARD_FINAL,
    &BACKWARD_INPUT,
    &BACKWARD_INPUT_VEC4,
    &BACKWARD_EVAL,
];

/// The constants that the family restates, with every value.
pub(super) const RESTATED: &[Restated] = &[
    (&FORWARD, super::RELU_OR_NOT),
    (&FORWARD_VEC4, super::RELU_OR_NOT),
    (&RESIDUAL, super::RELU_OR_NOT),
    (&RESIDUAL_VEC4, super::RELU_OR_NOT),
    (&BACKWARD_SUMS, super::RELU_OR_NOT),
    (&BACKWARD_SUMS_VEC4, super::RELU_OR_NOT),
    (&BACKWARD_INPUT, super::RELU_OR_NOT),
    (&BACKWARD_INPUT_VEC4, super::RELU_OR_NOT),
];

/// The kernels that write `y`, their last binding, from `x`, their first.
pub(crate) const FORWARDS: [&Shader; 2] = [&FORWARD, &FORWARD_VEC4];

/// Each of these with the one that adds something to `y`, its last binding but one, and writes the sum.
pub(crate) const RESIDUALS: [(&Shader, &Shader); 2] =
    [(&FORWARD, &RESIDUAL), (&FORWARD_VEC4, &RESIDUAL_VEC4)];

/// The kernels that read the gradient of `y`, their first binding, and `x`, their second.
pub(crate) const BACKWARDS: [&Shader; 4] =
    [&BACKWARD_SUMS, &BACKWARD_SUMS_VEC4, &BACKWARD_INPUT, &BACKWARD_INPUT_VEC4];

/// Normalises each channel of `x: [.., C]` by the mean and the biased variance of this batch, taken
/// over all leading dimensions: `gamma (x - mean) / sqrt(variance + eps) + beta`.
///
/// `gamma` and `beta` are `[C]`. `batch_statistics` are two variables `[C]` that receive the mean
/// and the unbiased variance, which PyTorch averages for evaluation.
///
/// # Errors
/// `x` of less than two dimensions or of one row, another shape of the rest, `eps` not above 0.
pub fn batch_norm(
    tape: &mut Tape,
    x: Value,
    gamma: Value,
    beta: Value,
    eps: f32,
    batch_statistics: Option<(Value, Value)>,
) -> Result<Value> {
    let mut vectors = vec![("gamma", gamma), ("beta", beta)];
    if let Some((mean, variance)) = batch_statistics {
        vectors.extend([("batch mean", mean), ("batch variance", variance)]);
    }
    let layer = Layer::new("batch_norm", tape, x, &vectors, eps)?;
    if layer.rows == 1 {
        let shape = tape.shape(x);
        return Err(Error::shape(
            "batch_norm",
            format!("x {shape:?}: the variance of a batch needs at least 2 values per channel"),
        ));
    }
    let (mean, variance) = layer.statistics(tape, x, batch_statistics)?;
    let y = layer.forward(tape, x, [gamma, beta, mean, variance])?;
    tape.rule(y, &[x, gamma, beta], move |tape, grad_y, needs| {
        // The gradient to x passes through both statistics, so it needs both sums too.
        let sums = layer.backward_sums(tape, grad_y, x, [gamma, beta, mean, variance])?;
        let grad_x = match needs[0] {
            true => Some(layer.backward_input(tape, grad_y, x, [mean, beta, sums.slopes])?),
            false => None,
        };
        Ok(vec![grad_x, Some(sums.gamma), Some(sums.beta)])
    });
    Ok(y)
}

/// Normalises each channel of `x: [.., C]` by a given mean and variance, both `[C]` and constant:
/// the network outside of training. Gradients reach `x`, `gamma` and `beta`.
///
/// # Errors
/// `x` of less than two dimensions, another shape of the rest, `eps` not above 0.
pub fn batch_norm_eval(
    tape: &mut Tape,
    x: Value,
    gamma: Value,
    beta: Value,
    mean: Value,
    variance: Value,
    eps: f32,
) -> Result<Value> {
    let vectors = [("gamma", gamma), ("beta", beta), ("mean", mean), ("variance", variance)];
    let layer = Layer::new("batch_norm_eval", tape, x, &vectors, eps)?;
    let y = layer.forward(tape, x, [gamma, beta, mean, variance])?;
    tape.rule(y, &[x, gamma, beta], move |tape, grad_y, needs| {
        let (grad_gamma, grad_beta) = match needs[1] || needs[2] {
            true => {
                let sums = layer.backward_sums(tape, grad_y, x, [gamma, beta, mean, variance])?;
                (Some(sums.gamma), Some(sums.beta))
            }
            false => (None, None),
        };
        let grad_x = match needs[0] {
            true => Some(layer.backward_eval(tape, grad_y, gamma, variance)?),
            false => None,
        };
        Ok(vec![grad_x, grad_gamma, grad_beta])
    });
    Ok(y)
}

/// Gradients of gamma and beta, `[C]`, and what follows from them for that of x, `[3, C]`.
struct Sums {
    gamma: Value,
    beta: Value,
    slopes: Value,
}

/// What every launch of one layer shares.
#[derive(Clone)]
struct Layer {
    shape: Vec<usize>,
    rows: usize,
    channels: usize,
    eps: f32,
    variant: Variant,
}

impl Layer {
    fn new(op: &str, tape: &Tape, x: Value, vectors: &[(&str, Value)], eps: f32) -> Result<Self> {
        let shape = tape.shape(x).to_vec();
        let [leading @ .., channels] = shape.as_slice() else {
            return Err(Error::shape(op, format!("x {shape:?}: expected [.., C]")));
        };
        if leading.is_empty() {
            return Err(Error::shape(op, format!("x {shape:?}: expected [.., C]")));
        }
        for (name, v) in vectors {
            if tape.shape(*v) != [*channels] {
                let got = tape.shape(*v);
                return Err(Error::shape(
                    op,
                    format!("x {shape:?}, {name} {got:?}: expected [{channels}]"),
                ));
            }
        }
        if !(eps > 0.0 && eps.is_finite()) {
            return Err(Error::shape(op, format!("eps {eps}: expected a number above 0")));
        }
        let (rows, channels) = (leading.iter().product(), *channels);
        Ok(Self { shape, rows, channels, eps, variant: tape.variant() })
    }

    /// Channels that one invocation of the passes over `x` takes.
    fn width(&self) -> usize {
        if self.channels.is_multiple_of(4) { 4 } else { 1 }
    }

    /// Divides the rows so that about `invocations` share the work, each with `least` rows or more,
    /// but never with so many that a sum of them would lose digits or a loop would be cut short.
    fn split(&self, invocations: usize, least: usize) -> Params {
        const MOST: usize = 1024;
        let across = self.channels / self.width();
        let chunk_rows = self.rows.div_ceil((invocations / across).max(1)).clamp(least, MOST);
        let chunks = self.rows.div_ceil(chunk_rows);
        let (chunk_stride, row_stride) = match self.variant {
            // Neighbouring invocations read neighbouring rows.
            Variant::Tiled | Variant::Cooperative => (1, chunks),
            // A core reads on where it was.
            Variant::Simple | Variant::Subgroup { .. } => (chunk_rows, 1),
        };
        Params {
            rows: self.rows as u32,
            channels: self.channels as u32,
            chunks: chunks as u32,
            chunk_stride: chunk_stride as u32,
            row_stride: row_stride as u32,
            chunk_rows: chunk_rows as u32,
            eps: self.eps,
        }
    }

    /// For passes that sum: on a GPU 2^17 invocations keep its memory busy, and the partial sums
    /// stay a small share of what is read.
    fn sums(&self) -> Params {
        match self.variant {
            Variant::Tiled | Variant::Cooperative => self.split(1 << 17, 16),
            Variant::Simple | Variant::Subgroup { .. } => self.split(1 << 12, 16),
        }
    }

    /// For passes that write as much as they read.
    fn map(&self) -> Params {
        match self.variant {
            Variant::Tiled | Variant::Cooperative => self.split(1 << 19, 4),
            Variant::Simple | Variant::Subgroup { .. } => self.split(1 << 12, 16),
        }
    }

    /// One launch over all rows: one invocation per chunk and channel, or four channels.
    fn launch(
        &self,
        scalar: &'static Shader,
        vec4: &'static Shader,
        width: usize,
        p: &Params,
    ) -> Dispatch {
        let shader = if width == 4 { vec4 } else { scalar };
        Dispatch::new(Kernel::new(shader), p, groups_for(self.channels / width * p.chunks as usize))
    }

    fn launch_final(&self, shader: &'static Shader, p: &Params) -> Dispatch {
        launch_rows(shader, p, self.variant, [self.channels, p.chunks as usize, 2])
    }

    fn statistics(
        &self,
        tape: &mut Tape,
        x: Value,
        receivers: Option<(Value, Value)>,
    ) -> Result<(Value, Value)> {
        let p = self.sums();
        let (c, partial) = ([self.channels], [self.channels, p.chunks as usize]);
        let partial_mean = tape.temporary("batch_norm.partial_mean", &partial, Element::F32)?;
        let partial_squares =
            tape.temporary("batch_norm.partial_squares", &partial, Element::F32)?;
        let row0 = tape.temporary("batch_norm.row0", &c, Element::F32)?;
        let mean = tape.temporary("batch_norm.mean", &c, Element::F32)?;
        let variance = tape.temporary("batch_norm.variance", &c, Element::F32)?;
        // The receivers may be written again later in the step, by another pass over the same
        // layer, so backward reads its own copies.
        let (batch_mean, batch_variance) = match receivers {
            Some(both) => both,
            None => (
                tape.temporary("batch_norm.batch_mean", &c, Element::F32)?,
                tape.temporary("batch_norm.batch_variance", &c, Element::F32)?,
            ),
        };
        let launch = self.launch(&STATISTICS, &STATISTICS_VEC4, self.width(), &p);
        tape.dispatch(launch.read(x).write(partial_mean).write(partial_squares).write(row0));
        tape.dispatch(
            self.launch_final(&STATISTICS_FINAL, &p)
                .read(row0)
                .read(partial_mean)
                .read(partial_squares)
                .write(mean)
                .write(variance)
                .write(batch_mean)
                .write(batch_variance),
        );
        Ok((mean, variance))
    }

    /// `vectors`: gamma, beta, mean, variance.
    fn forward(&self, tape: &mut Tape, x: Value, vectors: [Value; 4]) -> Result<Value> {
        let y = tape.temporary("batch_norm", &self.shape, Element::F32)?;
        let launch = self.launch(&FORWARD, &FORWARD_VEC4, self.width(), &self.map()).read(x);
        tape.dispatch(vectors.into_iter().fold(launch, Dispatch::read).write(y));
        Ok(y)
    }

    /// `vectors`: gamma, beta, mean, variance.
    fn backward_sums(
        &self,
        tape: &mut Tape,
        grad_y: Value,
        x: Value,
        [gamma, beta, mean, variance]: [Value; 4],
    ) -> Result<Sums> {
        let p = self.sums();
        let (c, partial) = ([self.channels], [self.channels, p.chunks as usize]);
        let partial_gamma = tape.temporary("batch_norm.partial_gamma", &partial, Element::F32)?;
        let partial_beta = tape.temporary("batch_norm.partial_beta", &partial, Element::F32)?;
        let grad_gamma = tape.temporary("batch_norm.grad_gamma", &c, Element::F32)?;
        let grad_beta = tape.temporary("batch_norm.grad_beta", &c, Element::F32)?;
        let slopes = tape.temporary("batch_norm.slopes", &[3, self.channels], Element::F32)?;
        let launch = self.launch(&BACKWARD_SUMS, &BACKWARD_SUMS_VEC4, self.width(), &p);
        tape.dispatch(
            launch
                .read(grad_y)
                .read(x)
                .read(mean)
                .read(variance)
                .read(gamma)
                .read(beta)
                .write(partial_gamma)
                .write(partial_beta),
        );
        tape.dispatch(
            self.launch_final(&BACKWARD_FINAL, &p)
                .read(partial_gamma)
                .read(partial_beta)
                .read(gamma)
                .read(variance)
                .write(grad_gamma)
                .write(grad_beta)
                .write(slopes),
        );
        Ok(Sums { gamma: grad_gamma, beta: grad_beta, slopes })
    }

    /// `vectors`: mean, beta, slopes.
    fn backward_input(
        &self,
        tape: &mut Tape,
        grad_y: Value,
        x: Value,
        vectors: [Value; 3],
    ) -> Result<Value> {
        let grad_x = tape.temporary("batch_norm.grad_x", &self.shape, Element::F32)?;
        let launch = self.launch(&BACKWARD_INPUT, &BACKWARD_INPUT_VEC4, self.width(), &self.map());
        let launch = vectors.into_iter().fold(launch.read(grad_y).read(x), Dispatch::read);
        tape.dispatch(launch.write(grad_x));
        Ok(grad_x)
    }

    fn backward_eval(
        &self,
        tape: &mut Tape,
        grad_y: Value,
        gamma: Value,
        variance: Value,
    ) -> Result<Value> {
        let grad_x = tape.temporary("batch_norm.grad_x", &self.shape, Element::F32)?;
        let launch = self.launch(&BACKWARD_EVAL, &BACKWARD_EVAL, 1, &self.map());
        tape.dispatch(launch.read(grad_y).read(gamma).read(variance).write(grad_x));
        Ok(grad_x)
    }
}
