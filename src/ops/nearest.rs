//! Nearest neighbours by Euclidean distance; no gradient.

use super::groups_for;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of the family.
    pub struct Params { rows: u32, others: u32, dim: u32 }
}

static FORWARD: Shader = shader!("nearest", "forward", Params);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD];

/// For every row of `a` `[R, D]`: the squared distance to the nearest row of `b` `[S, D]`, `[R]`, and
/// that row's index, u32 `[R]`; the first of equals.
///
/// # Errors
/// Operands that are not two matrices of equal width.
pub fn nearest(tape: &mut Tape, a: Value, b: Value) -> Result<(Value, Value)> {
    let (&[rows, dim], &[others, other_dim]) = (tape.shape(a), tape.shape(b)) else {
        return Err(mismatch(tape, a, b));
    };
    if dim != other_dim {
        return Err(mismatch(tape, a, b));
    }
    let distance = tape.temporary("nearest.distance", &[rows], Element::F32)?;
    let index = tape.temporary("nearest.index", &[rows], Element::U32)?;
    let params = Params { rows: rows as u32, others: others as u32, dim: dim as u32 };
    let launch = Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(rows));
    tape.dispatch(launch.read(a).read(b).write(distance).write(index));
    Ok((distance, index))
}

fn mismatch(tape: &Tape, a: Value, b: Value) -> Error {
    let (a, b) = (tape.shape(a), tape.shape(b));
    Error::shape("nearest", format!("a {a:?}, b {b:?}: expected [R, D] and [S, D]"))
}
