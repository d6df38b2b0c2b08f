//! The faster kernels: a convolution and its gradients as matrix products whose left-hand side is
//! gathered from the images while it is read.

use super::{LOOP_LIMIT, Sizes, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Tuning, Variant, params, shader};
use crate::{Error, Result};

params! {
    /// A product with one row per pixel.
    pub struct ImplicitGemm {
        images: u32, height: u32, width: u32, k_quads: u32,
        rows: u32, columns: u32, n_quads: u32,
        stride: u32, row0: i32, column0: i32, step: i32,
        taps_down: u32, taps_across: u32, tap_row0: u32, tap_column0: u32, tap_step: u32,
        kernel_width: u32,
        out_height: u32, out_width: u32, out_stride: u32, out_row0: u32, out_column0: u32,
    }
}
params! {
    /// A product summed over pixels.
    pub struct WeightGemm {
        pixels: u32, height: u32, width: u32, c_quads: u32,
        rows: u32, columns: u32, o_quads: u32,
        stride: u32, padding: u32, taps: u32, kernel_width: u32, split: u32, first: u32, part: u32,
    }
}
params! {
    /// Partial sums to add.
    pub struct Partials { len: u32, splits: u32 }
}
params! {
    /// Sizes before and after.
    pub struct Resize {
        batches: u32, rows: u32, columns: u32, out_rows: u32, out_columns: u32,
    }
}

static IMPLICIT_GEMM_SUBGROUP: Shader = shader!("conv2d", "implicit_gemm_subgroup", ImplicitGemm);
static WEIGHT_GEMM_SUBGROUP: Shader = shader!("conv2d", "weight_gemm_subgroup", WeightGemm);
static IMPLICIT_GEMM_TILED: Shader = shader!("conv2d", "implicit_gemm_tiled", ImplicitGemm);
static WEIGHT_GEMM_TILED: Shader = shader!("conv2d", "weight_gemm_tiled", WeightGemm);
static IMPLICIT_GEMM_COOPERATIVE: Shader =
    shader!("conv2d", "implicit_gemm_cooperative", ImplicitGemm);
static WEIGHT_GEMM_COOPERATIVE: Shader = shader!("conv2d", "weight_gemm_cooperative", WeightGemm);
static SUM_PARTIALS: Shader = shader!("conv2d", "sum_partials", Partials);
static RESIZE: Shader = shader!("conv2d", "resize", Resize);

pub(super) const SHADERS: &[&Shader] = &[
    &IMPLICIT_GEMM_SUBGROUP,
    &WEIGHT_GEMM_SUBGROUP,
    &IMPLICIT_GEMM_TILED,
    &WEIGHT_GEMM_TILED,
    &IMPLICIT_GEMM_COOPERATIVE,
    &WEIGHT_GEMM_COOPERATIVE,
    &SUM_PARTIALS,
    &RESIZE,
];

/// The constants that are restated, with every value.
pub(super) const RESTATED: &[Restated] = &[
    (&IMPLICIT_GEMM_SUBGROUP, &[("LANES", &[4, 8]), ("QUADS", &[4, 8]), ("BY_COLUMN", &[0, 1])]),
    (&WEIGHT_GEMM_SUBGROUP, &[("LANES", &[4, 8]), ("QUADS", &[4, 8])]),
    (&IMPLICIT_GEMM_TILED, &[("QUADS", &[4, 8, 16]), ("BY_COLUMN", &[0, 1])]),
    (&WEIGHT_GEMM_TILED, &[("QUADS", &[8, 16])]),
    (&IMPLICIT_GEMM_COOPERATIVE, &[("QUADS", &[4, 8, 16]), ("BY_COLUMN", &[0, 1])]),
    (&WEIGHT_GEMM_COOPERATIVE, &[("QUADS", &[8, 16])]),
];

