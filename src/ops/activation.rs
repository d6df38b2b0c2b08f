//! ReLU.

use super::{Elementwise, elementwise};
use crate::Result;
use crate::autograd::{Element, Tape, Value};
use crate::gpu::{Shader, shader};

static RELU: Shader = shader!("activation", "relu", Elementwise);
static RELU_VEC4: Shader = shader!("activation", "relu_vec4", Elementwise);
static RELU_BACKWARD: Shader = shader!("activation", "relu_backward", Elementwise);
static RELU_BACKWARD_VEC4: Shader = shader!("activation", "relu_backward_vec4", Elementwise);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&RELU, &RELU_VEC4, &RELU_BACKWARD, &RELU_BACKWARD_VEC4];

/// `max(x, 0)`; keeps the output for the backward pass.
///
/// # Errors
/// None beyond the tape's own.
pub fn relu(tape: &mut Tape, x: Value) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let y = tape.temporary("relu", &shape, Element::F32)?;
    let len = tape.len(x);
    tape.dispatch(elementwise(&RELU, &RELU_VEC4, len).read(x).write(y));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let grad_x = tape.temporary("relu.grad_x", &shape, Element::F32)?;
        let launch = elementwise(&RELU_BACKWARD, &RELU_BACKWARD_VEC4, len);
        tape.dispatch(launch.read(grad_y).read(y).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(y)
}
