//! Anomaly scores from the deviation between features and their recollection (arXiv 2211.09041,
//! eqs. 8-9). Forward only: nothing here passes a gradient on.

use super::{LOOP_LIMIT, launch_rows};
use crate::autograd::{Element, Tape, Value};
use crate::gpu::{Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `row_norms`.
    pub struct Rows { rows: u32, dims: u32 }
}
params! {
    /// Params of `root` and `mean`.
    pub struct Images { images: u32, positions: u32 }
}
params! {
    /// Params of `greatest`.
    pub struct Greatest { images: u32, positions: u32, count: u32 }
}

static ROW_NORMS: Shader = shader!("deviation", "row_norms", Rows);
static ROOT: Shader = shader!("deviation", "root", Images);
static MEAN: Shader = shader!("deviation", "mean", Images);
static GREATEST: Shader = shader!("deviation", "greatest", Greatest);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&ROW_NORMS, &ROOT, &MEAN, &GREATEST];

/// Visits of every position: one for each bit of the threshold, one to sum.
const GREATEST_PASSES: usize = 32;

/// A workgroup of 64 goes through these without looping too often.
const MAX_POSITIONS: usize = LOOP_LIMIT / GREATEST_PASSES * 64;

/// How the norms at an image's positions become one score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Root of the sum of squares: the norm of the whole map's deviation (eq. 9).
    Norm,
    /// Mean.
    Mean,
    /// Greatest.
    Max,
    /// Mean of the so many greatest.
    TopK(usize),
}

/// `||z - retrieved||` of every row: `[R, D]` twice into `[R]`.
///
/// # Errors
/// Another rank, or different shapes.
pub fn norms(tape: &mut Tape, z: Value, retrieved: Value) -> Result<Value> {
    let (shape, other) = (tape.shape(z), tape.shape(retrieved));
    let &[rows, dims] = shape else {
        return Err(Error::shape("norms", format!("z {shape:?}: expected [R, D]")));
    };
    if shape != other {
        return Err(Error::shape("norms", format!("z {shape:?}, retrieved {other:?}")));
    }
    let norms = tape.temporary("norms", &[rows], Element::F32)?;
    let params = Rows { rows: rows as u32, dims: dims as u32 };
    let launch = launch_rows(&ROW_NORMS, &params, tape.variant(), [rows, dims, 1]);
    tape.dispatch(launch.read(z).read(retrieved).write(norms));
    Ok(norms)
}

/// One score per image from the norms at its positions, none of them negative: `[N, P]` into `[N]`.
///
/// # Errors
/// Another rank, more than 120,000 positions, or more of the greatest asked for than there are, or
/// none.
pub fn reduce(tape: &mut Tape, norms: Value, reduction: Reduction) -> Result<Value> {
    let shape = tape.shape(norms);
    let &[n, p] = shape else {
        return Err(Error::shape("reduce", format!("norms {shape:?}: expected [N, P]")));
    };
    if p > MAX_POSITIONS {
        let message = format!("norms {shape:?}: more than {MAX_POSITIONS} positions");
        return Err(Error::shape("reduce", message));
    }
    let (images, positions) = (n as u32, p as u32);
    let greatest = |count: usize| {
        let params = Greatest { images, positions, count: count as u32 };
        launch_rows(&GREATEST, &params, tape.variant(), [n, p, GREATEST_PASSES])
    };
    let all =
        |shader| launch_rows(shader, &Images { images, positions }, tape.variant(), [n, p, 1]);
    let launch = match reduction {
        Reduction::Norm => all(&ROOT),
        Reduction::Mean => all(&MEAN),
        Reduction::Max => greatest(1),
        Reduction::TopK(k) if (1..=p).contains(&k) => greatest(k),
        Reduction::TopK(k) => {
            let message = format!("norms {shape:?}, the {k} greatest: expected 1 to {p}");
            return Err(Error::shape("reduce", message));
        }
    };
    let score = tape.temporary("score", &[n], Element::F32)?;
    tape.dispatch(launch.read(norms).write(score));
    Ok(score)
}
