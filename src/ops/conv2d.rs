//! Two-dimensional convolution, without bias.

mod gemm;
mod patches;
mod winograd;

use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Variant, params, shader};
use crate::{Error, Result};
use gemm::Tile;
pub(super) use gemm::sum_parts;
use patches::Patches;
use winograd::Winograd;

params! {
    /// Sizes of a convolution.
    pub struct Sizes {
        images: u32, height: u32, width: u32, channels: u32,
        out_height: u32, out_width: u32, out_channels: u32,
        kernel_height: u32, kernel_width: u32, stride: u32, padding: u32,
    }
}

static FORWARD: Shader = shader!("conv2d", "forward", Sizes);
static BACKWARD_INPUT: Shader = shader!("conv2d", "backward_input", Sizes);
static BACKWARD_WEIGHT: Shader = shader!("conv2d", "backward_weight", Sizes);

/// The family's shaders.
pub fn shaders() -> Vec<&'static Shader> {
    let simple: &[&Shader] = &[&FORWARD, &BACKWARD_INPUT, &BACKWARD_WEIGHT];
    [simple, gemm::SHADERS, patches::SHADERS, winograd::SHADERS].concat()
}

/// The constants that the family restates, with every value.
pub fn restated() -> Vec<Restated> {
    let simple: &[Restated] = &[(&BACKWARD_WEIGHT, &[("MOST_PIXELS", &[MOST_PIXELS])])];
    [simple, gemm::RESTATED, winograd::RESTATED].concat()
}

/// Pixels that one invocation sums at most.
const MOST_PIXELS: u32 = LOOP_LIMIT as u32;

/// Cross-correlation of x `[N, H, W, C]` with weight `[KH, KW, C, O]`, padded with `padding` zeros
/// on each side: y `[N, Ho, Wo, O]`, `Ho = (H + 2 padding - KH) / stride + 1` rounded down.
///
/// # Errors
/// Ranks other than 4, different channel counts, stride 0, a kernel larger than the padded input; on software drivers
/// more taps and channels than one invocation may walk.
pub fn conv2d(
    tape: &mut Tape,
    x: Value,
    weight: Value,
    stride: usize,
    padding: usize,
) -> Result<Value> {
    let sizes = sizes(tape.shape(x), tape.shape(weight), stride, padding)?;
    let variant = tape.convolutions();
    let y = forward(tape, variant, &sizes, x, weight)?;
    tape.rule(y, &[x, weight], move |tape, grad_y, needs| {
        let grad_x = needs[0].then(|| backward_input(tape, variant, &sizes, weight, grad_y));
        let grad_weight = needs[1].then(|| backward_weight(tape, variant, &sizes, x, grad_y));
        Ok(vec![grad_x.transpose()?, grad_weight.transpose()?])
    });
    Ok(y)
}

fn sizes(x: &[usize], weight: &[usize], stride: usize, padding: usize) -> Result<Sizes> {
    let wrong = |why: &str| {
        let text = format!("x {x:?}, weight {weight:?}, stride {stride}, padding {padding}: {why}");
        Error::shape("conv2d", text)
    };
    let (&[images, height, width, channels], &[kernel_height, kernel_width, inner, out_channels]) =
        (x, weight)
    else {
        return Err(wrong("expected x [N, H, W, C] and weight [KH, KW, C, O]"));
    };
    if inner != channels {
        return Err(wrong("the channel counts C differ"));
    }
    if stride == 0 {
        return Err(wrong("the stride must be at least 1"));
    }
    let out = |size: usize, kernel: usize| {
        let room = (size + 2 * padding).checked_sub(kernel);
        room.map(|r| r / stride + 1).ok_or_else(|| wrong("the kernel is larger than the input"))
    };
    let (out_height, out_width) = (out(height, kernel_height)?, out(width, kernel_width)?);
    Ok(Sizes {
        images: images as u32,
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        out_channels: out_channels as u32,
        kernel_height: kernel_height as u32,
        kernel_width: kernel_width as u32,
        stride: stride as u32,
        padding: padding as u32,
    })
}

impl Sizes {
    /// a `[M, K]` times b `[K, N]` as a convolution of one image of 1 x M pixels with a 1 x 1
    /// kernel: x is a, weight is b, y is the product.
    pub(super) fn product(rows: usize, inner: usize, columns: usize) -> Self {
        Self {
            images: 1,
            height: 1,
            width: rows as u32,
            channels: inner as u32,
            out_height: 1,
            out_width: rows as u32,
            out_channels: columns as u32,
            kernel_height: 1,
            kernel_width: 1,
            stride: 1,
            padding: 0,
        }
    }

    /// Of y.
    fn pixels(&self) -> u32 {
        self.images * self.out_height * self.out_width
    }

    /// Multiply-adds of each pass.
    fn work(&self) -> u64 {
        let [n, h, w, o] = self.y().map(|v| v as u64);
        let per_output = self.kernel_height * self.kernel_width * self.channels;
        n * h * w * o * u64::from(per_output)
    }

