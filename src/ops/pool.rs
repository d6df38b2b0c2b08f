//! Pooling: greatest or average value of square windows, the average of whole maps, and of a grid of windows
//! that covers them.

use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// A window and the maps it runs over.
    pub struct Params {
        len: u32,
        height: u32,
        width: u32,
        channels: u32,
        out_height: u32,
        out_width: u32,
        kernel_height: u32,
        kernel_width: u32,
        stride: u32,
        padding: u32,
    }
}
params! {
    /// Params of `adaptive_forward` and `adaptive_backward`.
    pub struct Adaptive {
        len: u32,
        height: u32,
        width: u32,
        channels: u32,
        grid_height: u32,
        grid_width: u32,
    }
}

static MAX_FORWARD: Shader = shader!("pool", "max_forward", Params);
static MAX_FORWARD_VEC4: Shader = shader!("pool", "max_forward_vec4", Params);
static MAX_BACKWARD: Shader = shader!("pool", "max_backward", Params);
static MAX_BACKWARD_VEC4: Shader = shader!("pool", "max_backward_vec4", Params);
static AVERAGE_FORWARD: Shader = shader!("pool", "average_forward", Params);
static AVERAGE_FORWARD_VEC4: Shader = shader!("pool", "average_forward_vec4", Params);
static AVERAGE_BACKWARD: Shader = shader!("pool", "average_backward", Params);
static AVERAGE_BACKWARD_VEC4: Shader = shader!("pool", "average_backward_vec4", Params);
static ADAPTIVE_FORWARD: Shader = shader!("pool", "adaptive_forward", Adaptive);
static ADAPTIVE_BACKWARD: Shader = shader!("pool", "adaptive_backward", Adaptive);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[
    &MAX_FORWARD,
    &MAX_FORWARD_VEC4,
    &MAX_BACKWARD,
    &MAX_BACKWARD_VEC4,
    &AVERAGE_FORWARD,
    &AVERAGE_FORWARD_VEC4,
    &AVERAGE_BACKWARD,
    &AVERAGE_BACKWARD_VEC4,
    &ADAPTIVE_FORWARD,
    &ADAPTIVE_BACKWARD,
];

