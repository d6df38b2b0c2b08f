//! Nearest neighbours by Euclidean distance; no gradient.

use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `partial`.
    pub struct Partial { rows: u32, others: u32, dim: u32, run: u32, runs: u32 }
}
params! {
    /// Params of `forward`.
    pub struct Forward { rows: u32, runs: u32 }
}

static PARTIAL: Shader = shader!("nearest", "partial", Partial);
static FORWARD: Shader = shader!("nearest", "forward", Forward);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&PARTIAL, &FORWARD];

/// For every row of `a` `[R, D]`: the squared distance to the nearest row of `b` `[S, D]`, `[R]`, and
/// that row's index, u32 `[R]`; the first of equals.
///
/// # Errors
/// Operands that are not two matrices of equal width, or rows of more than 240,000 values.
pub fn nearest(tape: &mut Tape, a: Value, b: Value) -> Result<(Value, Value)> {
    let (&[rows, dim], &[others, other_dim]) = (tape.shape(a), tape.shape(b)) else {
        return Err(mismatch(tape, a, b));
    };
    if dim != other_dim {
        return Err(mismatch(tape, a, b));
    }
    // Rounds of the shader's loops over one pair of rows: fours, the rest, and the loop itself.
    let rounds = dim / 4 + dim % 4 + 1;
    if rounds > LOOP_LIMIT {
        return Err(Error::shape("nearest", format!("rows of {dim} values: at most 240,000")));
    }
    let run = (LOOP_LIMIT / rounds).min(others);
    let runs = others.div_ceil(run);
    let distances = tape.temporary("nearest.distances", &[runs, rows], Element::F32)?;
    let indices = tape.temporary("nearest.indices", &[runs, rows], Element::U32)?;
    let [of_rows, of_others, dim, run, of_runs] = [rows, others, dim, run, runs].map(|v| v as u32);
    let params = Partial { rows: of_rows, others: of_others, dim, run, runs: of_runs };
    let launch = Dispatch::new(Kernel::new(&PARTIAL), &params, groups_for(rows * runs));
    let flops = 3 * rows as u64 * others as u64 * u64::from(dim);
    tape.dispatch(launch.flops(flops).read(a).read(b).write(distances).write(indices));

    let distance = tape.temporary("nearest.distance", &[rows], Element::F32)?;
    let index = tape.temporary("nearest.index", &[rows], Element::U32)?;
    let params = Forward { rows: of_rows, runs: of_runs };
    let launch = Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(rows));
    tape.dispatch(launch.read(distances).read(indices).write(distance).write(index));
    Ok((distance, index))
}

fn mismatch(tape: &Tape, a: Value, b: Value) -> Error {
    let (a, b) = (tape.shape(a), tape.shape(b));
    Error::shape("nearest", format!("a {a:?}, b {b:?}: expected [R, D] and [S, D]"))
}
