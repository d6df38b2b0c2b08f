//! The faster kernels: a convolution and its gradients as matrix products whose left-hand side is
//! gathered from the images while it is read.

use super::{Sizes, groups_for};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Variant, params, shader};

params! {
    /// A product with one row per pixel.
    pub struct ImplicitGemm {
        images: u32, height: u32, width: u32, k_quads: u32,
        rows: u32, columns: u32, channels: u32,
        stride: u32, row0: i32, column0: i32, step: i32,
        taps_down: u32, taps_across: u32, tap_row0: u32, tap_column0: u32, tap_step: u32,
        kernel_width: u32,
        out_height: u32, out_width: u32, out_stride: u32, out_row0: u32, out_column0: u32,
    }
}
params! {
    /// A product summed over pixels.
    pub struct WeightGemm {
        pixels: u32, height: u32, width: u32, channels: u32,
        rows: u32, columns: u32, out_channels: u32,
        stride: u32, padding: u32, taps: u32, kernel_width: u32, split: u32,
    }
}
params! {
    /// Partial sums to add.
    pub struct Partials { len: u32, splits: u32 }
}
params! {
    /// Sizes before and after padding.
    pub struct Padding {
        batches: u32, rows: u32, columns: u32, padded_rows: u32, padded_columns: u32,
    }
}

static IMPLICIT_GEMM_SUBGROUP: Shader = shader!("conv2d", "implicit_gemm_subgroup", ImplicitGemm);
static WEIGHT_GEMM_SUBGROUP: Shader = shader!("conv2d", "weight_gemm_subgroup", WeightGemm);
static SUM_PARTIALS: Shader = shader!("conv2d", "sum_partials", Partials);
static PAD_CHANNELS: Shader = shader!("conv2d", "pad_channels", Padding);

pub(super) const SHADERS: &[&Shader] =
    &[&IMPLICIT_GEMM_SUBGROUP, &WEIGHT_GEMM_SUBGROUP, &SUM_PARTIALS, &PAD_CHANNELS];

/// The constants that are restated, with every value.
pub(super) const RESTATED: &[Restated] = &[
    (&IMPLICIT_GEMM_SUBGROUP, &[("LANES", &[4, 8]), ("QUADS", &[4, 8]), ("BY_COLUMN", &[0, 1])]),
    (&WEIGHT_GEMM_SUBGROUP, &[("LANES", &[4, 8]), ("QUADS", &[4, 8])]),
];

/// Which kernels; a subset of the adapter's variants.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tile {
    /// Pixels (or weights) in a subgroup's lanes, columns in fours.
    Subgroup { lanes: u32, quads: u32 },
}

impl Tile {
    /// The kernels of a variant for a product with so many columns; none for the simple ones.
    pub(super) fn new(variant: Variant, columns: u32) -> Option<Self> {
        match variant {
            Variant::Subgroup { lanes } => {
                // Wide tiles load less per product, unless their surplus columns eat that up.
                let wide = lanes == 8
                    && columns.next_multiple_of(32) * 4 < columns.next_multiple_of(16) * 5;
                Some(Self::Subgroup { lanes, quads: if wide { 8 } else { 4 } })
            }
            Variant::Simple | Variant::Tiled => None,
        }
    }

    fn implicit_gemm(self, by_column: bool) -> Kernel {
        let Self::Subgroup { lanes, quads } = self;
        let consts = [("LANES", lanes), ("QUADS", quads), ("BY_COLUMN", by_column.into())];
        Kernel::with(&IMPLICIT_GEMM_SUBGROUP, &consts)
    }

    /// Rows and columns of one workgroup.
    fn sizes(self) -> [u64; 2] {
        let Self::Subgroup { lanes, quads } = self;
        [8 * u64::from(lanes), 4 * u64::from(quads)]
    }
}

/// v `[batches, rows, columns]` with rows and columns filled up with zeros to multiples of 4; v
/// itself where they are.
fn padded(tape: &mut Tape, v: Value, sizes: [u32; 3], rows: bool) -> Result<Value> {
    let [batches, height, width] = sizes;
    let padded_rows = if rows { height.next_multiple_of(4) } else { height };
    let padded_columns = width.next_multiple_of(4);
    if (padded_rows, padded_columns) == (height, width) {
        return Ok(v);
    }
    let shape = [batches, padded_rows, padded_columns].map(|v| v as usize);
    let out = tape.temporary("conv2d.padded", &shape, Element::F32)?;
    let params = Padding { batches, rows: height, columns: width, padded_rows, padded_columns };
    let groups = groups_for(tape.len(out));
    tape.dispatch(Dispatch::new(Kernel::new(&PAD_CHANNELS), &params, groups).read(v).write(out));
    Ok(out)
}

fn launch(
    tape: &mut Tape,
    tile: Tile,
    p: &ImplicitGemm,
    by_column: bool,
    [source, weight, out]: [Value; 3],
) {
    let [rows, columns] = tile.sizes();
    let pixels = u64::from(p.images) * u64::from(p.rows) * u64::from(p.columns);
    let groups = pixels.div_ceil(rows) * u64::from(p.channels).div_ceil(columns);
    let dispatch = Dispatch::new(tile.implicit_gemm(by_column), p, groups);
    tape.dispatch(dispatch.read(source).read(weight).write(out));
}

