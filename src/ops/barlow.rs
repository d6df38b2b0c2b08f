//! Barlow Twins, the contrastive loss without negatives: a composition of three operations with rules of
//! their own, whose memory is O(R D + D^2).

use super::matmul::transposed_matmul;
use super::variance::{Runs, runs_of};
use super::{groups_for, reduce};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `backward_partial`.
    pub struct BackwardPartial { rows: u32, cols: u32, run: u32, runs: u32, has_valid: u32 }
}
params! {
    /// Params of `columns`.
    pub struct Columns { cols: u32, runs: u32, eps: f32 }
}
params! {
    /// Params of `backward_columns`.
    pub struct BackwardColumns { cols: u32, runs: u32 }
}
params! {
    /// Params of `standardise` and `backward`.
    pub struct Elements { len: u32, cols: u32, has_valid: u32 }
}
params! {
    /// Params of `penalty` and `penalty_backward`.
    pub struct Penalty { dim: u32, lambda: f32 }
}

static COLUMNS: Shader = shader!("barlow", "columns", Columns);
static STANDARDISE: Shader = shader!("barlow", "standardise", Elements);
static BACKWARD_PARTIAL: Shader = shader!("barlow", "backward_partial", BackwardPartial);
static BACKWARD_COLUMNS: Shader = shader!("barlow", "backward_columns", BackwardColumns);
static BACKWARD: Shader = shader!("barlow", "backward", Elements);
static PENALTY: Shader = shader!("barlow", "penalty", Penalty);
static PENALTY_BACKWARD: Shader = shader!("barlow", "penalty_backward", Penalty);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[
    &COLUMNS,
    &STANDARDISE,
    &BACKWARD_PARTIAL,
    &BACKWARD_COLUMNS,
    &BACKWARD,
    &PENALTY,
    &PENALTY_BACKWARD,
];

/// Added to the variance of a column, so that one that has collapsed correlates with nothing. Far below
/// 1/2048, what a component of unit vectors may have.
pub const EPS: f32 = 1e-6;

/// Barlow Twins (Zbontar et al. 2021, arXiv 2103.03230, eqs. 1-2) of `a` and `b` `[R, D]`, whose rows of equal
/// index are pairs: the sum over i of (1 - C_ii)^2 and `lambda` times the sum over i != j of C_ij^2, where
/// C_ij is the correlation over the rows of component i of `a` with component j of `b`. `[1]`.
///
/// `valid: [R]` drops the pairs where it is 0. With fewer than two pairs C is 0: the loss is D and its
/// gradients are 0, as with components that do not vary.
///
/// # Errors
/// Shapes that differ.
pub fn barlow_twins(
    tape: &mut Tape,
    a: Value,
    b: Value,
    lambda: f32,
    valid: Option<Value>,
) -> Result<Value> {
    if tape.shape(a) != tape.shape(b) {
        let (a, b) = (tape.shape(a), tape.shape(b));
        return Err(Error::shape("barlow", format!("a {a:?}, b {b:?}: expected [R, D] twice")));
    }
    let a = standardise(tape, a, valid)?;
    let b = standardise(tape, b, valid)?;
    let c = transposed_matmul(tape, a, b)?;
    let terms = penalty(tape, c, lambda)?;
    reduce::sum(tape, terms)
}