/// Which kernels, and how wide the tile of one workgroup is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tile {
    /// Rows in a subgroup's lanes, columns in fours.
    Subgroup { lanes: u32, quads: u32 },
    /// 128 rows in workgroup memory, columns in fours.
    Workgroup { quads: u32 },
    /// The same, rounded to half precision and multiplied in fragments.
    Fragments { quads: u32 },
}

/// Columns of a workgroup's tile in fours.
fn workgroup_quads(tuning: &Tuning, columns: u32) -> u32 {
    match u64::from(columns) {
        n if n <= tuning.workgroup.narrow_to => 4,
        n if n <= tuning.workgroup.middle_to => 8,
        _ => 16,
    }
}

/// Columns of a subgroup's tile in fours, where a wide one is `worth` it: not where a whole half of it
/// would be surplus.
fn subgroup_quads(lanes: u32, columns: u32, worth: bool) -> u32 {
    let filled = columns.next_multiple_of(32) == columns.next_multiple_of(16);
    if worth && lanes == 8 && filled { 8 } else { 4 }
}

impl Tile {
    /// The kernels of a variant for a product of so many multiply-adds and columns; none for the
    /// simple ones.
    pub(super) fn new(variant: Variant, tuning: &Tuning, work: u64, columns: u32) -> Option<Self> {
        match variant {
            Variant::Simple => None,
            Variant::Tiled => Some(Self::Workgroup { quads: workgroup_quads(tuning, columns) }),
            Variant::Cooperative => {
                Some(Self::Fragments { quads: workgroup_quads(tuning, columns) })
            }
            Variant::Subgroup { lanes } => Some(Self::Subgroup {
                lanes,
                quads: subgroup_quads(lanes, columns, work >= tuning.subgroup.wide_from),
            }),
        }
    }

    fn implicit_gemm(self, by_column: bool) -> Kernel {
        let by_column = ("BY_COLUMN", u32::from(by_column));
        match self {
            Self::Subgroup { lanes, quads } => {
                let consts = [("LANES", lanes), ("QUADS", quads), by_column];
                Kernel::with(&IMPLICIT_GEMM_SUBGROUP, &consts)
            }
            Self::Workgroup { quads } => {
                Kernel::with(&IMPLICIT_GEMM_TILED, &[("QUADS", quads), by_column])
            }
            Self::Fragments { quads } => {
                Kernel::with(&IMPLICIT_GEMM_COOPERATIVE, &[("QUADS", quads), by_column])
            }
        }
    }

    pub(super) fn weight_gemm(self) -> Kernel {
        match self {
            Self::Subgroup { lanes, quads } => {
                Kernel::with(&WEIGHT_GEMM_SUBGROUP, &[("LANES", lanes), ("QUADS", quads)])
            }
            Self::Workgroup { quads } => Kernel::with(&WEIGHT_GEMM_TILED, &[("QUADS", quads)]),
            Self::Fragments { quads } => {
                Kernel::with(&WEIGHT_GEMM_COOPERATIVE, &[("QUADS", quads)])
            }
        }
    }

    /// The tile of the product that sums over pixels: it has no narrowest form.
    fn of_weights(self) -> Self {
        match self {
            Self::Workgroup { quads } => Self::Workgroup { quads: quads.max(8) },
            Self::Fragments { quads } => Self::Fragments { quads: quads.max(8) },
            subgroup @ Self::Subgroup { .. } => subgroup,
        }
    }

    /// Rows and columns of one workgroup.
    pub(super) fn sizes(self) -> [u64; 2] {
        match self {
            Self::Subgroup { lanes, quads } => [8 * u64::from(lanes), 4 * u64::from(quads)],
            Self::Workgroup { quads } | Self::Fragments { quads } => [128, 4 * u64::from(quads)],
        }
    }

    /// Workgroups worth having, and the fewest pixels that one should sum.
    fn splitting(self, tuning: &Tuning) -> [u64; 2] {
        let Tuning { subgroup: s, workgroup: w, .. } = tuning;
        match self {
            Self::Subgroup { .. } => [s.split_workgroups, s.split_pixels],
            Self::Workgroup { .. } | Self::Fragments { .. } => [w.split_workgroups, w.split_pixels],
        }
    }

