//! Dynamic loss scaling: gradients that are stored in half precision are taken of a multiple of the loss, so that small
//! ones do not vanish (Micikevicius et al. 2018, arXiv 1710.03740, section 3.2), as large as they stay finite.

use super::{Elementwise, elementwise, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `update`.
    pub struct Update { interval: f32, least: f32, most: f32 }
}

static SCALE: Shader = shader!("loss_scale", "scale", Elementwise);
static UNSCALE: Shader = shader!("loss_scale", "unscale", Elementwise);
static UNSCALE_VEC4: Shader = shader!("loss_scale", "unscale_vec4", Elementwise);
static UPDATE: Shader = shader!("loss_scale", "update", Update);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&SCALE, &UNSCALE, &UNSCALE_VEC4, &UPDATE];

/// The state that a training starts with: the scale, and steps since it changed. As PyTorch's `GradScaler`.
pub const START: [f32; 2] = [65_536.0, 0.0];

/// Steps with finite gradients after which the scale is doubled, as PyTorch's.
pub const INTERVAL: u32 = 2000;

/// Where the scale ends to shrink: gradients that are not finite then have another cause.
const LEAST: f32 = 1.0;

/// Where it ends to grow: where no gradient is stored in half precision, none becomes infinite.
const MOST: f32 = 16_777_216.0;

/// `x` (f32) times the scale: what the backward pass starts from. Has no gradient. `state`: f32 `[2]`, as [`START`].
///
/// # Errors
/// A state of another length.
pub fn scale(tape: &mut Tape, x: Value, state: Value) -> Result<Value> {
    check(tape, "loss_scale.scale", state)?;
    let shape = tape.shape(x).to_vec();
    let out = tape.temporary("loss_scale", &shape, Element::F32)?;
    let len = tape.len(x);
    let params = Elementwise { len: len as u32 };
    let launch = Dispatch::new(Kernel::new(&SCALE), &params, groups_for(len));
    tape.dispatch(launch.read(x).read(state).write(out));
    Ok(out)
}

/// Divides `grad` (f32) by the scale, in place.
///
/// # Errors
/// A state of another length.
pub fn unscale(tape: &mut Tape, grad: Value, state: Value) -> Result<()> {
    check(tape, "loss_scale.unscale", state)?;
    let launch = elementwise(&UNSCALE, &UNSCALE_VEC4, tape.len(grad));
    tape.dispatch(launch.read(state).write(grad));
    Ok(())
}

/// The state for the next step, in place: half the scale where `non_finite` (u32 `[1]`) is not 0, twice the scale after
/// `interval` steps where it was.
///
/// # Errors
/// A `non_finite` of more than one element, a state of another length.
pub fn update(tape: &mut Tape, non_finite: Value, state: Value, interval: u32) -> Result<()> {
    let op = "loss_scale.update";
    check(tape, op, state)?;
    if tape.len(non_finite) != 1 {
        let shape = tape.shape(non_finite);
        return Err(Error::shape(op, format!("non_finite {shape:?}: expected one element")));
    }
    let params = Update { interval: interval as f32, least: LEAST, most: MOST };
    tape.dispatch(Dispatch::new(Kernel::new(&UPDATE), &params, 1).read(non_finite).write(state));
    Ok(())
}

fn check(tape: &Tape, op: &str, state: Value) -> Result<()> {
    match tape.shape(state) {
        [2] => Ok(()),
        other => Err(Error::shape(op, format!("state {other:?}: expected [2]"))),
    }
}
