//! 3 x 3 convolutions of stride 1 with 36 multiplications instead of 144, or 16 instead of 36 (Lavin and Gray 2016,
//! "Fast Algorithms for Convolutional Neural Networks", F(4 x 4, 3 x 3) and F(2 x 2, 3 x 3)): what is multiplied is
//! transformed to as many points, each point takes one matrix product, and the result is transformed back.

use super::gemm::Tile;
use super::{Sizes, groups_for};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Tuning, Variant, params, shader};

params! {
    /// A tensor and the tiles of one dispatch.
    pub struct Tiles {
        images: u32, height: u32, width: u32, quads: u32, padding: u32,
        tile_rows: u32, tile_columns: u32, first: u32, tiles: u32,
    }
}
params! {
    /// Pairs of channels, those of y in fours.
    pub struct Weight { pairs: u32, turned: u32 }
}
params! {
    /// The same.
    pub struct WeightGrad { pairs: u32 }
}
params! {
    /// A matrix product per point.
    pub struct PointProduct { rows: u32, k_quads: u32, n_quads: u32 }
}

static SUBGROUP_PRODUCT: Shader = shader!("conv2d", "winograd_product_subgroup", PointProduct);
static TILED_PRODUCT: Shader = shader!("conv2d", "winograd_product_tiled", PointProduct);

/// The transforms for tiles of one size.
struct Form {
    /// Pixels along a side of a tile.
    side: u32,
    source: Shader,
    output: Shader,
    grad: Shader,
    weight: Shader,
    weight_grad: Shader,
}

static TWO: Form = Form {
    side: 2,
    source: shader!("conv2d", "winograd_source", Tiles),
    output: shader!("conv2d", "winograd_output", Tiles),
    grad: shader!("conv2d", "winograd_grad", Tiles),
    weight: shader!("conv2d", "winograd_weight", Weight),
    weight_grad: shader!("conv2d", "winograd_weight_grad", WeightGrad),
};

static FOUR: Form = Form {
    side: 4,
    source: shader!("conv2d", "winograd4_source", Tiles),
    output: shader!("conv2d", "winograd4_output", Tiles),
    grad: shader!("conv2d", "winograd4_grad", Tiles),
    weight: shader!("conv2d", "winograd4_weight", Weight),
    weight_grad: shader!("conv2d", "winograd4_weight_grad", WeightGrad),
};

pub(super) const SHADERS: &[&Shader] = &[
    &TWO.source,
    &TWO.output,
    &TWO.grad,
    &TWO.weight,
    &TWO.weight_grad,
    &FOUR.source,
    &FOUR.output,
    &FOUR.grad,
    &FOUR.weight,
    &FOUR.weight_grad,
    &SUBGROUP_PRODUCT,
    &TILED_PRODUCT,
];

/// The constants that are restated, with every value.
pub(super) const RESTATED: &[Restated] = &[
    (
        &SUBGROUP_PRODUCT,
        &[
            ("LANES", &[4, 8]),
            ("QUADS", &[4, 8]),
            ("TRANSPOSED", &[0, 1]),
            ("BY_COLUMN", &[0, 1]),
            ("ADD", &[0, 1]),
        ],
    ),
    (&TILED_PRODUCT, &[("QUADS", &[4, 8, 16]), ("BY_COLUMN", &[0, 1])]),
];

/// Most channels: beyond, the points of the weights alone would near the binding limit of small adapters,
/// 128 MiB.
const MOST_CHANNELS: u32 = 1024;

/// Bytes that the 36 points of the weights may take, for the same reason.
const MOST_WEIGHTS: u64 = 64 << 20;

/// How the product of a matrix per point reads its operands.
#[derive(Clone, Copy)]
enum Order {
    /// Rows by K times K by columns.
    Plain,
    /// The right-hand side is columns by K.
    ByColumn,
    /// The left-hand side is K by rows.
    Transposed,
}

/// A product of matrices for each point.
struct Product {
    order: Order,
    rows: u32,
    k_quads: u32,
    n_quads: u32,
    /// To what the result holds.
    add: bool,
}

/// A convolution that is done this way.
#[derive(Clone, Copy)]
pub(super) struct Winograd<'a> {
    s: &'a Sizes,
    variant: Variant,
    tuning: Tuning,
    form: &'static Form,
}