    /// Most pixels that one workgroup can sum within [`LOOP_LIMIT`], where a row of y has so many: a multiple of 4.
    fn most_pixels(self, columns: u32) -> u32 {
        let rounds = LOOP_LIMIT as u32;
        match self {
            // Four pixels take a round, and in the loop that follows rows one for each end of a row and one to leave.
            Self::Subgroup { .. } => rounds / (2 + 4u32.div_ceil(columns)) * 4,
            // Sixteen take one, up to four times over where one subgroup multiplies all fragments.
            Self::Workgroup { .. } | Self::Fragments { .. } => rounds / 4 * 16,
        }
    }
}

/// A tensor as `[batches, rows, columns]`, and the same with columns, and where `both` rows, filled
/// up to multiples of 4.
#[derive(Clone, Copy)]
pub(super) struct Quads {
    batches: u32,
    rows: u32,
    columns: u32,
    both: bool,
}

impl Quads {
    pub(super) fn of_rows(rows: u32, columns: u32) -> Self {
        Self { batches: 1, rows, columns, both: false }
    }

    pub(super) fn of_blocks(batches: u32, rows: u32, columns: u32) -> Self {
        Self { batches, rows, columns, both: true }
    }

    /// Rows and columns, filled up.
    fn filled(self) -> [u32; 2] {
        let rows = if self.both { self.rows.next_multiple_of(4) } else { self.rows };
        [rows, self.columns.next_multiple_of(4)]
    }

    fn fit(self) -> bool {
        self.filled() == [self.rows, self.columns]
    }

    fn temporary(self, tape: &mut Tape) -> Result<Value> {
        let [rows, columns] = self.filled();
        let shape = [self.batches, rows, columns].map(|v| v as usize);
        tape.temporary("conv2d.filled", &shape, Element::F32)
    }

    /// v with zeros in the added rows and columns; v itself where there are none.
    pub(super) fn fill(self, tape: &mut Tape, v: Value) -> Result<Value> {
        if self.fit() {
            return Ok(v);
        }
        let out = self.temporary(tape)?;
        let [out_rows, out_columns] = self.filled();
        let Self { batches, rows, columns, .. } = self;
        resize(tape, &Resize { batches, rows, columns, out_rows, out_columns }, v, out);
        Ok(out)
    }

    /// Records what writes the filled tensor, and cuts that to `out`.
    pub(super) fn cut(
        self,
        tape: &mut Tape,
        out: Value,
        write: impl FnOnce(&mut Tape, Value) -> Result<()>,
    ) -> Result<()> {
        if self.fit() {
            return write(tape, out);
        }
        let filled = self.temporary(tape)?;
        write(tape, filled)?;
        let [rows, columns] = self.filled();
        let Self { batches, rows: out_rows, columns: out_columns, .. } = self;
        resize(tape, &Resize { batches, rows, columns, out_rows, out_columns }, filled, out);
        Ok(())
    }
}

fn resize(tape: &mut Tape, p: &Resize, v: Value, out: Value) {
    let groups = groups_for(tape.len(out));
    tape.dispatch(Dispatch::new(Kernel::new(&RESIZE), p, groups).read(v).write(out));
}

pub(super) fn launch(
    tape: &mut Tape,
    tile: Tile,
    p: &ImplicitGemm,
    by_column: bool,
    [source, weight, out]: [Value; 3],
) {
    let [rows, columns] = tile.sizes();
    let pixels = u64::from(p.images) * u64::from(p.rows) * u64::from(p.columns);
    let groups = pixels.div_ceil(rows) * u64::from(4 * p.n_quads).div_ceil(columns);
    let dispatch = Dispatch::new(tile.implicit_gemm(by_column), p, groups);
    tape.dispatch(dispatch.read(source).read(weight).write(out));
}