/// The greatest value of each `kernel` x `kernel` window of `x: [N, H, W, C]`, a window every
/// `stride` rows and columns, over maps widened by `padding` on every side, which is never the
/// greatest. Of equal values the first, row by row, gets the gradient, as in PyTorch.
///
/// Gives `[N, (H + 2 padding - kernel) / stride + 1, (W + ..) / stride + 1, C]`, rounded down.
///
/// # Errors
/// `x` of another rank, a window larger than the padded map or of about 60,000 elements, a stride of
/// 0, or a padding of more than half the kernel, with which windows could lie in the padding
/// altogether.
pub fn max_pool(
    tape: &mut Tape,
    x: Value,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<Value> {
    let pool = Pool::new("max_pool", tape, x, Some((kernel, stride, padding)))?;
    let y = tape.temporary("max_pool", &pool.out, Element::F32)?;
    let place = tape.temporary("max_pool.place", &pool.out, Element::U32)?;
    let launch = pool.launch([&MAX_FORWARD, &MAX_FORWARD_VEC4], &pool.out);
    tape.dispatch(launch.read(x).write(y).write(place));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let grad_x = tape.temporary("max_pool.grad_x", &pool.shape, Element::F32)?;
        let launch = pool.launch([&MAX_BACKWARD, &MAX_BACKWARD_VEC4], &pool.shape);
        tape.dispatch(launch.read(grad_y).read(place).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(y)
}

/// The sum of each window over `kernel * kernel`, windows as in [`max_pool`]. The padding counts as
/// zeros, in the area too: PyTorch's default, `count_include_pad = true`.
///
/// # Errors
/// As [`max_pool`].
pub fn average_pool(
    tape: &mut Tape,
    x: Value,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<Value> {
    average(tape, x, Pool::new("average_pool", tape, x, Some((kernel, stride, padding)))?)
}

/// The mean of every map: `[N, H, W, C]` into `[N, C]`.
///
/// # Errors
/// `x` of another rank, maps of more than about 60,000 elements.
pub fn global_average_pool(tape: &mut Tape, x: Value) -> Result<Value> {
    let pool = Pool::new("global_average_pool", tape, x, None)?;
    let shape = [pool.shape[0], pool.shape[3]];
    let y = average(tape, x, pool)?;
    tape.reshape(y, &shape)
}

/// The means of a grid of windows that covers each map: `x: [N, H, W, C]` into `[N, gh, gw, C]`, as PyTorch's
/// `adaptive_avg_pool2d`. Row i of the grid takes the rows from `floor(i H / gh)` to below
/// `ceil((i + 1) H / gh)`, columns alike: where `gh` does not divide `H`, windows differ in size and
/// neighbours may share a row.
///
/// # Errors
/// `x` of another rank, a grid with more rows or columns than the maps, or with none, maps with a side
/// above, or windows of more than, about 60,000 elements.
pub fn adaptive_avg(tape: &mut Tape, x: Value, grid: [usize; 2]) -> Result<Value> {
    let op = "adaptive_avg";
    let shape: [usize; 4] = tape
        .shape(x)
        .try_into()
        .map_err(|_| Error::shape(op, format!("x {:?}: expected [N, H, W, C]", tape.shape(x))))?;
    let ([n, h, w, c], [gh, gw]) = (shape, grid);
    let wrong = |why: &str| Err(Error::shape(op, format!("x {shape:?}, grid {grid:?}: {why}")));
    if gh == 0 || gw == 0 {
        return wrong("the grid must have at least 1 row and column");
    }
    if gh > h || gw > w {
        return wrong("the grid is finer than the maps");
    }
    // A window that meets its neighbours reaches at most one row beyond its share.
    let window = [h.div_ceil(gh) + 1, w.div_ceil(gw) + 1];
    if h.max(w) > LOOP_LIMIT || window[0] * (window[1] + 1) > LOOP_LIMIT {
        return wrong("the maps or windows are too large for one invocation");
    }
    let launch = move |shader, len: usize| {
        let params = Adaptive {
            len: len as u32,
            height: h as u32,
            width: w as u32,
            channels: c as u32,
            grid_height: gh as u32,
            grid_width: gw as u32,
        };
        Dispatch::new(Kernel::new(shader), &params, groups_for(len))
    };
    let y = tape.temporary(op, &[n, gh, gw, c], Element::F32)?;
    tape.dispatch(launch(&ADAPTIVE_FORWARD, n * gh * gw * c).read(x).write(y));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let grad_x = tape.temporary("adaptive_avg.grad_x", &shape, Element::F32)?;
        tape.dispatch(launch(&ADAPTIVE_BACKWARD, n * h * w * c).read(grad_y).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(y)
}

fn average(tape: &mut Tape, x: Value, pool: Pool) -> Result<Value> {
    let y = tape.temporary("average_pool", &pool.out, Element::F32)?;
    let launch = pool.launch([&AVERAGE_FORWARD, &AVERAGE_FORWARD_VEC4], &pool.out);
    tape.dispatch(launch.read(x).write(y));
    tape.rule(y, &[x], move |tape, grad_y, _| {
        let grad_x = tape.temporary("average_pool.grad_x", &pool.shape, Element::F32)?;
        let launch = pool.launch([&AVERAGE_BACKWARD, &AVERAGE_BACKWARD_VEC4], &pool.shape);
        tape.dispatch(launch.read(grad_y).write(grad_x));
        Ok(vec![Some(grad_x)])
    });
    Ok(y)
}

/// Shapes of `x` and `y`, both `[N, H, W, C]`, and the window.
struct Pool {
    shape: [usize; 4],
    out: [usize; 4],
    kernel: [usize; 2],
    stride: usize,
    padding: usize,
}

impl Pool {
    /// `window` is kernel, stride and padding; absent: one window, the whole map.
    fn new(op: &str, tape: &Tape, x: Value, window: Option<(usize, usize, usize)>) -> Result<Self> {
        let shape: [usize; 4] = tape.shape(x).try_into().map_err(|_| {
            Error::shape(op, format!("x {:?}: expected [N, H, W, C]", tape.shape(x)))
        })?;
        let [n, h, w, c] = shape;
        let (kernel, stride, padding) = match window {
            Some((kernel, stride, padding)) => ([kernel; 2], stride, padding),
            None => ([h, w], 1, 0),
        };
        let wrong = |why: &str| {
            let [kernel, _] = kernel;
            let window = format!("kernel {kernel}, stride {stride}, padding {padding}");
            Err(Error::shape(op, format!("x {shape:?}, {window}: {why}")))
        };
        if kernel[0] == 0 || stride == 0 {
            return wrong("kernel and stride must be at least 1");
        }
        if 2 * padding > kernel[0] {
            return wrong("the padding must not exceed half the kernel");
        }
        if h + 2 * padding < kernel[0] || w + 2 * padding < kernel[1] {
            return wrong("the window is larger than the padded map");
        }
        if kernel[0] * (kernel[1] + 1) > LOOP_LIMIT {
            return wrong("the window is too large for one invocation");
        }
        let size = |len: usize, k: usize| (len + 2 * padding - k) / stride + 1;
        let out = [n, size(h, kernel[0]), size(w, kernel[1]), c];
        Ok(Self { shape, out, kernel, stride, padding })
    }

    /// One invocation per element, or four channels, of a tensor of shape `written`.
    fn launch(&self, [scalar, vec4]: [&'static Shader; 2], written: &[usize; 4]) -> Dispatch {
        let len: usize = written.iter().product();
        let (shader, len) =
            if self.shape[3].is_multiple_of(4) { (vec4, len / 4) } else { (scalar, len) };
        let params = Params {
            len: len as u32,
            height: self.shape[1] as u32,
            width: self.shape[2] as u32,
            channels: self.shape[3] as u32,
            out_height: self.out[1] as u32,
            out_width: self.out[2] as u32,
            kernel_height: self.kernel[0] as u32,
            kernel_width: self.kernel[1] as u32,
            stride: self.stride as u32,
            padding: self.padding as u32,
        };
        Dispatch::new(Kernel::new(shader), &params, groups_for(len))
    }
}
