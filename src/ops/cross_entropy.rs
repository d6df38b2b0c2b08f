//! Cross-entropy of a softmax with labels.

use super::{LOOP_LIMIT, affine, groups_for, reduce};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of every kernel of the family.
    pub struct Rows { rows: u32, cols: u32 }
}

static FORWARD: Shader = shader!("cross_entropy", "forward", Rows);
static BACKWARD: Shader = shader!("cross_entropy", "backward", Rows);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD, &BACKWARD];

/// One invocation walks a row twice.
const MAX_COLS: usize = LOOP_LIMIT / 2;

/// The mean over the rows of `-log softmax(logits)` at the row's label, `[1]`; in the form of PyTorch's
/// `cross_entropy`.
///
/// `logits`: f32 `[R, C]`, C classes; `labels`: u32 `[R]`. A row whose label is not below C counts in the mean
/// with a loss of 0 and has no gradient. Gradients go to `logits` alone.
///
/// # Errors
/// Logits that are no matrix or have above 30,000 columns; labels that are not one to a row.
pub fn cross_entropy(tape: &mut Tape, logits: Value, labels: Value) -> Result<Value> {
    let (of_logits, of_labels) = (tape.shape(logits).to_vec(), tape.shape(labels).to_vec());
    let wrong = |why: &str| {
        let shapes = format!("logits {of_logits:?}, labels {of_labels:?}");
        Err(Error::shape("cross_entropy", format!("{shapes}: {why}")))
    };
    let (&[rows, cols], true) = (&of_logits[..], of_labels[..] == of_logits[..1]) else {
        return wrong("expected [R, C] and [R]");
    };
    if cols > MAX_COLS {
        return wrong("too many columns for one invocation");
    }
    let loss = tape.temporary("cross_entropy", &[rows], Element::F32)?;
    let parts = tape.temporary("cross_entropy.parts", &[rows, 2], Element::F32)?;
    let params = Rows { rows: rows as u32, cols: cols as u32 };
    let launch = Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(rows));
    tape.dispatch(launch.read(logits).read(labels).write(loss).write(parts));
    tape.rule(loss, &[logits], move |tape, grad, _| {
        let grad_x = tape.temporary("cross_entropy.grad_x", &[rows, cols], Element::F32)?;
        let launch = Dispatch::new(Kernel::new(&BACKWARD), &params, groups_for(rows * cols));
        let launch = launch.read(grad).read(logits).read(labels).read(parts);
        tape.dispatch(launch.write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    let total = reduce::sum(tape, loss)?;
    affine::affine(tape, total, 1.0 / rows as f32, 0.0)
}