impl Form {
    /// Points of a tile.
    fn points(&self) -> u32 {
        (self.side + 2).pow(2)
    }

    /// Tiles of an image.
    fn tiles(&self, s: &Sizes) -> u32 {
        s.out_height.div_ceil(self.side) * s.out_width.div_ceil(self.side)
    }
}

/// The tensor of the convolution's two that a pass runs over, in tiles.
struct Grid {
    rows: u32,
    columns: u32,
    /// Tiles of each chunk; the last may be smaller.
    chunk: u32,
    total: u32,
}

impl<'a> Winograd<'a> {
    /// Where the variant has the kernels, the shape suits them, and the saved multiplications outweigh the transforms.
    pub(super) fn new(variant: Variant, tuning: &Tuning, s: &'a Sizes) -> Option<Self> {
        if !matches!(variant, Variant::Subgroup { .. } | Variant::Tiled) {
            return None;
        }
        let square = s.kernel_height == 3 && s.kernel_width == 3 && s.stride == 1 && s.padding <= 2;
        let fits = |channels: u32| channels <= MOST_CHANNELS && channels.is_multiple_of(4);
        if !(square && fits(s.channels) && fits(s.out_channels)) {
            return None;
        }
        let larger = u64::from(4 * FOUR.points()) * u64::from(s.channels * s.out_channels);
        // Whatever the number of images, so that one alone comes to the same bits as among others. With a tile or
        // two in each, a usual batch would not fill the rows of a product, and the points of the weights weigh more.
        let four = larger <= MOST_WEIGHTS
            && FOUR.tiles(s) >= 4
            && FOUR.tiles(s) * FOUR.points() < TWO.tiles(s) * TWO.points();
        let narrowest = u64::from(s.channels.min(s.out_channels));
        let form = match tuning.winograd {
            w if four && narrowest >= w.four_channels => &FOUR,
            w if narrowest >= w.two_channels => &TWO,
            _ => return None,
        };
        Some(Self { s, variant, tuning: *tuning, form })
    }

    /// Where the gradient of the weights goes this way too: on GPUs, with many more workgroups than this product has
    /// tiles, sharing out the pixels of a plain one serves better.
    pub(super) fn of_weights(self) -> Option<Self> {
        matches!(self.variant, Variant::Subgroup { .. }).then_some(self)
    }

    fn grid(&self, height: u32, width: u32) -> Grid {
        let side = self.form.side;
        let (rows, columns) = (height.div_ceil(side), width.div_ceil(side));
        let total = self.s.images * rows * columns;
        let points = self.form.points();
        let each = u64::from(4 * points * (self.s.channels + self.s.out_channels));
        // Every chunk reads the points of the weights, or adds to those of their gradient: it is to bring as much.
        let weights = u64::from(16 * points) * u64::from(self.pairs());
        // Whole product tiles, evenly shared.
        let most = (self.tuning.winograd.chunk_bytes.max(weights) / each).max(64);
        let chunks = u64::from(total).div_ceil(most);
        let chunk = u64::from(total).div_ceil(chunks).next_multiple_of(64) as u32;
        Grid { rows, columns, chunk, total }
    }

    fn x(&self, padding: u32) -> Tiles {
        let s = self.s;
        tensor([s.images, s.height, s.width, s.channels], padding)
    }

    fn y(&self, padding: u32) -> Tiles {
        let s = self.s;
        tensor([s.images, s.out_height, s.out_width, s.out_channels], padding)
    }

    /// Channel pairs, those of y in fours.
    fn pairs(&self) -> u32 {
        self.s.channels * self.s.out_channels / 4
    }