/// The columns of `x` `[R, D]` with mean 0 and unit length over the rows that count, so that products of columns
/// are correlations; rows whose `valid` `[R]` is 0 become 0, and what they hold does not matter.
///
/// # Errors
/// Other shapes.
pub fn standardise(tape: &mut Tape, x: Value, valid: Option<Value>) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let of_valid = valid.map(|v| tape.shape(v).to_vec());
    let (rows, cols) = match (&shape[..], of_valid.as_deref()) {
        (&[rows, cols], None) => (rows, cols),
        (&[rows, cols], Some(&[values])) if values == rows => (rows, cols),
        _ => {
            let message = format!("x {shape:?}, valid {of_valid:?}: expected [R, D] and [R]");
            return Err(Error::shape("barlow", message));
        }
    };
    let has_valid = u32::from(valid.is_some());
    let Runs { run, runs, means, deviations, sizes } = runs_of(tape, x, valid, has_valid)?;
    // Not read without one.
    let valid = valid.unwrap_or(x);
    let [of_rows, of_cols, of_run, of_runs] = [rows, cols, run, runs].map(|v| v as u32);

    let mean = tape.temporary("barlow.mean", &[cols], Element::F32)?;
    let factor = tape.temporary("barlow.factor", &[cols], Element::F32)?;
    let share = tape.temporary("barlow.share", &[1], Element::F32)?;
    let params = Columns { cols: of_cols, runs: of_runs, eps: EPS };
    let launch = Dispatch::new(Kernel::new(&COLUMNS), &params, groups_for(cols));
    let launch = launch.read(means).read(deviations).read(sizes);
    tape.dispatch(launch.write(mean).write(factor).write(share));

    let len = rows * cols;
    let elements = Elements { len: len as u32, cols: of_cols, has_valid };
    let y = tape.temporary("barlow.standardise", &shape, Element::F32)?;
    let launch = Dispatch::new(Kernel::new(&STANDARDISE), &elements, groups_for(len));
    tape.dispatch(launch.read(x).read(valid).read(mean).read(factor).write(y));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let sums = tape.temporary("barlow.sums", &[runs, cols], Element::F32)?;
        let products = tape.temporary("barlow.products", &[runs, cols], Element::F32)?;
        let kernel = Kernel::new(&BACKWARD_PARTIAL);
        let partial =
            BackwardPartial { rows: of_rows, cols: of_cols, run: of_run, runs: of_runs, has_valid };
        let launch = Dispatch::new(kernel, &partial, groups_for(runs * cols));
        let launch = launch.read(grad_y).read(y).read(valid);
        tape.dispatch(launch.write(sums).write(products));
        let mean = tape.temporary("barlow.grad_mean", &[cols], Element::F32)?;
        let dot = tape.temporary("barlow.dot", &[cols], Element::F32)?;
        let params = BackwardColumns { cols: of_cols, runs: of_runs };
        let launch = Dispatch::new(Kernel::new(&BACKWARD_COLUMNS), &params, groups_for(cols));
        tape.dispatch(launch.read(sums).read(products).read(share).write(mean).write(dot));
        let grad_x = tape.temporary("barlow.grad_x", &shape, Element::F32)?;
        let launch = Dispatch::new(Kernel::new(&BACKWARD), &elements, groups_for(len));
        let launch = launch.read(grad_y).read(y).read(valid).read(mean).read(dot).read(factor);
        tape.dispatch(launch.write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(y)
}

/// Per element of `c` `[D, D]`: (1 - c)^2 on the diagonal, `lambda` c^2 elsewhere (eq. 1).
///
/// # Errors
/// A `c` that is not square.
pub fn penalty(tape: &mut Tape, c: Value, lambda: f32) -> Result<Value> {
    let shape = tape.shape(c).to_vec();
    let dim = match shape[..] {
        [rows, cols] if rows == cols => rows,
        _ => return Err(Error::shape("barlow", format!("c {shape:?}: expected [D, D]"))),
    };
    let params = Penalty { dim: dim as u32, lambda };
    let terms = tape.temporary("barlow.penalty", &shape, Element::F32)?;
    let launch = Dispatch::new(Kernel::new(&PENALTY), &params, groups_for(dim * dim));
    tape.dispatch(launch.read(c).write(terms));
    tape.rule(terms, &[c], move |tape, grad, _| {
        let grad_c = tape.temporary("barlow.grad_c", &shape, Element::F32)?;
        let kernel = Kernel::new(&PENALTY_BACKWARD);
        let launch = Dispatch::new(kernel, &params, groups_for(dim * dim));
        tape.dispatch(launch.read(grad).read(c).write(grad_c));
        Ok(vec![Some(grad_c)])
    });
    Ok(terms)
}
