//! Sums over whole tensors, in two stages of fixed order: the result depends on the values and the
//! length alone, not on the adapter's scheduling.

use super::{Elementwise, groups_for};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Variant, params, shader};

params! {
    /// Params of a first stage; lengths count loads: elements, or vectors of four.
    pub struct Partial { len: u32, run: u32, groups: u32 }
}
params! {
    /// Params of the second stage.
    pub struct Finish { len: u32, scale: f32 }
}

static PARTIAL: Shader = shader!("reduce", "partial", Partial);
static PARTIAL_VEC4: Shader = shader!("reduce", "partial_vec4", Partial);
static FINISH: Shader = shader!("reduce", "finish", Finish);
static SUM_BACKWARD: Shader = shader!("reduce", "sum_backward", Elementwise);
static SUM_OF_SQUARES_BACKWARD: Shader = shader!("reduce", "sum_of_squares_backward", Elementwise);

/// The family's shaders.
pub const SHADERS: &[&Shader] =
    &[&PARTIAL, &PARTIAL_VEC4, &FINISH, &SUM_BACKWARD, &SUM_OF_SQUARES_BACKWARD];

/// The constants that the family restates, with every value.
pub const RESTATED: &[Restated] = &[
    (&FINISH, &[("REDUCE_SIZE", &[FINISH_LANES])]),
    (&PARTIAL, &[("POWER", &[1, 2]), ("WG", LANES)]),
    (&PARTIAL_VEC4, &[("POWER", &[1, 2]), ("WG", LANES)]),
];

/// Invocations per workgroup of a first stage, each of which writes one partial.
pub(super) const LANES: &[u32] = &[4, 8, 64];

/// One of [`LANES`]. A software driver takes each subgroup of a workgroup through its whole loop before the next: memory
/// is read in order only if there is one, in half the time.
fn lanes_for(variant: Variant) -> u32 {
    match variant {
        Variant::Subgroup { lanes } => lanes,
        _ => 64,
    }
}

/// Loads that an invocation should have before another workgroup is worth its partials.
const LOADS: usize = 16;
/// Most invocations of a first stage: enough to fill a large GPU, few enough for the second stage.
const MOST_PARTIALS: usize = 65_536;
/// Lanes of the second stage, which is one workgroup.
const FINISH_LANES: u32 = 256;

/// How a first stage over `len` loads is cut into workgroups of so many lanes.
fn cut(len: usize, lanes: usize) -> Partial {
    let run = len.div_ceil(len.div_ceil(lanes * LOADS).min(MOST_PARTIALS / lanes));
    Partial { len: len as u32, run: run as u32, groups: len.div_ceil(run) as u32 }
}

/// Records a first stage over `x` with one of two shaders, the second for lengths that are multiples
/// of 4, and constants beside their workgroup's size, and returns its partials.
pub(super) fn first_stage(
    tape: &mut Tape,
    name: &str,
    x: Value,
    element: Element,
    [scalar, vec4]: [&'static Shader; 2],
    consts: &[(&'static str, u32)],
) -> Result<Value> {
    let (len, lanes) = (tape.len(x), lanes_for(tape.variant()));
    let (shader, loads) = if len.is_multiple_of(4) { (vec4, len / 4) } else { (scalar, len) };
    let params = cut(loads, lanes as usize);
    let partials = tape.temporary(name, &[params.groups as usize * lanes as usize], element)?;
    let consts = [consts, &[("WG", lanes)]].concat();
    let launch = Dispatch::new(Kernel::with(shader, &consts), &params, u64::from(params.groups));
    tape.dispatch(launch.read(x).write(partials));
    Ok(partials)
}

/// Records `scale * sum(partials)` into a new value `[1]`. For up to about 100,000 partials.
pub(super) fn finish(tape: &mut Tape, name: &str, partials: Value, scale: f32) -> Result<Value> {
    let total = tape.temporary(name, &[1], Element::F32)?;
    let params = Finish { len: tape.len(partials) as u32, scale };
    let kernel = Kernel::with(&FINISH, &[("REDUCE_SIZE", FINISH_LANES)]);
    tape.dispatch(Dispatch::new(kernel, &params, 1).read(partials).write(total));
    Ok(total)
}

fn sum_of_powers(tape: &mut Tape, name: &str, x: Value, power: u32) -> Result<Value> {
    let (shaders, consts) = ([&PARTIAL, &PARTIAL_VEC4], [("POWER", power)]);
    let partials =
        first_stage(tape, &format!("{name}.partials"), x, Element::F32, shaders, &consts)?;
    finish(tape, name, partials, 1.0)
}

/// The sum of all elements of `x`, of any shape, as `[1]`.
///
/// # Errors
/// None beyond the tape's own.
pub fn sum(tape: &mut Tape, x: Value) -> Result<Value> {
    let total = sum_of_powers(tape, "sum", x, 1)?;
    let shape = tape.shape(x).to_vec();
    let len = tape.len(x);
    tape.rule(total, &[x], move |tape, grad, _| {
        let grad_x = tape.temporary("sum.grad_x", &shape, Element::F32)?;
        let params = Elementwise { len: len as u32 };
        let launch = Dispatch::new(Kernel::new(&SUM_BACKWARD), &params, groups_for(len));
        tape.dispatch(launch.read(grad).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(total)
}

/// The sum of the squares of all elements of `x`, of any shape, as `[1]`. Backward reads `x`.
///
/// # Errors
/// None beyond the tape's own.
pub fn sum_of_squares(tape: &mut Tape, x: Value) -> Result<Value> {
    let total = sum_of_powers(tape, "sum_of_squares", x, 2)?;
    let shape = tape.shape(x).to_vec();
    let len = tape.len(x);
    tape.rule(total, &[x], move |tape, grad, _| {
        let grad_x = tape.temporary("sum_of_squares.grad_x", &shape, Element::F32)?;
        let params = Elementwise { len: len as u32 };
        let launch = Dispatch::new(Kernel::new(&SUM_OF_SQUARES_BACKWARD), &params, groups_for(len));
        tape.dispatch(launch.read(x).read(grad).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_covers_every_element_once() {
        for len in [1, 2, 1023, 1024, 1025, 5000, 1 << 20, (1 << 20) + 1, 30_000_001] {
            for lanes in LANES {
                let lanes = *lanes as usize;
                let c = cut(len, lanes);
                let (run, groups) = (c.run as usize, c.groups as usize);
                assert!(groups * lanes <= MOST_PARTIALS);
                assert!(run * groups >= len && run * (groups - 1) < len);
            }
        }
    }
}