    fn product(&self, p: &Product) -> Dispatch {
        let Product { order, rows, k_quads, n_quads, add } = *p;
        let params = PointProduct { rows, k_quads, n_quads };
        let by_column = ("BY_COLUMN", u32::from(matches!(order, Order::ByColumn)));
        // However small: a product of each point together is worth a wide tile.
        let tile = Tile::new(self.variant, &self.tuning, u64::MAX, 4 * n_quads);
        let groups = |tile: Tile| {
            let [high, wide] = tile.sizes();
            let tiles = u64::from(rows).div_ceil(high) * u64::from(4 * n_quads).div_ceil(wide);
            u64::from(self.form.points()) * tiles
        };
        match tile {
            Some(tile @ Tile::Subgroup { lanes, quads }) => {
                let transposed = u32::from(matches!(order, Order::Transposed));
                let consts = [
                    ("LANES", lanes),
                    ("QUADS", quads),
                    ("TRANSPOSED", transposed),
                    by_column,
                    ("ADD", u32::from(add)),
                ];
                Dispatch::new(Kernel::with(&SUBGROUP_PRODUCT, &consts), &params, groups(tile))
            }
            Some(tile @ Tile::Workgroup { quads }) => {
                let kernel = Kernel::with(&TILED_PRODUCT, &[("QUADS", quads), by_column]);
                Dispatch::new(kernel, &params, groups(tile))
            }
            other => unreachable!("Winograd's points with {other:?}"),
        }
    }

    fn points_of_weight(&self, tape: &mut Tape, weight: Value, turned: bool) -> Result<Value> {
        let p = Weight { pairs: self.pairs(), turned: u32::from(turned) };
        let points = tape.temporary("conv2d.weight_points", &self.weight_shape(), Element::F32)?;
        let groups = groups_for(p.pairs as usize);
        let launch = Dispatch::new(Kernel::new(&self.form.weight), &p, groups);
        tape.dispatch(launch.read(weight).write(points));
        Ok(points)
    }

    /// Of the weights' points.
    fn weight_shape(&self) -> [usize; 3] {
        [self.form.points(), self.s.channels, self.s.out_channels].map(|v| v as usize)
    }

    fn points(&self, tape: &mut Tape, p: &Tiles) -> Result<Value> {
        let shape = [self.form.points(), p.tiles, 4 * p.quads].map(|v| v as usize);
        tape.temporary("conv2d.points", &shape, Element::F32)
    }

    /// The points of a chunk's tiles of `v`.
    fn transform(
        &self,
        tape: &mut Tape,
        shader: &'static Shader,
        p: &Tiles,
        v: Value,
    ) -> Result<Value> {
        let out = self.points(tape, p)?;
        let groups = groups_for((p.tiles * p.quads) as usize);
        tape.dispatch(Dispatch::new(Kernel::new(shader), p, groups).read(v).write(out));
        Ok(out)
    }

    /// out from source by way of the weight's points, chunk by chunk of out's tiles.
    fn convolve(
        &self,
        tape: &mut Tape,
        order: Order,
        [(source, of_source), (out, of_out)]: [(Value, Tiles); 2],
        weight: Value,
    ) -> Result<()> {
        let grid = self.grid(of_out.height, of_out.width);
        for first in (0..grid.total).step_by(grid.chunk as usize) {
            let seen = grid.tiles(first, &of_source);
            let from = self.transform(tape, &self.form.source, &seen, source)?;
            let tiles = grid.tiles(first, &of_out);
            let to = self.points(tape, &tiles)?;
            let (rows, k_quads, n_quads) = (tiles.tiles, of_source.quads, of_out.quads);
            let p = Product { order, rows, k_quads, n_quads, add: false };
            tape.dispatch(self.product(&p).read(from).read(weight).write(to));
            let groups = groups_for((tiles.tiles * tiles.quads) as usize);
            let back = Dispatch::new(Kernel::new(&self.form.output), &tiles, groups);
            tape.dispatch(back.read(to).write(out));
        }
        Ok(())
    }

    /// y of [`super::conv2d`].
    pub(super) fn forward(&self, tape: &mut Tape, [x, weight, y]: [Value; 3]) -> Result<()> {
        let weight = self.points_of_weight(tape, weight, false)?;
        let tensors = [(x, self.x(self.s.padding)), (y, self.y(0))];
        self.convolve(tape, Order::Plain, tensors, weight)
    }

    /// The gradient of x: a convolution of grad_y with the turned weights.
    pub(super) fn backward_input(
        &self,
        tape: &mut Tape,
        [weight, grad_y, grad_x]: [Value; 3],
    ) -> Result<()> {
        let weight = self.points_of_weight(tape, weight, true)?;
        let tensors = [(grad_y, self.y(2 - self.s.padding)), (grad_x, self.x(0))];
        self.convolve(tape, Order::ByColumn, tensors, weight)
    }

