//! Elementwise `factor * x + offset`: weighting and shifting maps of scores.

use super::groups_for;
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};

params! {
    /// Params of the family.
    pub struct Params { len: u32, factor: f32, offset: f32 }
}

static FORWARD: Shader = shader!("affine", "forward", Params);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD];

/// `factor * x + offset`, of any shape.
///
/// # Errors
/// None beyond the tape's own.
pub fn affine(tape: &mut Tape, x: Value, factor: f32, offset: f32) -> Result<Value> {
    let y = launch(tape, "affine", x, factor, offset)?;
    tape.rule(y, &[x], move |tape, grad_y, _| {
        Ok(vec![Some(launch(tape, "affine.grad_x", grad_y, factor, 0.0)?)])
    });
    Ok(y)
}

fn launch(tape: &mut Tape, name: &str, x: Value, factor: f32, offset: f32) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let y = tape.temporary(name, &shape, Element::F32)?;
    let len = tape.len(x);
    let params = Params { len: len as u32, factor, offset };
    tape.dispatch(Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(len)).read(x).write(y));
    Ok(y)
}
