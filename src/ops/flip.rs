//! Maps turned upside down or left to right.

use super::groups_for;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Sizes of the map, and what is flipped.
    pub struct Params {
        len: u32,
        height: u32,
        width: u32,
        channels: u32,
        rows: u32,
        columns: u32,
    }
}

static FORWARD: Shader = shader!("flip", "forward", Params);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD];

/// What a flip turns round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axes {
    /// The first row becomes the last: upside down.
    pub rows: bool,
    /// The first column becomes the last: left to right.
    pub columns: bool,
}

/// Flips `x: [N, H, W, C]`, as PyTorch's `flip`; flipped again it is `x`.
///
/// # Errors
/// `x` of another rank.
pub fn flip(tape: &mut Tape, x: Value, axes: Axes) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let &[_, height, width, channels] = shape.as_slice() else {
        return Err(Error::shape("flip", format!("x {shape:?}: expected [N, H, W, C]")));
    };
    let len = tape.len(x);
    let y = tape.temporary("flip", &shape, Element::F32)?;
    let params = Params {
        len: len as u32,
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        rows: u32::from(axes.rows),
        columns: u32::from(axes.columns),
    };
    tape.dispatch(Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(len)).read(x).write(y));
    tape.rule(y, &[x], move |tape, grad, _| {
        let grad = tape.reshape(grad, &shape)?;
        Ok(vec![Some(flip(tape, grad, axes)?)])
    });
    Ok(y)
}
