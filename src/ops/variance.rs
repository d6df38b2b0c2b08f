//! The variance term that keeps retrieved vectors apart (AnoMem eq. 6, from VICReg).

use super::{LOOP_LIMIT, groups_for, reduce, scalar_or_vec4};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `partial`.
    pub struct Partial { rows: u32, cols: u32, run: u32, runs: u32, per: u32 }
}
params! {
    /// Params of `columns`.
    pub struct Columns { cols: u32, runs: u32, goal: f32 }
}
params! {
    /// Params of `backward`; length and columns count elements, or vectors of four.
    pub struct Backward { len: u32, cols: u32, per: u32 }
}

static PARTIAL: Shader = shader!("variance", "partial", Partial);
static COLUMNS: Shader = shader!("variance", "columns", Columns);
static BACKWARD: Shader = shader!("variance", "backward", Backward);
static BACKWARD_VEC4: Shader = shader!("variance", "backward_vec4", Backward);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&PARTIAL, &COLUMNS, &BACKWARD, &BACKWARD_VEC4];

/// Runs that the rows are cut into at most, unless each is full: enough invocations for a large GPU, few for stage 2.
const MAX_RUNS: usize = 64;
/// Rows that a run should have at least.
const MIN_RUN: usize = 32;
/// Rows that a run may have at most: an invocation walks it twice.
const MAX_RUN: usize = LOOP_LIMIT / 2;

/// Moments of the runs of rows that each column was cut into, and how it was cut.
pub(super) struct Runs {
    /// Rows of a run; the last may have fewer.
    pub run: usize,
    pub runs: usize,
    /// `[runs, D]`: of the rows that count.
    pub means: Value,
    /// `[runs, D]`: sums of squared deviations from those means.
    pub deviations: Value,
    /// u32 `[runs]`: how many rows count.
    pub sizes: Value,
}

/// Stage 1 of moments of the columns of `z` `[R, D]` over the rows that count, row r by entry r / `per` of `valid`.
pub(super) fn runs_of(tape: &mut Tape, z: Value, valid: Option<Value>, per: u32) -> Result<Runs> {
    let &[rows, cols] = tape.shape(z) else {
        return Err(Error::Internal(format!("runs of {:?}", tape.shape(z))));
    };
    let run = rows.div_ceil(MAX_RUNS).clamp(MIN_RUN, MAX_RUN);
    let runs = rows.div_ceil(run);
    let params =
        Partial { rows: rows as u32, cols: cols as u32, run: run as u32, runs: runs as u32, per };
    let means = tape.temporary("variance.means", &[runs, cols], Element::F32)?;
    let deviations = tape.temporary("variance.deviations", &[runs, cols], Element::F32)?;
    let sizes = tape.temporary("variance.sizes", &[runs], Element::U32)?;
    let launch = Dispatch::new(Kernel::new(&PARTIAL), &params, groups_for(runs * cols));
    // Not read without one.
    let launch = launch.read(z).read(valid.unwrap_or(z));
    tape.dispatch(launch.write(means).write(deviations).write(sizes));
    Ok(Runs { run, runs, means, deviations, sizes })
}

/// What [`variance_loss`] gives, each `[1]`.
#[derive(Debug, Clone, Copy)]
pub struct Variance {
    /// The hinge loss.
    pub loss: Value,
    /// Sum over the columns of their unbiased variance; no gradient.
    pub total: Value,
}

/// `mean over d of max(0, target - sqrt(var_d + 1e-4))` for `z: [R, D]`, with the unbiased variance over
/// rows (PyTorch's `z.var(0)`). Source: VICReg (Bardes, Ponce and LeCun 2022, eq. 1).
///
/// `valid`: f32 `[B]`, where B divides R, one value for each R / B neighbouring rows: only rows whose value is
/// not 0 count, such as those of normal images, and what the others hold does not matter. With fewer than two
/// of them, loss, total and gradients are 0.
///
/// # Errors
/// A `z` that is no matrix, or that has fewer than two rows: one row has no variance. A `valid` of another
/// shape.
pub fn variance_loss(
    tape: &mut Tape,
    z: Value,
    target: f32,
    valid: Option<Value>,
) -> Result<Variance> {
    let shape = tape.shape(z).to_vec();
    let (rows, cols) = match shape[..] {
        [rows, cols] if rows >= 2 => (rows, cols),
        _ => {
            let message = format!("z {shape:?}: expected [R, D] with at least 2 rows");
            return Err(Error::shape("variance", message));
        }
    };
    let per = match valid.map(|v| tape.shape(v)) {
        None => 0,
        Some(&[images]) if images > 0 && rows.is_multiple_of(images) => rows / images,
        Some(of) => {
            let message = format!("z {shape:?}, valid {of:?}: expected [B] where B divides R");
            return Err(Error::shape("variance", message));
        }
    } as u32;
    let Runs { runs, means, deviations, sizes, .. } = runs_of(tape, z, valid, per)?;
    // Not read without one.
    let valid = valid.unwrap_or(z);

    let mean = tape.temporary("variance.mean", &[cols], Element::F32)?;
    let variance = tape.temporary("variance.variance", &[cols], Element::F32)?;
    let slope = tape.temporary("variance.slope", &[cols], Element::F32)?;
    let hinge = tape.temporary("variance.hinge", &[cols], Element::F32)?;
    let params = Columns { cols: cols as u32, runs: runs as u32, goal: target };
    let launch = Dispatch::new(Kernel::new(&COLUMNS), &params, groups_for(cols));
    let launch = launch.read(means).read(deviations).read(sizes).write(mean).write(variance);
    tape.dispatch(launch.write(slope).write(hinge));

    let total = reduce::finish(tape, "variance.total", variance, 1.0)?;
    let loss = reduce::finish(tape, "variance", hinge, 1.0 / cols as f32)?;
    tape.rule(loss, &[z], move |tape, grad, _| {
        let grad_z = tape.temporary("variance.grad_z", &shape, Element::F32)?;
        // By columns, not by length: a vector must not straddle two rows.
        let (kernel, cols) = scalar_or_vec4(&BACKWARD, &BACKWARD_VEC4, cols);
        let len = rows * cols;
        let params = Backward { len: len as u32, cols: cols as u32, per };
        let launch = Dispatch::new(kernel, &params, groups_for(len));
        let launch = launch.read(grad).read(z).read(valid).read(mean).read(slope);
        tape.dispatch(launch.write(grad_z));
        Ok(vec![Some(grad_z)])
    });
    Ok(Variance { loss, total })
}
