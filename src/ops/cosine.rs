//! Cosine similarity of all pairs of rows of two matrices.

use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, Variant, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `norm`.
    pub struct Norm { rows: u32, dims: u32 }
}
params! {
    /// Params of `forward`.
    pub struct Forward { rows: u32, others: u32, dims: u32 }
}
params! {
    /// Params of `share` and `backward`, which serve both sides.
    pub struct Backward { rows: u32, others: u32, dims: u32, own_stride: u32, other_stride: u32 }
}

static NORM: Shader = shader!("cosine", "norm", Norm);
static NORM_TILED: Shader = shader!("cosine", "norm_tiled", Norm);
static FORWARD: Shader = shader!("cosine", "forward", Forward);
static FORWARD_TILED: Shader = shader!("cosine", "forward_tiled", Forward);
static SHARE: Shader = shader!("cosine", "share", Backward);
static BACKWARD: Shader = shader!("cosine", "backward", Backward);
static BACKWARD_TILED: Shader = shader!("cosine", "backward_tiled", Backward);

/// The family's shaders.
pub const SHADERS: &[&Shader] =
    &[&NORM, &NORM_TILED, &FORWARD, &FORWARD_TILED, &SHARE, &BACKWARD, &BACKWARD_TILED];

/// Rows and columns of the tiled kernels' output tiles.
const TILE: usize = 64;

/// A matrix of rows, with their lengths.
#[derive(Clone, Copy)]
struct Side {
    x: Value,
    norm: Value,
    rows: usize,
}

fn tiled(tape: &Tape) -> bool {
    matches!(tape.variant(), Variant::Tiled)
}

/// One invocation per element of a `rows` x `cols` output, or one workgroup per tile of it.
fn launch(
    tape: &Tape,
    [simple, by_tiles]: [&'static Shader; 2],
    params: &impl bytemuck::NoUninit,
    [rows, cols]: [usize; 2],
) -> Dispatch {
    if tiled(tape) {
        let tiles = rows.div_ceil(TILE) * cols.div_ceil(TILE);
        Dispatch::new(Kernel::new(by_tiles), params, tiles as u64)
    } else {
        Dispatch::new(Kernel::new(simple), params, groups_for(rows * cols))
    }
}

fn side(tape: &mut Tape, name: &str, x: Value, rows: usize, dims: usize) -> Result<Side> {
    let norm = tape.temporary(name, &[rows], Element::F32)?;
    let params = Norm { rows: rows as u32, dims: dims as u32 };
    let launch = if tiled(tape) {
        Dispatch::new(Kernel::new(&NORM_TILED), &params, rows as u64)
    } else {
        Dispatch::new(Kernel::new(&NORM), &params, groups_for(rows))
    };
    tape.dispatch(launch.read(x).write(norm));
    Ok(Side { x, norm, rows })
}

/// `dot(a_r, b_s) / (max(|a_r|, 1e-8) max(|b_s|, 1e-8))` of all rows of `a: [R, D]` and `b: [S, D]`, as
/// `[R, S]`: PyTorch's `cosine_similarity` of all pairs. Holds the whole matrix.
///
/// # Errors
/// Operands that are no matrices with rows of one length; on software drivers, more than 65,000 rows
/// or dimensions.
pub fn cosine(tape: &mut Tape, a: Value, b: Value) -> Result<Value> {
    let (rows, others, dims) = match (tape.shape(a), tape.shape(b)) {
        (&[rows, dims], &[others, d]) if d == dims => (rows, others, dims),
        (a, b) => {
            let message = format!("a {a:?}, b {b:?}: expected [R, D] and [S, D]");
            return Err(Error::shape("cosine", message));
        }
    };
    if !tiled(tape) && rows.max(others).max(dims) > LOOP_LIMIT {
        let message = format!(
            "a [{rows}, {dims}], b [{others}, {dims}]: at most {LOOP_LIMIT} rows or dimensions on this \
             adapter"
        );
        return Err(Error::shape("cosine", message));
    }
    let of_a = side(tape, "cosine.norm_a", a, rows, dims)?;
    let of_b = side(tape, "cosine.norm_b", b, others, dims)?;
    let y = tape.temporary("cosine", &[rows, others], Element::F32)?;
    let params = Forward { rows: rows as u32, others: others as u32, dims: dims as u32 };
    let launch = launch(tape, [&FORWARD, &FORWARD_TILED], &params, [rows, others]);
    tape.dispatch(launch.read(a).read(b).read(of_a.norm).read(of_b.norm).write(y));
    tape.rule(y, &[a, b], move |tape, grad_y, needs| {
        let mut grad = |name, own, other, strides, need: bool| {
            need.then(|| backward(tape, name, [grad_y, y], own, other, dims, strides)).transpose()
        };
        Ok(vec![
            grad("cosine.grad_a", of_a, of_b, [others, 1], needs[0])?,
            grad("cosine.grad_b", of_b, of_a, [1, others], needs[1])?,
        ])
    });
    Ok(y)
}

/// The gradient of one side; `strides`: elements of y between neighbours of the own and other side.
fn backward(
    tape: &mut Tape,
    name: &str,
    [grad_y, y]: [Value; 2],
    own: Side,
    other: Side,
    dims: usize,
    strides: [usize; 2],
) -> Result<Value> {
    let share = tape.temporary("cosine.share", &[own.rows], Element::F32)?;
    let grad = tape.temporary(name, &[own.rows, dims], Element::F32)?;
    let params = Backward {
        rows: own.rows as u32,
        others: other.rows as u32,
        dims: dims as u32,
        own_stride: strides[0] as u32,
        other_stride: strides[1] as u32,
    };
    let sums = Dispatch::new(Kernel::new(&SHARE), &params, groups_for(own.rows));
    tape.dispatch(sums.read(grad_y).read(y).write(share));
    let launch = launch(tape, [&BACKWARD, &BACKWARD_TILED], &params, [own.rows, dims])
        .read(grad_y)
        .read(own.x)
        .read(other.x)
        .read(own.norm)
        .read(other.norm)
        .read(share)
        .write(grad);
    tape.dispatch(launch);
    Ok(grad)
}
