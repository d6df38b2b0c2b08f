//! Bilinear resizing of maps.

use super::groups_for;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Sizes of both maps.
    pub struct Params {
        len: u32,
        height: u32,
        width: u32,
        channels: u32,
        out_height: u32,
        out_width: u32,
    }
}

params! {
    /// One axis of both maps.
    pub struct Axis { len: u32, from_len: u32, to_len: u32, inner: u32 }
}

static FORWARD: Shader = shader!("resize", "forward", Params);
static BACKWARD: Shader = shader!("resize", "backward", Axis);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD, &BACKWARD];

/// Places are computed in whole numbers of up to 2^31, and one invocation sums up to so many outputs.
const MAX_LEN: usize = 1 << 15;

/// Resizes `x: [N, H, W, C]` to `[N, height, width, C]`, larger or smaller, each output from its two
/// by two nearest inputs: PyTorch's `interpolate(mode = "bilinear", align_corners = false)`, without
/// antialiasing.
///
/// # Errors
/// `x` of another rank, a height or width of 0, or more than 32,768 rows or columns.
pub fn bilinear(tape: &mut Tape, x: Value, height: usize, width: usize) -> Result<Value> {
    let shape: [usize; 4] = tape.shape(x).try_into().map_err(|_| {
        Error::shape("bilinear", format!("x {:?}: expected [N, H, W, C]", tape.shape(x)))
    })?;
    let [n, h, w, c] = shape;
    if h.max(w).max(height).max(width) > MAX_LEN {
        let message =
            format!("x {shape:?} to {height} x {width}: expected up to {MAX_LEN} rows and columns");
        return Err(Error::shape("bilinear", message));
    }
    let out = [n, height, width, c];
    let len: usize = out.iter().product();
    let params = Params {
        len: len as u32,
        height: h as u32,
        width: w as u32,
        channels: c as u32,
        out_height: height as u32,
        out_width: width as u32,
    };
    let y = tape.temporary("bilinear", &out, Element::F32)?;
    let launch = Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(len));
    tape.dispatch(launch.read(x).write(y));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let across = backward(tape, grad_y, &[n, height, w, c], (w, width), c)?;
        Ok(vec![Some(backward(tape, across, &shape, (h, height), w * c)?)])
    });
    Ok(y)
}

/// The gradient of one axis, `from` elements resized to `to`, `inner` apart; `shape` is the result's.
fn backward(
    tape: &mut Tape,
    grad_y: Value,
    shape: &[usize],
    (from, to): (usize, usize),
    inner: usize,
) -> Result<Value> {
    let grad_x = tape.temporary("bilinear.grad_x", shape, Element::F32)?;
    let len = tape.len(grad_x);
    let params =
        Axis { len: len as u32, from_len: from as u32, to_len: to as u32, inner: inner as u32 };
    let launch = Dispatch::new(Kernel::new(&BACKWARD), &params, groups_for(len));
    tape.dispatch(launch.read(grad_y).write(grad_x));
    Ok(grad_x)
}
