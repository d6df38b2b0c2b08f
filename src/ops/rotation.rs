//! Stored images turned by multiples of 90 degrees: anomalies made of objects that have an upright
//! (shifted instances of CSI, Tack et al. 2020). Nothing has a gradient.

use super::augment::check_pixels;
use super::groups_for;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `draw`.
    pub struct DrawParams { batch: u32 }
}
params! {
    /// Params of `turn`.
    pub struct TurnParams { words: u32, bytes: u32, side: u32, channels: u32 }
}

static DRAW: Shader = shader!("rotation", "draw", DrawParams);
static TURN: Shader = shader!("rotation", "turn", TurnParams);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&DRAW, &TURN];

/// How often each image is turned, u32 `[B]`: 1 to 3 times where `chosen` (f32 `[B]`) is not 0, else
/// not at all. `counters` and `ids` as for [`super::augment::draw`].
///
/// # Errors
/// Other shapes.
pub fn draw(tape: &mut Tape, counters: Value, ids: Value, chosen: Value) -> Result<Value> {
    let [of_counters, of_ids, of_chosen] = [counters, ids, chosen].map(|v| tape.shape(v));
    if of_counters != [4] || of_ids.len() != 1 || of_chosen != of_ids {
        let message = format!(
            "counters {of_counters:?}, ids {of_ids:?}, chosen {of_chosen:?}: expected [4] and [B] twice"
        );
        return Err(Error::shape("rotation.draw", message));
    }
    let batch = of_ids[0];
    let turns = tape.temporary("rotation.turns", &[batch], Element::U32)?;
    let params = DrawParams { batch: batch as u32 };
    let launch = Dispatch::new(Kernel::new(&DRAW), &params, groups_for(batch));
    tape.dispatch(launch.read(counters).read(ids).read(chosen).write(turns));
    Ok(turns)
}

/// The stored images that `slots` (u32 `[B]`) name, each turned counter-clockwise by 90 degrees as often
/// as `turns` (u32 `[B]`, 0 to 3) says: bytes `[B, S, S, C]`, four to a word.
///
/// `pixels`: bytes `[N, S, S, C]` of `shape`, four to a word.
///
/// # Errors
/// Other shapes, images that are not square.
pub fn turn(
    tape: &mut Tape,
    pixels: Value,
    shape: [usize; 4],
    slots: Value,
    turns: Value,
) -> Result<Value> {
    check_pixels(tape, "rotation.turn", pixels, shape)?;
    let (of_slots, of_turns) = (tape.shape(slots), tape.shape(turns));
    let [_, side, width, channels] = shape;
    if side != width || of_slots.len() != 1 || of_turns != of_slots {
        let message = format!(
            "images {shape:?}, slots {of_slots:?}, turns {of_turns:?}: expected squares and [B] twice"
        );
        return Err(Error::shape("rotation.turn", message));
    }
    let bytes = of_slots[0] * side * side * channels;
    if bytes > u32::MAX as usize {
        return Err(Error::shape("rotation.turn", format!("{bytes} bytes: expected below 4 GiB")));
    }
    let words = bytes.div_ceil(4);
    let turned = tape.temporary("rotation.turned", &[words], Element::U32)?;
    let params = TurnParams {
        words: words as u32,
        bytes: bytes as u32,
        side: side as u32,
        channels: channels as u32,
    };
    let launch = Dispatch::new(Kernel::new(&TURN), &params, groups_for(words));
    tape.dispatch(launch.read(pixels).read(slots).read(turns).write(turned));
    Ok(turned)
}
