//! ReLU and softplus.

use super::{Elementwise, elementwise, groups_for};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, shader};

static RELU: Shader = shader!("activation", "relu", Elementwise);
static RELU_VEC4: Shader = shader!("activation", "relu_vec4", Elementwise);
static RELU_BACKWARD: Shader = shader!("activation", "relu_backward", Elementwise);
static RELU_BACKWARD_VEC4: Shader = shader!("activation", "relu_backward_vec4", Elementwise);
static SOFTPLUS: Shader = shader!("activation", "softplus", Elementwise);
static SOFTPLUS_BACKWARD: Shader = shader!("activation", "softplus_backward", Elementwise);

/// The family's shaders.
pub const SHADERS: &[&Shader] =
    &[&RELU, &RELU_VEC4, &RELU_BACKWARD, &RELU_BACKWARD_VEC4, &SOFTPLUS, &SOFTPLUS_BACKWARD];

/// The kernels of [`relu`]: x, y.
pub(crate) const RELUS: [&Shader; 2] = [&RELU, &RELU_VEC4];

/// The kernels of its gradient: grad_y, y, grad_x.
pub(crate) const RELU_BACKWARDS: [&Shader; 2] = [&RELU_BACKWARD, &RELU_BACKWARD_VEC4];

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

/// `ln(1 + e^x)`, for `x` of any shape and size; keeps the input for the backward pass.
///
/// # Errors
/// None beyond the tape's own.
pub fn softplus(tape: &mut Tape, x: Value) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let y = tape.temporary("softplus", &shape, Element::F32)?;
    let len = tape.len(x);
    let launch = move |shader| {
        Dispatch::new(Kernel::new(shader), &Elementwise { len: len as u32 }, groups_for(len))
    };
    tape.dispatch(launch(&SOFTPLUS).read(x).write(y));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let grad_x = tape.temporary("softplus.grad_x", &shape, Element::F32)?;
        tape.dispatch(launch(&SOFTPLUS_BACKWARD).read(grad_y).read(x).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(y)
}
