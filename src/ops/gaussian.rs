//! Gaussian smoothing of maps, as heat maps may have it. Nothing has a gradient.

use super::groups_for;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of the family.
    pub struct Params { len: u32, length: u32, stride: u32, radius: u32, sigma: f32 }
}

static FORWARD: Shader = shader!("gaussian", "forward", Params);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD];

/// Greatest deviation, pixels.
pub const MAX_SIGMA: f32 = 64.0;

/// `x: [N, H, W, C]` smoothed by a Gaussian of deviation `sigma` pixels, cut off after 3 deviations;
/// beyond a border lies the outermost pixel again.
///
/// # Errors
/// `x` of another rank, or a `sigma` that is not above 0 and at most [`MAX_SIGMA`].
pub fn smooth(tape: &mut Tape, x: Value, sigma: f32) -> Result<Value> {
    let shape: [usize; 4] = tape.shape(x).try_into().map_err(|_| {
        Error::shape("gaussian", format!("x {:?}: expected [N, H, W, C]", tape.shape(x)))
    })?;
    if !(sigma > 0.0 && sigma <= MAX_SIGMA) {
        let message = format!("sigma = {sigma}: expected above 0 and at most {MAX_SIGMA}");
        return Err(Error::shape("gaussian", message));
    }
    let [_, height, width, channels] = shape;
    let along = smooth_lines(tape, x, width, channels, sigma)?;
    smooth_lines(tape, along, height, width * channels, sigma)
}

/// Lines of `length` elements that lie `stride` apart.
fn smooth_lines(
    tape: &mut Tape,
    x: Value,
    length: usize,
    stride: usize,
    sigma: f32,
) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let y = tape.temporary("gaussian", &shape, Element::F32)?;
    let len = tape.len(x);
    let radius = (3.0 * sigma).ceil() as u32;
    let params =
        Params { len: len as u32, length: length as u32, stride: stride as u32, radius, sigma };
    let launch = Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(len));
    tape.dispatch(launch.read(x).write(y));
    Ok(y)
}
