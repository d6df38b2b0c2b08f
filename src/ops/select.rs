//! Choosing between two matrices, row by row.

use super::groups_for;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `rows`; both count elements.
    pub struct Rows { len: u32, run: u32 }
}
params! {
    /// Params of `rows_backward`, which serves both sides.
    pub struct RowsBackward { len: u32, run: u32, of_a: u32 }
}

static ROWS: Shader = shader!("select", "rows", Rows);
static ROWS_BACKWARD: Shader = shader!("select", "rows_backward", RowsBackward);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&ROWS, &ROWS_BACKWARD];

/// `[R, D]`: row r is that of `a: [R, D]` where `choose[r / per]` is not 0, else that of `b: [R, D]`.
///
/// `choose`: f32 `[B]`, one for each `per` rows, R = B per; no gradient. Each row's gradient goes to the
/// side that it came from; the other gets 0 there, and what it holds does not matter.
///
/// With recollections as `a`, features as `b` and labels (1: normal) as `choose` this is eq. 3 of AnoMem
/// (arXiv 2211.09041).
///
/// # Errors
/// Matrices of different shape or no matrices; a `choose` that is not `[B]` with B `per` = R.
pub fn rows(tape: &mut Tape, a: Value, b: Value, choose: Value, per: usize) -> Result<Value> {
    let [of_a, of_b, of_choose] = [a, b, choose].map(|v| tape.shape(v).to_vec());
    let fits = matches!((&of_a[..], &of_choose[..]), (&[r, _], &[b]) if b * per == r);
    if !fits || of_a != of_b {
        let message = format!(
            "a {of_a:?}, b {of_b:?}, choose {of_choose:?}, per {per}: expected [R, D] twice and [R / per]"
        );
        return Err(Error::shape("select.rows", message));
    }
    let (len, run) = (tape.len(a), per * of_a[1]);
    let y = tape.temporary("select.rows", &of_a, Element::F32)?;
    let params = Rows { len: len as u32, run: run as u32 };
    let launch = Dispatch::new(Kernel::new(&ROWS), &params, groups_for(len));
    tape.dispatch(launch.read(a).read(b).read(choose).write(y));
    tape.rule(y, &[a, b], move |tape, grad_y, needs| {
        let mut grad = |name, side: u32| {
            let grad = tape.temporary(name, &of_a, Element::F32)?;
            let params = RowsBackward { len: len as u32, run: run as u32, of_a: side };
            let launch = Dispatch::new(Kernel::new(&ROWS_BACKWARD), &params, groups_for(len));
            tape.dispatch(launch.read(grad_y).read(choose).write(grad));
            Ok(grad)
        };
        let of_a = needs[0].then(|| grad("select.grad_a", 1)).transpose()?;
        let of_b = needs[1].then(|| grad("select.grad_b", 0)).transpose()?;
        Ok(vec![of_a, of_b])
    });
    Ok(y)
}
