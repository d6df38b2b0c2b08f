//! 3 x 3 convolutions of stride 1 with 16 multiplications instead of 36 (Lavin and Gray 2016, "Fast
//! Algorithms for Convolutional Neural Networks", F(2 x 2, 3 x 3)): what is multiplied is
//! transformed to 16 points, each point takes one matrix product, and the result is transformed back.

use super::gemm::subgroup_quads;
use super::{Sizes, groups_for};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Variant, params, shader};

params! {
    /// A tensor and the tiles of 2 x 2 pixels of one dispatch.
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
    pub struct Product { rows: u32, k_quads: u32, n_quads: u32, add: u32 }
}

static SOURCE: Shader = shader!("conv2d", "winograd_source", Tiles);
static OUTPUT: Shader = shader!("conv2d", "winograd_output", Tiles);
static GRAD: Shader = shader!("conv2d", "winograd_grad", Tiles);
static WEIGHT: Shader = shader!("conv2d", "winograd_weight", Weight);
static WEIGHT_GRAD: Shader = shader!("conv2d", "winograd_weight_grad", WeightGrad);
static PRODUCT: Shader = shader!("conv2d", "winograd_product_subgroup", Product);

pub(super) const SHADERS: &[&Shader] = &[&SOURCE, &OUTPUT, &GRAD, &WEIGHT, &WEIGHT_GRAD, &PRODUCT];

/// The constants that are restated, with every value.
pub(super) const RESTATED: &[Restated] = &[(
    &PRODUCT,
    &[("LANES", &[4, 8]), ("QUADS", &[4, 8]), ("TRANSPOSED", &[0, 1]), ("BY_COLUMN", &[0, 1])],
)];

/// Points of a tile.
const POINTS: u32 = 16;

/// Fewest channels on either side with which the saved multiplications outweigh the transforms: at 32
/// the direct product is a tenth faster, at 64 it is a tenth slower or more, at 128 by half.
const LEAST_CHANNELS: u32 = 64;

/// Most channels: beyond, the points of the weights alone would near the binding limit of small adapters,
/// 128 MiB.
const MOST_CHANNELS: u32 = 1024;

/// Bytes that the points of one chunk of tiles may take, on both sides of the product: more falls out
/// of the processor's caches, less makes the dispatches small.
const CHUNK: u64 = 8 << 20;

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

/// A convolution that is done this way.
#[derive(Clone, Copy)]
pub(super) struct Winograd<'a> {
    s: &'a Sizes,
    lanes: u32,
}

/// The tensor of the convolution's two that a pass runs over: its pixels go in twos.
struct Grid {
    rows: u32,
    columns: u32,
    /// Tiles of each chunk; the last may be smaller.
    chunk: u32,
    total: u32,
}

impl<'a> Winograd<'a> {
    /// Where the variant has the kernels, and the shape suits them.
    pub(super) fn new(variant: Variant, s: &'a Sizes) -> Option<Self> {
        let Variant::Subgroup { lanes } = variant else { return None };
        let square = s.kernel_height == 3 && s.kernel_width == 3 && s.stride == 1 && s.padding <= 2;
        let suits = |channels: u32| {
            (LEAST_CHANNELS..=MOST_CHANNELS).contains(&channels) && channels.is_multiple_of(4)
        };
        (square && suits(s.channels) && suits(s.out_channels)).then_some(Self { s, lanes })
    }

    fn grid(&self, height: u32, width: u32) -> Grid {
        let (rows, columns) = (height.div_ceil(2), width.div_ceil(2));
        let total = self.s.images * rows * columns;
        let each = u64::from(4 * POINTS * (self.s.channels + self.s.out_channels));
        // Whole product tiles, evenly shared.
        let most = (CHUNK / each).max(64);
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

    fn product(&self, order: Order, p: &Product) -> Dispatch {
        let quads = subgroup_quads(self.lanes, 4 * p.n_quads, true);
        let consts = [
            ("LANES", self.lanes),
            ("QUADS", quads),
            ("TRANSPOSED", u32::from(matches!(order, Order::Transposed))),
            ("BY_COLUMN", u32::from(matches!(order, Order::ByColumn))),
        ];
        let groups = POINTS * p.rows.div_ceil(8 * self.lanes) * p.n_quads.div_ceil(quads);
        Dispatch::new(Kernel::with(&PRODUCT, &consts), p, u64::from(groups))
    }

    fn points_of_weight(&self, tape: &mut Tape, weight: Value, turned: bool) -> Result<Value> {
        let p = Weight { pairs: self.pairs(), turned: u32::from(turned) };
        let shape = [POINTS, self.s.channels, self.s.out_channels].map(|v| v as usize);
        let points = tape.temporary("conv2d.weight_points", &shape, Element::F32)?;
        let groups = groups_for(p.pairs as usize);
        tape.dispatch(Dispatch::new(Kernel::new(&WEIGHT), &p, groups).read(weight).write(points));
        Ok(points)
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
            let from = transform(tape, &SOURCE, &grid, first, &of_source, source)?;
            let tiles = grid.tiles(first, &of_out);
            let to = points(tape, &tiles)?;
            let (rows, k_quads, n_quads) = (tiles.tiles, of_source.quads, of_out.quads);
            let p = Product { rows, k_quads, n_quads, add: 0 };
            tape.dispatch(self.product(order, &p).read(from).read(weight).write(to));
            let groups = groups_for((tiles.tiles * tiles.quads) as usize);
            let back = Dispatch::new(Kernel::new(&OUTPUT), &tiles, groups);
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
        let shape = [POINTS, self.s.channels, self.s.out_channels].map(|v| v as usize);
        let sum = tape.temporary("conv2d.grad_points", &shape, Element::F32)?;
        for first in (0..grid.total).step_by(grid.chunk as usize) {
            let left = transform(tape, &SOURCE, &grid, first, &of_x, x)?;
            let right = transform(tape, &GRAD, &grid, first, &of_y, grad_y)?;
            let k_quads = grid.tiles(first, &of_y).tiles / 4;
            let (rows, n_quads, add) = (self.s.channels, of_y.quads, u32::from(first > 0));
            let p = Product { rows, k_quads, n_quads, add };
            let launch = self.product(Order::Transposed, &p);
            tape.dispatch(launch.read(left).read(right).write(sum));
        }
        let p = WeightGrad { pairs: self.pairs() };
        let back = Dispatch::new(Kernel::new(&WEIGHT_GRAD), &p, groups_for(p.pairs as usize));
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

fn points(tape: &mut Tape, p: &Tiles) -> Result<Value> {
    let shape = [POINTS, p.tiles, 4 * p.quads].map(|v| v as usize);
    tape.temporary("conv2d.points", &shape, Element::F32)
}

/// The points of a chunk's tiles of `v`.
fn transform(
    tape: &mut Tape,
    shader: &'static Shader,
    grid: &Grid,
    first: u32,
    tensor: &Tiles,
    v: Value,
) -> Result<Value> {
    let p = grid.tiles(first, tensor);
    let out = points(tape, &p)?;
    let groups = groups_for((p.tiles * p.quads) as usize);
    tape.dispatch(Dispatch::new(Kernel::new(shader), &p, groups).read(v).write(out));
    Ok(out)
}
