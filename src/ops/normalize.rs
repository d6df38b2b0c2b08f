//! Rows on the unit sphere, or with mean 0 and variance 1.

use super::launch_rows;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Shader, Variant, params, shader};
use crate::{Error, Result};

params! {
    /// Rows and the least divisor (L2) or what is added to the variance (layer).
    pub struct Params { rows: u32, dims: u32, eps: f32 }
}

static L2_FORWARD: Shader = shader!("normalize", "l2_forward", Params);
static L2_BACKWARD: Shader = shader!("normalize", "l2_backward", Params);
static LAYER_FORWARD: Shader = shader!("normalize", "layer_forward", Params);
static LAYER_BACKWARD: Shader = shader!("normalize", "layer_backward", Params);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&L2_FORWARD, &L2_BACKWARD, &LAYER_FORWARD, &LAYER_BACKWARD];

/// `x / max(||x||, eps)` for every row of `x: [R, D]`, as PyTorch's `F.normalize`.
///
/// # Errors
/// `x` of another rank, `eps` not above 0.
pub fn l2_normalize(tape: &mut Tape, x: Value, eps: f32) -> Result<Value> {
    record(tape, "l2_normalize", x, eps, [&L2_FORWARD, &L2_BACKWARD])
}

/// `(x - mean) / sqrt(variance + eps)` for every row of `x: [R, D]`, with the row's own mean and
/// biased variance: layer normalisation without gain and bias (Ba, Kiros and Hinton 2016).
///
/// # Errors
/// `x` of another rank, `eps` not above 0.
pub fn layer_normalize(tape: &mut Tape, x: Value, eps: f32) -> Result<Value> {
    record(tape, "layer_normalize", x, eps, [&LAYER_FORWARD, &LAYER_BACKWARD])
}

/// Both kinds keep their output and one number per row for the backward pass.
fn record(
    tape: &mut Tape,
    op: &'static str,
    x: Value,
    eps: f32,
    [forward, backward]: [&'static Shader; 2],
) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let [rows, dims] = shape[..] else {
        return Err(Error::shape(op, format!("x {shape:?}: expected [R, D]")));
    };
    if !(eps > 0.0 && eps.is_finite()) {
        return Err(Error::shape(op, format!("eps {eps}: expected a number above 0")));
    }
    let layer = Rows { rows, dims, eps, variant: tape.variant() };
    let y = tape.temporary(op, &shape, Element::F32)?;
    let of_row = tape.temporary(&format!("{op}.of_row"), &[rows], Element::F32)?;
    tape.dispatch(layer.launch(forward).read(x).write(y).write(of_row));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let grad_x = tape.temporary(&format!("{op}.grad_x"), &shape, Element::F32)?;
        tape.dispatch(layer.launch(backward).read(grad_y).read(y).read(of_row).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(y)
}

struct Rows {
    rows: usize,
    dims: usize,
    eps: f32,
    variant: Variant,
}

impl Rows {
    fn launch(&self, shader: &'static Shader) -> Dispatch {
        let params = Params { rows: self.rows as u32, dims: self.dims as u32, eps: self.eps };
        launch_rows(shader, &params, self.variant, [self.rows, self.dims, 3])
    }
}
