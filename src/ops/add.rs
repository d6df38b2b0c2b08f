//! Elementwise sum: residual connections, and the joining of gradients.

use super::{Elementwise, elementwise};
use crate::autograd::{Element, Tape, Value};
use crate::gpu::{Restated, Shader, shader};
use crate::{Error, Result};

static FORWARD: Shader = shader!("add", "forward", Elementwise);
static FORWARD_VEC4: Shader = shader!("add", "forward_vec4", Elementwise);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD, &FORWARD_VEC4];

/// The constants that the family restates, with every value.
pub(super) const RESTATED: &[Restated] =
    &[(&FORWARD, super::RELU_OR_NOT), (&FORWARD_VEC4, super::RELU_OR_NOT)];

/// The kernels of the sum, their last binding.
pub(crate) const FORWARDS: [&Shader; 2] = [&FORWARD, &FORWARD_VEC4];

/// `a + b` of equal shapes.
///
/// # Errors
/// Different shapes.
pub fn add(tape: &mut Tape, a: Value, b: Value) -> Result<Value> {
    let shape = tape.shape(a).to_vec();
    if shape != tape.shape(b) {
        return Err(Error::shape("add", format!("a {shape:?}, b {:?}", tape.shape(b))));
    }
    let sum = tape.temporary("add", &shape, Element::F32)?;
    let len = tape.len(a);
    tape.dispatch(elementwise(&FORWARD, &FORWARD_VEC4, len).read(a).read(b).write(sum));
    tape.rule(sum, &[a, b], |_, grad, _| Ok(vec![Some(grad), Some(grad)]));
    Ok(sum)
}
