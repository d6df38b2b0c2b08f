//! ReLU.

use super::{Elementwise, groups_for};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, shader};

static RELU: Shader = shader!("activation", "relu", Elementwise);
static RELU_BACKWARD: Shader = shader!("activation", "relu_backward", Elementwise);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&RELU, &RELU_BACKWARD];

/// `max(x, 0)`; keeps the output for the backward pass.
///
/// # Errors
/// None beyond the tape's own.
pub fn relu(tape: &mut Tape, x: Value) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let y = tape.temporary("relu", &shape, Element::F32)?;
    let len = tape.len(x);
    let params = Elementwise { len: len as u32 };
    let launch = Dispatch::new(Kernel::new(&RELU), &params, groups_for(len));
    tape.dispatch(launch.read(x).write(y));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let grad_x = tape.temporary("relu.grad_x", &shape, Element::F32)?;
        let launch = Dispatch::new(Kernel::new(&RELU_BACKWARD), &params, groups_for(len));
        tape.dispatch(launch.read(grad_y).read(y).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(y)
}
