//! Softmax over the rows of a matrix.

use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, Variant, params, shader};
use crate::{Error, Result};

params! {
    /// Params of every kernel of the family.
    pub struct Rows { rows: u32, cols: u32, scale: f32 }
}

static FORWARD: Shader = shader!("softmax", "forward", Rows);
static FORWARD_TILED: Shader = shader!("softmax", "forward_tiled", Rows);
static BACKWARD: Shader = shader!("softmax", "backward", Rows);
static BACKWARD_TILED: Shader = shader!("softmax", "backward_tiled", Rows);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD, &FORWARD_TILED, &BACKWARD, &BACKWARD_TILED];

/// Loops that walk a row, one after the other, in the kernel with the most.
const WALKS: usize = 3;
/// Columns up to which one invocation may walk a row.
const MAX_WALK: usize = LOOP_LIMIT / WALKS;
/// Columns up to which the lanes of a workgroup may.
const MAX_COLS: usize = 1 << 20;

/// One workgroup per row on GPUs and for long rows, else one invocation per row.
fn launch(tape: &Tape, row: &'static Shader, tiled: &'static Shader, params: &Rows) -> Dispatch {
    let rows = params.rows as usize;
    if matches!(tape.variant(), Variant::Tiled) || params.cols as usize > MAX_WALK {
        Dispatch::new(Kernel::new(tiled), params, rows as u64)
    } else {
        Dispatch::new(Kernel::new(row), params, groups_for(rows))
    }
}

/// `softmax(scale x)` of each row of `x: [R, C]`; keeps the output for the backward pass.
///
/// # Errors
/// An `x` that is no matrix, or has more than 1,048,576 columns.
pub fn softmax(tape: &mut Tape, x: Value, scale: f32) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let (rows, cols) = match shape[..] {
        [rows, cols] if cols <= MAX_COLS => (rows, cols),
        _ => {
            let message = format!("x {shape:?}: expected [R, C] with C at most {MAX_COLS}");
            return Err(Error::shape("softmax", message));
        }
    };
    let y = tape.temporary("softmax", &shape, Element::F32)?;
    let params = Rows { rows: rows as u32, cols: cols as u32, scale };
    tape.dispatch(launch(tape, &FORWARD, &FORWARD_TILED, &params).read(x).write(y));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let grad_x = tape.temporary("softmax.grad_x", &shape, Element::F32)?;
        let launch = launch(tape, &BACKWARD, &BACKWARD_TILED, &params);
        tape.dispatch(launch.read(grad_y).read(y).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(y)
}