    fn x(&self) -> [usize; 4] {
        [self.images, self.height, self.width, self.channels].map(|v| v as usize)
    }

    fn weight(&self) -> [usize; 4] {
        [self.kernel_height, self.kernel_width, self.channels, self.out_channels]
            .map(|v| v as usize)
    }

    fn y(&self) -> [usize; 4] {
        [self.images, self.out_height, self.out_width, self.out_channels].map(|v| v as usize)
    }
}

/// Whether one invocation may walk all taps and so many channels, as the kernels of software drivers do.
fn check_walk(variant: Variant, s: &Sizes, channels: u32) -> Result<()> {
    let each = match variant {
        Variant::Simple => channels,
        Variant::Subgroup { .. } => channels.div_ceil(4),
        Variant::Tiled | Variant::Cooperative => return Ok(()),
    };
    let [down, across, each] = [s.kernel_height, s.kernel_width, each].map(|v| v as usize);
    // A round of a loop's own and one to leave it.
    if down * (2 + across * (2 + each)) <= LOOP_LIMIT {
        return Ok(());
    }
    let (x, weight) = (s.x(), s.weight());
    let why = "more taps and channels than one invocation may walk on this adapter";
    Err(Error::shape("conv2d", format!("x {x:?}, weight {weight:?}: {why}")))
}

pub(super) fn forward(
    tape: &mut Tape,
    variant: Variant,
    s: &Sizes,
    x: Value,
    weight: Value,
) -> Result<Value> {
    let y = tape.temporary("conv2d", &s.y(), Element::F32)?;
    if let Some(winograd) = Winograd::new(variant, tape.tuning(), s) {
        winograd.forward(tape, [x, weight, y])?;
        return Ok(y);
    }
    if let Some(patches) = Patches::new(tape, variant, s) {
        patches.forward(tape, [x, weight, y])?;
        return Ok(y);
    }
    check_walk(variant, s, s.channels)?;
    if let Some(tile) = Tile::new(variant, tape.tuning(), s.work(), s.out_channels) {
        gemm::forward(tape, tile, s, [x, weight, y])?;
        return Ok(y);
    }
    let launch = Dispatch::new(Kernel::new(&FORWARD), s, groups_for(tape.len(y)));
    tape.dispatch(launch.read(x).read(weight).write(y));
    Ok(y)
}

pub(super) fn backward_input(
    tape: &mut Tape,
    variant: Variant,
    s: &Sizes,
    weight: Value,
    grad_y: Value,
) -> Result<Value> {
    let grad_x = tape.temporary("conv2d.grad_x", &s.x(), Element::F32)?;
    if let Some(winograd) = Winograd::new(variant, tape.tuning(), s) {
        winograd.backward_input(tape, [weight, grad_y, grad_x])?;
        return Ok(grad_x);
    }
    check_walk(variant, s, s.out_channels)?;
    if let Some(tile) = Tile::new(variant, tape.tuning(), s.work(), s.channels) {
        gemm::backward_input(tape, tile, s, [weight, grad_y, grad_x])?;
        return Ok(grad_x);
    }
    let launch = Dispatch::new(Kernel::new(&BACKWARD_INPUT), s, groups_for(tape.len(grad_x)));
    tape.dispatch(launch.read(weight).read(grad_y).write(grad_x));
    Ok(grad_x)
}

pub(super) fn backward_weight(
    tape: &mut Tape,
    variant: Variant,
    s: &Sizes,
    x: Value,
    grad_y: Value,
) -> Result<Value> {
    let grad = tape.temporary("conv2d.grad_weight", &s.weight(), Element::F32)?;
    let winograd = Winograd::new(variant, tape.tuning(), s);
    if let Some(winograd) = winograd.and_then(Winograd::of_weights) {
        winograd.backward_weight(tape, [x, grad_y, grad])?;
        return Ok(grad);
    }
    let patches = Patches::new(tape, variant, s);
    if let Some(patches) = patches.and_then(Patches::of_weights) {
        patches.backward_weight(tape, [x, grad_y, grad])?;
        return Ok(grad);
    }
    if let Some(tile) = Tile::new(variant, tape.tuning(), s.work(), s.out_channels) {
        gemm::backward_weight(tape, tile, s, [x, grad_y, grad])?;
        return Ok(grad);
    }
    let splits = s.pixels().div_ceil(MOST_PIXELS);
    let kernel = Kernel::with(&BACKWARD_WEIGHT, &[("MOST_PIXELS", MOST_PIXELS)]);
    let groups = groups_for(splits as usize * tape.len(grad));
    let launch = Dispatch::new(kernel, s, groups).read(x).read(grad_y);
    sum_parts(tape, grad, splits, |tape, out| {
        tape.dispatch(launch.write(out));
        Ok(())
    })?;
    Ok(grad)
}
