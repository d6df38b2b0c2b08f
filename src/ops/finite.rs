//! Counting values that are infinite or NaN: an optimiser that sees a count above 0 changes nothing.

use super::reduce::{self, Partial, first_stage};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, params, shader};

params! {
    /// Params of the second stage.
    pub struct Finish { len: u32 }
}

static PARTIAL: Shader = shader!("finite", "partial", Partial);
static PARTIAL_VEC4: Shader = shader!("finite", "partial_vec4", Partial);
static FINISH: Shader = shader!("finite", "finish", Finish);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&PARTIAL, &PARTIAL_VEC4, &FINISH];

/// The constants that the family restates, with every value.
pub const RESTATED: &[Restated] =
    &[(&PARTIAL, &[("WG", reduce::LANES)]), (&PARTIAL_VEC4, &[("WG", reduce::LANES)])];

/// How many elements of `x` (f32, any shape) are infinite or NaN, as u32 `[1]`. Has no gradient.
///
/// # Errors
/// None beyond the tape's own.
pub fn count(tape: &mut Tape, x: Value) -> Result<Value> {
    let shaders = [&PARTIAL, &PARTIAL_VEC4];
    let partials = first_stage(tape, "finite.partials", x, Element::U32, shaders, &[])?;
    let total = tape.temporary("finite", &[1], Element::U32)?;
    let params = Finish { len: tape.len(partials) as u32 };
    tape.dispatch(Dispatch::new(Kernel::new(&FINISH), &params, 1).read(partials).write(total));
    Ok(total)
}
