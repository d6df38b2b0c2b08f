//! Updates of variables in place: SGD with Nesterov momentum, and running statistics.

use super::{groups_for, scalar_or_vec4};
use crate::autograd::{Dispatch, Tape, Value};
use crate::gpu::{Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `sgd`; the length counts elements, or vectors of four.
    pub struct SgdParams { len: u32, momentum: f32, weight_decay: f32, lr_scale: f32 }
}
params! {
    /// Params of `ema`; the length counts elements, or vectors of four.
    pub struct EmaParams { len: u32, momentum: f32 }
}

static SGD: Shader = shader!("optimizer", "sgd", SgdParams);
static SGD_VEC4: Shader = shader!("optimizer", "sgd_vec4", SgdParams);
static EMA: Shader = shader!("optimizer", "ema", EmaParams);
static EMA_VEC4: Shader = shader!("optimizer", "ema_vec4", EmaParams);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&SGD, &SGD_VEC4, &EMA, &EMA_VEC4];

/// Settings of [`sgd`], fixed when the step is recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Share of the velocity that a step keeps; 0 is plain SGD.
    pub momentum: f32,
    /// Decay added to the gradient, per unit of the parameter.
    pub weight_decay: f32,
    /// Multiplies the learning rate: 1, or less or more for a group of parameters.
    pub lr_scale: f32,
}

/// One step in the form of PyTorch's `torch.optim.SGD(nesterov=True)`, dampening 0:
/// `g = grad + weight_decay p; v = momentum v + g; p -= lr lr_scale (g + momentum v)`.
///
/// `param`, `grad` and `velocity`: f32 of one length; `lr`: f32 `[1]`; `non_finite`: u32 `[1]`, and
/// where it is not 0 nothing changes. Writes `param` and `velocity`. A velocity of zeros starts as
/// PyTorch does.
///
/// # Errors
/// Lengths that differ, or an `lr` or `non_finite` of more than one element.
pub fn sgd(
    tape: &mut Tape,
    options: &Sgd,
    param: Value,
    grad: Value,
    velocity: Value,
    lr: Value,
    non_finite: Value,
) -> Result<()> {
    let len = tape.len(param);
    let fits = [grad, velocity].iter().all(|v| tape.len(*v) == len)
        && [lr, non_finite].iter().all(|v| tape.len(*v) == 1);
    if !fits {
        return Err(Error::shape(
            "optimizer.sgd",
            format!(
                "param {:?}, grad {:?}, velocity {:?}, lr {:?}, non_finite {:?}: expected three of one \
                 length and two of length 1",
                tape.shape(param),
                tape.shape(grad),
                tape.shape(velocity),
                tape.shape(lr),
                tape.shape(non_finite)
            ),
        ));
    }
    let (kernel, items) = scalar_or_vec4(&SGD, &SGD_VEC4, len);
    let Sgd { momentum, weight_decay, lr_scale } = *options;
    let params = SgdParams { len: items as u32, momentum, weight_decay, lr_scale };
    let launch = Dispatch::new(kernel, &params, groups_for(items));
    tape.dispatch(launch.read(grad).read(lr).read(non_finite).write(param).write(velocity));
    Ok(())
}

/// `running += momentum (batch - running)`: the running statistics of batch norm, with momentum in
/// PyTorch's sense. Writes `running`; changes nothing where `non_finite` (u32 `[1]`) is not 0.
///
/// # Errors
/// Lengths that differ, or a `non_finite` of more than one element.
pub fn ema(
    tape: &mut Tape,
    running: Value,
    batch: Value,
    momentum: f32,
    non_finite: Value,
) -> Result<()> {
    let len = tape.len(running);
    if tape.len(batch) != len || tape.len(non_finite) != 1 {
        return Err(Error::shape(
            "optimizer.ema",
            format!(
                "running {:?}, batch {:?}, non_finite {:?}: expected two of one length and one of length 1",
                tape.shape(running),
                tape.shape(batch),
                tape.shape(non_finite)
            ),
        ));
    }
    let (kernel, items) = scalar_or_vec4(&EMA, &EMA_VEC4, len);
    let params = EmaParams { len: items as u32, momentum };
    let launch = Dispatch::new(kernel, &params, groups_for(items));
    tape.dispatch(launch.read(batch).read(non_finite).write(running));
    Ok(())
}