/// y of [`super::conv2d`].
pub(super) fn forward(
    tape: &mut Tape,
    tile: Tile,
    s: &Sizes,
    [x, weight, y]: [Value; 3],
) -> Result<()> {
    let taps = s.kernel_height * s.kernel_width;
    let x = padded(tape, x, [1, s.images * s.height * s.width, s.channels], false)?;
    let weight = padded(tape, weight, [taps, s.channels, s.out_channels], true)?;
    let p = ImplicitGemm {
        images: s.images,
        height: s.height,
        width: s.width,
        k_quads: s.channels.div_ceil(4),
        rows: s.out_height,
        columns: s.out_width,
        channels: s.out_channels,
        stride: s.stride,
        row0: -(s.padding as i32),
        column0: -(s.padding as i32),
        step: 1,
        taps_down: s.kernel_height,
        taps_across: s.kernel_width,
        tap_row0: 0,
        tap_column0: 0,
        tap_step: 1,
        kernel_width: s.kernel_width,
        out_height: s.out_height,
        out_width: s.out_width,
        out_stride: 1,
        out_row0: 0,
        out_column0: 0,
    };
    launch(tape, tile, &p, false, [x, weight, y]);
    Ok(())
}

/// One class of the pixels of x along one dimension: pixels `first`, `first + stride`, … are seen
/// through every stride-th tap.
struct Class {
    /// Number of pixels.
    pixels: u32,
    /// First tap.
    tap: u32,
    /// Number of taps.
    taps: u32,
    /// Row of y that the first pixel finds under the first tap.
    row0: i32,
}

impl Class {
    fn new(first: u32, size: u32, kernel: u32, stride: u32, padding: u32) -> Self {
        // y row r under tap t is pixel r stride + t - padding.
        let tap = (first + padding) % stride;
        Self {
            pixels: (size - first).div_ceil(stride),
            tap,
            taps: kernel.saturating_sub(tap).div_ceil(stride),
            row0: ((first + padding - tap) / stride) as i32,
        }
    }
}

/// The gradient of x: one product per class of pixels, none of them with a tap that misses.
pub(super) fn backward_input(
    tape: &mut Tape,
    tile: Tile,
    s: &Sizes,
    [weight, grad_y, grad_x]: [Value; 3],
) -> Result<()> {
    let taps = s.kernel_height * s.kernel_width;
    let pixels = s.images * s.out_height * s.out_width;
    let grad_y = padded(tape, grad_y, [1, pixels, s.out_channels], false)?;
    let weight = padded(tape, weight, [1, taps * s.channels, s.out_channels], false)?;
    for first_row in 0..s.stride.min(s.height) {
        for first_column in 0..s.stride.min(s.width) {
            let down = Class::new(first_row, s.height, s.kernel_height, s.stride, s.padding);
            let across = Class::new(first_column, s.width, s.kernel_width, s.stride, s.padding);
            let p = ImplicitGemm {
                images: s.images,
                height: s.out_height,
                width: s.out_width,
                k_quads: s.out_channels.div_ceil(4),
                rows: down.pixels,
                columns: across.pixels,
                channels: s.channels,
                stride: 1,
                row0: down.row0,
                column0: across.row0,
                step: -1,
                taps_down: down.taps,
                taps_across: across.taps,
                tap_row0: down.tap,
                tap_column0: across.tap,
                tap_step: s.stride,
                kernel_width: s.kernel_width,
                out_height: s.height,
                out_width: s.width,
                out_stride: s.stride,
                out_row0: first_row,
                out_column0: first_column,
            };
            launch(tape, tile, &p, true, [grad_y, weight, grad_x]);
        }
    }
    Ok(())
}

/// The gradient of the weights. Sums over many pixels are split, so that enough workgroups run, and
/// the parts are added in order: the same bits each time.
pub(super) fn backward_weight(
    tape: &mut Tape,
    tile: Tile,
    s: &Sizes,
    [x, grad_y, grad_weight]: [Value; 3],
) -> Result<()> {
    let taps = s.kernel_height * s.kernel_width;
    let pixels = s.images * s.out_height * s.out_width;
    let x = padded(tape, x, [1, s.images * s.height * s.width, s.channels], false)?;
    let grad_y = padded(tape, grad_y, [1, pixels, s.out_channels], false)?;
    let Tile::Subgroup { lanes, quads } = tile;
    let [rows, columns] = tile.sizes();
    let tiles = u64::from(taps * s.channels.next_multiple_of(4)).div_ceil(rows)
        * u64::from(s.out_channels).div_ceil(columns);
    let (kernel, wanted, least) =
        (Kernel::with(&WEIGHT_GEMM_SUBGROUP, &[("LANES", lanes), ("QUADS", quads)]), 16u64, 64u32);
    let splits = (wanted / tiles).clamp(1, u64::from(pixels.div_ceil(least))) as u32;
    let split = pixels.div_ceil(splits).next_multiple_of(4);
    let splits = pixels.div_ceil(split);
    let p = WeightGemm {
        pixels,
        height: s.height,
        width: s.width,
        channels: s.channels,
        rows: s.out_height,
        columns: s.out_width,
        out_channels: s.out_channels,
        stride: s.stride,
        padding: s.padding,
        taps,
        kernel_width: s.kernel_width,
        split,
    };
    let launch = Dispatch::new(kernel, &p, tiles * u64::from(splits)).read(x).read(grad_y);
    if splits == 1 {
        tape.dispatch(launch.write(grad_weight));
        return Ok(());
    }
    let len = tape.len(grad_weight);
    let partials = tape.temporary("conv2d.partials", &[splits as usize, len], Element::F32)?;
    tape.dispatch(launch.write(partials));
    let params = Partials { len: len as u32, splits };
    let sum = Dispatch::new(Kernel::new(&SUM_PARTIALS), &params, groups_for(len));
    tape.dispatch(sum.read(partials).write(grad_weight));
    Ok(())
}
