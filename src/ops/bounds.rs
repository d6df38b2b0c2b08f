//! What no kernel can exceed: arithmetic in registers, and copying. For benchmarks; nothing has a gradient.

use super::{Elementwise, LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `multiply_add`.
    pub struct MultiplyAddParams { len: u32, rounds: u32, factor: f32 }
}

static COPY: Shader = shader!("bounds", "copy", Elementwise);
static MULTIPLY_ADD: Shader = shader!("bounds", "multiply_add", MultiplyAddParams);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&COPY, &MULTIPLY_ADD];

/// Steps of the chains in a round of [`multiply_adds`].
pub const STEPS: usize = 16;

/// Chains for each element of x.
const CHAINS: usize = 3;

/// `x`, copied.
///
/// # Errors
/// A length that is not a multiple of 4.
pub fn copy(tape: &mut Tape, x: Value) -> Result<Value> {
    let (shape, vectors) = vectors_of(tape, "bounds.copy", x)?;
    let y = tape.temporary("bounds.copy", &shape, Element::F32)?;
    let params = Elementwise { len: vectors as u32 };
    tape.dispatch(Dispatch::new(Kernel::new(&COPY), &params, groups_for(vectors)).read(x).write(y));
    Ok(y)
}

/// Of every four elements x of `x`: a + b + c after [`STEPS`] steps in each of `rounds` rounds of
/// `a, b, c <- a factor + b', b factor + c', c factor + a'`, which start at x, x + 1 and x + 2; v' is v turned by one
/// element.
///
/// # Errors
/// A length that is not a multiple of 4, more rounds than a loop may have.
pub fn multiply_adds(tape: &mut Tape, x: Value, rounds: usize, factor: f32) -> Result<Value> {
    let (shape, vectors) = vectors_of(tape, "bounds.multiply_add", x)?;
    if rounds > LOOP_LIMIT {
        let message = format!("{rounds} rounds, expected at most {LOOP_LIMIT}");
        return Err(Error::shape("bounds.multiply_add", message));
    }
    let y = tape.temporary("bounds.multiply_add", &shape, Element::F32)?;
    let params = MultiplyAddParams { len: vectors as u32, rounds: rounds as u32, factor };
    let launch = Dispatch::new(Kernel::new(&MULTIPLY_ADD), &params, groups_for(vectors));
    let flops = 2 * CHAINS * STEPS * rounds * tape.len(x);
    tape.dispatch(launch.flops(flops as u64).read(x).write(y));
    Ok(y)
}

/// The shape of `x` and how many vectors of four it holds.
fn vectors_of(tape: &Tape, op: &'static str, x: Value) -> Result<(Vec<usize>, usize)> {
    let (shape, len) = (tape.shape(x).to_vec(), tape.len(x));
    if !len.is_multiple_of(4) {
        return Err(Error::shape(op, format!("x {shape:?}: expected a multiple of 4 elements")));
    }
    Ok((shape, len / 4))
}
