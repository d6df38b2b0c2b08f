//! Hinge losses of scores with labels.

use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// The scores and their two margins.
    pub struct Params { len: u32, has_weights: u32, inner: f32, outer: f32 }
}

params! {
    /// Params of `targets`.
    pub struct Targets { len: u32, per: u32, period: u32, sound: f32, damaged: f32 }
}

params! {
    /// Params of `balance`.
    pub struct Balance { len: u32, period: u32 }
}

static FORWARD: Shader = shader!("hinge", "forward", Params);
static BACKWARD: Shader = shader!("hinge", "backward", Params);
static TARGETS: Shader = shader!("hinge", "targets", Targets);
static BALANCE: Shader = shader!("hinge", "balance", Balance);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD, &BACKWARD, &TARGETS, &BALANCE];

/// The constants that the family restates, with every value.
pub const RESTATED: &[Restated] = &[
    (&FORWARD, &[("REDUCE_SIZE", &[LANES])]),
    (&TARGETS, &[("REDUCE_SIZE", &[LANES])]),
    (&BALANCE, &[("REDUCE_SIZE", &[LANES])]),
];

/// Lanes of the one workgroup that adds all scores.
const LANES: u32 = 256;

const MAX_SCORES: usize = LOOP_LIMIT * LANES as usize;

/// A launch of that workgroup.
fn launch_one(shader: &'static Shader, params: &impl bytemuck::NoUninit) -> Dispatch {
    Dispatch::new(Kernel::with(shader, &[("REDUCE_SIZE", LANES)]), params, 1)
}

/// The double hinge around the unit ball, `[1]`: the mean over the scores `a: [N]` of
/// `max(0, a - 1/eta)` for normal ones and `max(0, eta - a)` for those of anomalies.
///
/// `normal`: f32 `[N]`, 0 for anomalies. `weights`: f32 `[N]`, none negative: the mean is then
/// `sum w l / sum w`, and 0, with gradients of 0, where the weights sum to 0. Gradients go to `a` alone;
/// at its margin a score has none.
///
/// Source: AnoMem (arXiv 2211.09041), eqs. 11-12. The paper's text at hand gives them in words; the formula is
/// inferred from the same authors' SadCLR.
///
/// # Errors
/// An `a` that is no vector, or has above 15,360,000 scores; labels or weights of another shape; an `eta` that is
/// not a finite number of at least 1, with which anomalies could lie inside of normal scores.
pub fn double_hinge(
    tape: &mut Tape,
    a: Value,
    normal: Value,
    eta: f32,
    weights: Option<Value>,
) -> Result<Value> {
    let [of_a, of_normal] = [a, normal].map(|v| tape.shape(v).to_vec());
    let of_weights = weights.map_or_else(|| of_a.clone(), |v| tape.shape(v).to_vec());
    let wrong = |why: &str| {
        let shapes = format!("a {of_a:?}, normal {of_normal:?}, weights {of_weights:?}, eta {eta}");
        Err(Error::shape("double_hinge", format!("{shapes}: {why}")))
    };
    if of_a.len() != 1 || of_normal != of_a || of_weights != of_a {
        return wrong("expected [N] each");
    }
    if !(eta >= 1.0 && eta.is_finite()) {
        return wrong("eta must be a finite number of at least 1");
    }
    let len = of_a[0];
    if len > MAX_SCORES {
        return wrong("too many scores for one workgroup");
    }
    let params = Params {
        len: len as u32,
        has_weights: u32::from(weights.is_some()),
        inner: 1.0 / eta,
        outer: eta,
    };
    // Not read without weights.
    let weights = weights.unwrap_or(a);
    let loss = tape.temporary("double_hinge", &[1], Element::F32)?;
    let share = tape.temporary("double_hinge.share", &[1], Element::F32)?;
    let launch = launch_one(&FORWARD, &params);
    tape.dispatch(launch.read(a).read(normal).read(weights).write(loss).write(share));
    tape.rule(loss, &[a], move |tape, grad, _| {
        let grad_a = tape.temporary("double_hinge.grad_a", &[len], Element::F32)?;
        let launch = Dispatch::new(Kernel::new(&BACKWARD), &params, groups_for(len));
        let launch = launch.read(grad).read(a).read(normal).read(weights).read(share);
        tape.dispatch(launch.write(grad_a));
        Ok(vec![Some(grad_a)])
    });
    Ok(loss)
}

