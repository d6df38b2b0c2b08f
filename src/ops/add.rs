//! Elementwise sum: residual connections, and the joining of gradients.

use super::{Elementwise, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, shader};
use crate::{Error, Result};

static FORWARD: Shader = shader!("add", "forward", Elementwise);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD];

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
    let params = Elementwise { len: len as u32 };
    let launch = Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(len));
    tape.dispatch(launch.flops(len as u64).read(a).read(b).write(sum));
    tape.rule(sum, &[a, b], |_, grad, _| Ok(vec![Some(grad), Some(grad)]));
    Ok(sum)
}