impl ImplicitGemm {
    /// The whole of y.
    pub(super) fn of_forward(s: &Sizes) -> Self {
        Self {
            images: s.images,
            height: s.height,
            width: s.width,
            k_quads: s.channels.div_ceil(4),
            rows: s.out_height,
            columns: s.out_width,
            n_quads: s.out_channels.div_ceil(4),
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
        }
    }
}

impl WeightGemm {
    /// All pixels, shared out so.
    pub(super) fn of_all(s: &Sizes, shares: &Shares) -> Self {
        Self {
            pixels: s.pixels(),
            height: s.height,
            width: s.width,
            c_quads: s.channels.div_ceil(4),
            rows: s.out_height,
            columns: s.out_width,
            o_quads: s.out_channels.div_ceil(4),
            stride: s.stride,
            padding: s.padding,
            taps: s.kernel_height * s.kernel_width,
            kernel_width: s.kernel_width,
            split: shares.split,
            first: 0,
            part: 0,
        }
    }
}

/// y of [`super::conv2d`].
pub(super) fn forward(
    tape: &mut Tape,
    tile: Tile,
    s: &Sizes,
    [x, weight, y]: [Value; 3],
) -> Result<()> {
    let taps = s.kernel_height * s.kernel_width;
    let x = Quads::of_rows(s.images * s.height * s.width, s.channels).fill(tape, x)?;
    let weight = Quads::of_blocks(taps, s.channels, s.out_channels).fill(tape, weight)?;
    let p = ImplicitGemm::of_forward(s);
    Quads::of_rows(s.pixels(), s.out_channels).cut(tape, y, |tape, y| {
        launch(tape, tile, &p, false, [x, weight, y]);
        Ok(())
    })
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
    let pixels = s.pixels();
    let grad_y = Quads::of_rows(pixels, s.out_channels).fill(tape, grad_y)?;
    let weight = Quads::of_blocks(taps, s.channels, s.out_channels).fill(tape, weight)?;
    let x = Quads::of_rows(s.images * s.height * s.width, s.channels);
    x.cut(tape, grad_x, |tape, grad_x| {
        for first_row in 0..s.stride.min(s.height) {
            for first_column in 0..s.stride.min(s.width) {
                let p = class(s, first_row, first_column);
                launch(tape, tile, &p, true, [grad_y, weight, grad_x]);
            }
        }
        Ok(())
    })
}

/// The product for the pixels of one class.
fn class(s: &Sizes, first_row: u32, first_column: u32) -> ImplicitGemm {
    let down = Class::new(first_row, s.height, s.kernel_height, s.stride, s.padding);
    let across = Class::new(first_column, s.width, s.kernel_width, s.stride, s.padding);
    ImplicitGemm {
        images: s.images,
        height: s.out_height,
        width: s.out_width,
        k_quads: s.out_channels.div_ceil(4),
        rows: down.pixels,
        columns: across.pixels,
        n_quads: s.channels.div_ceil(4),
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
    }
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
    let pixels = s.pixels();
    let x = Quads::of_rows(s.images * s.height * s.width, s.channels).fill(tape, x)?;
    let grad_y = Quads::of_rows(pixels, s.out_channels).fill(tape, grad_y)?;
    let tile = tile.of_weights();
    let shares = Shares::new(tile, tape.tuning(), s);
    let p = WeightGemm::of_all(s, &shares);
    let launch = Dispatch::new(tile.weight_gemm(), &p, shares.groups()).read(x).read(grad_y);
    let weight = Quads::of_blocks(taps, s.channels, s.out_channels);
    weight.cut(tape, grad_weight, |tape, grad_weight| {
        sum_parts(tape, grad_weight, shares.splits, |tape, out| {
            tape.dispatch(launch.write(out));
            Ok(())
        })
    })
}

/// How the pixels that a gradient of weights sums are shared out among workgroups.
pub(super) struct Shares {
    /// Of the product.
    tiles: u64,
    /// Pixels of each share; the last may be smaller.
    pub(super) split: u32,
    pub(super) splits: u32,
}