/// Weights of entries for [`double_hinge`], f32 `[N]`: those with `counts` 0 weigh nothing; of the others the
/// normal ones together weigh one half, and so do the anomalous ones.
///
/// `normal`: f32 `[N]`, 0 for anomalies. `counts`: f32 `[C]`, entry i has `counts[i % C]`.
///
/// # Errors
/// Other shapes, an N that is no multiple of C, more than 7.68 million entries.
pub fn balance(tape: &mut Tape, normal: Value, counts: Value) -> Result<Value> {
    let (of_normal, of_counts) = (tape.shape(normal), tape.shape(counts));
    let wrong = |why: &str| {
        let shapes = format!("normal {of_normal:?}, counts {of_counts:?}");
        Err(Error::shape("balance", format!("{shapes}: {why}")))
    };
    let (&[len], &[period]) = (of_normal, of_counts) else {
        return wrong("expected [N] and [C]");
    };
    if !len.is_multiple_of(period) {
        return wrong("expected N to be a multiple of C");
    }
    if 2 * len > MAX_SCORES {
        return wrong("too many entries for one workgroup");
    }
    let weights = tape.temporary("balance", &[len], Element::F32)?;
    let params = Balance { len: len as u32, period: period as u32 };
    let launch = launch_one(&BALANCE, &params);
    tape.dispatch(launch.read(normal).read(counts).write(weights));
    Ok(weights)
}

/// Whether each position is normal, and what it weighs in [`double_hinge`], f32 `[N * H * W]` each, from the
/// share of it that is damaged, `cover: [N, H, W]`.
///
/// Normal are positions of a share below `sound`, anomalous those of at least `damaged`; each side weighs one
/// half together. Those between, and those of images where `known: [N]` is 0, weigh nothing; nor do anomalous
/// ones of images whose damage is not seen: `seen: [B]`, of which image i has `seen[i % B]`, is 0.
///
/// # Errors
/// Other shapes, an N that is no multiple of B, more than 7.68 million positions, shares out of order.
pub fn position_targets(
    tape: &mut Tape,
    cover: Value,
    known: Value,
    seen: Value,
    [sound, damaged]: [f32; 2],
) -> Result<(Value, Value)> {
    let (of_cover, of_known, of_seen) = (tape.shape(cover), tape.shape(known), tape.shape(seen));
    let wrong = |why: &str| {
        let values = format!("cover {of_cover:?}, known {of_known:?}, seen {of_seen:?}");
        Err(Error::shape("position_targets", format!("{values}, {sound} to {damaged}: {why}")))
    };
    let (&[images, height, width], &[period], true) =
        (of_cover, of_seen, of_known == &of_cover[..1])
    else {
        return wrong("expected [N, H, W], [N] and [B]");
    };
    if !images.is_multiple_of(period) {
        return wrong("expected N to be a multiple of B");
    }
    if !(0.0 < sound && sound <= damaged && damaged <= 1.0) {
        return wrong("expected shares above 0, in order, up to 1");
    }
    let len = images * height * width;
    if 2 * len > MAX_SCORES {
        return wrong("too many positions for one workgroup");
    }
    let normal = tape.temporary("position_targets.normal", &[len], Element::F32)?;
    let weights = tape.temporary("position_targets.weights", &[len], Element::F32)?;
    let (per, period) = ((height * width) as u32, period as u32);
    let params = Targets { len: len as u32, per, period, sound, damaged };
    let launch = launch_one(&TARGETS, &params);
    tape.dispatch(launch.read(cover).read(known).read(seen).write(normal).write(weights));
    Ok((normal, weights))
}