    /// The gradient of the weights: at each point a product summed over tiles, chunk after
    /// chunk: the same bits each time.
    pub(super) fn backward_weight(
        &self,
        tape: &mut Tape,
        [x, grad_y, grad_weight]: [Value; 3],
    ) -> Result<()> {
        let (of_x, of_y) = (self.x(self.s.padding), self.y(0));
        let grid = self.grid(of_y.height, of_y.width);
        let sum = tape.temporary("conv2d.grad_points", &self.weight_shape(), Element::F32)?;
        for first in (0..grid.total).step_by(grid.chunk as usize) {
            let (seen, tiles) = (grid.tiles(first, &of_x), grid.tiles(first, &of_y));
            let left = self.transform(tape, &self.form.source, &seen, x)?;
            let right = self.transform(tape, &self.form.grad, &tiles, grad_y)?;
            let k_quads = tiles.tiles / 4;
            let (order, rows, n_quads) = (Order::Transposed, self.s.channels, of_y.quads);
            let launch = self.product(&Product { order, rows, k_quads, n_quads, add: first > 0 });
            tape.dispatch(launch.read(left).read(right).write(sum));
        }
        let p = WeightGrad { pairs: self.pairs() };
        let kernel = Kernel::new(&self.form.weight_grad);
        let back = Dispatch::new(kernel, &p, groups_for(p.pairs as usize));
        tape.dispatch(back.read(sum).write(grad_weight));
        Ok(())
    }
}

impl Grid {
    /// The tiles of the chunk from `first` on, of one of the two tensors.
    fn tiles(&self, first: u32, tensor: &Tiles) -> Tiles {
        Tiles {
            tile_rows: self.rows,
            tile_columns: self.columns,
            first,
            tiles: (self.total - first).min(self.chunk).next_multiple_of(4),
            ..*tensor
        }
    }
}

fn tensor([images, height, width, channels]: [u32; 4], padding: u32) -> Tiles {
    let (tile_rows, tile_columns, first, tiles) = (0, 0, 0, 0);
    let quads = channels / 4;
    Tiles { images, height, width, quads, padding, tile_rows, tile_columns, first, tiles }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{AdapterClass, WinogradTuning};

    #[test]
    fn forms_follow_shape_and_tuning_whatever_the_number_of_images() {
        let built_in = Tuning::built_in(AdapterClass::Software);
        let with = |two_channels, four_channels| {
            let w = WinogradTuning { two_channels, four_channels, ..built_in.winograd };
            Tuning { winograd: w, ..built_in }
        };
        let side = |variant, tuning: &Tuning, images, size, channels| {
            let s = Sizes {
                images,
                height: size,
                width: size,
                channels,
                out_height: size,
                out_width: size,
                out_channels: channels,
                kernel_height: 3,
                kernel_width: 3,
                stride: 1,
                padding: 1,
            };
            Winograd::new(variant, tuning, &s).map(|w| w.form.side)
        };
        for (tuning, size, channels, want) in [
            (built_in, 16, 28, None),
            (built_in, 16, 32, Some(4)),
            (built_in, 4, 60, None),
            (built_in, 4, 64, Some(2)),
            (with(64, 2048), 16, 32, None),
            (with(64, 2048), 16, 64, Some(2)),
            (with(2048, 32), 4, 512, None),
            (with(2048, 2048), 16, 1024, None),
            (with(4, 4), 16, 4, Some(4)),
            (with(4, 4), 4, 4, Some(2)),
            // Not in quads, and more than the points of the weights may take.
            (with(4, 4), 16, 30, None),
            (with(4, 4), 16, 2048, None),
        ] {
            for images in [1, 64] {
                let eight = Variant::Subgroup { lanes: 8 };
                assert_eq!(side(eight, &tuning, images, size, channels), want, "{size} {channels}");
            }
            assert_eq!(side(Variant::Tiled, &tuning, 1, size, channels), want);
            for none in [Variant::Simple, Variant::Cooperative] {
                assert_eq!(side(none, &tuning, 1, size, channels), None);
            }
        }
    }
}