impl Shares {
    pub(super) fn new(tile: Tile, tuning: &Tuning, s: &Sizes) -> Self {
        let pixels = s.pixels();
        let rows = s.kernel_height * s.kernel_width * s.channels.next_multiple_of(4);
        let [high, wide] = tile.sizes();
        let tiles = u64::from(rows).div_ceil(high) * u64::from(s.out_channels).div_ceil(wide);
        let [wanted, least] = tile.splitting(tuning);
        let splits = (wanted / tiles).clamp(1, u64::from(pixels).div_ceil(least)) as u32;
        let splits = splits.max(pixels.div_ceil(tile.most_pixels(s.out_width)));
        let split = pixels.div_ceil(splits).next_multiple_of(4);
        Self { tiles, split, splits: pixels.div_ceil(split) }
    }

    pub(super) fn groups(&self) -> u64 {
        self.tiles * u64::from(self.splits)
    }
}

/// Records what writes so many parts of `sum`, each as large as it, and adds them in order.
pub(in crate::ops) fn sum_parts(
    tape: &mut Tape,
    sum: Value,
    parts: u32,
    write: impl FnOnce(&mut Tape, Value) -> Result<()>,
) -> Result<()> {
    if parts == 1 {
        return write(tape, sum);
    }
    if parts as usize > LOOP_LIMIT {
        return Err(Error::shape("conv2d", format!("{parts} partial sums: too many")));
    }
    let len = tape.len(sum);
    let partials = tape.temporary("conv2d.partials", &[parts as usize, len], Element::F32)?;
    write(tape, partials)?;
    let params = Partials { len: len as u32, splits: parts };
    let launch = Dispatch::new(Kernel::new(&SUM_PARTIALS), &params, groups_for(len));
    tape.dispatch(launch.read(partials).write(sum));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{AdapterClass, SubgroupTuning, WorkgroupTuning};

    /// Rows and columns of the tile for a product of so many multiply-adds and columns.
    fn tile(variant: Variant, tuning: &Tuning, work: u64, columns: u32) -> Option<[u64; 2]> {
        Tile::new(variant, tuning, work, columns).map(Tile::sizes)
    }

    #[test]
    fn tiles_follow_shape_and_tuning() {
        let built_in = Tuning::built_in(AdapterClass::Software);
        let eight = Variant::Subgroup { lanes: 8 };
        let narrow = SubgroupTuning { wide_from: 1 << 60, ..built_in.subgroup };
        let wide = SubgroupTuning { wide_from: 0, ..built_in.subgroup };
        let (narrow, wide) =
            (Tuning { subgroup: narrow, ..built_in }, Tuning { subgroup: wide, ..built_in });
        for (variant, tuning, work, columns, want) in [
            (eight, built_in, (1 << 27) - 1, 64, [64, 16]),
            (eight, built_in, 1 << 27, 64, [64, 32]),
            // Half of the wide tile would be surplus.
            (eight, built_in, 1 << 27, 80, [64, 16]),
            (eight, narrow, 1 << 40, 64, [64, 16]),
            (eight, wide, 1, 32, [64, 32]),
            (eight, wide, 1, 16, [64, 16]),
            // Four lanes have no wide tile.
            (Variant::Subgroup { lanes: 4 }, wide, 1 << 40, 64, [32, 16]),
        ] {
            assert_eq!(tile(variant, &tuning, work, columns), Some(want), "{work} {columns}");
        }
        let workgroup = WorkgroupTuning { narrow_to: 0, middle_to: 64, ..built_in.workgroup };
        let other = Tuning { workgroup, ..built_in };
        for (tuning, columns, want) in [
            (built_in, 16, 16),
            (built_in, 17, 32),
            (built_in, 32, 32),
            (built_in, 33, 64),
            (other, 1, 32),
            (other, 64, 32),
            (other, 65, 64),
        ] {
            assert_eq!(tile(Variant::Tiled, &tuning, 1, columns), Some([128, want]), "{columns}");
        }
        assert_eq!(tile(Variant::Simple, &built_in, 1 << 40, 64), None);
    }
}
