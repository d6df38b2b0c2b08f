//! Convolutions of fewer than four channels, such as a network's first: products with a matrix of what each pixel of y
//! sees of x (Chellapilla, Puri and Simard 2006, "High Performance Convolutional Neural Networks for Document
//! Processing"), chunk by chunk of y's rows.

use super::gemm::{self, ImplicitGemm, Quads, Shares, Tile, WeightGemm};
use super::{Sizes, groups_for};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, Variant, params, shader};

params! {
    /// The pixels of one launch.
    pub struct Patch {
        pixels: u32, first: u32, height: u32, width: u32, channels: u32,
        rows: u32, columns: u32, stride: u32, padding: u32, kernel_width: u32,
        values: u32, quads: u32,
    }
}

static PATCHES: Shader = shader!("conv2d", "patches", Patch);

pub(super) const SHADERS: &[&Shader] = &[&PATCHES];

/// A convolution that is done this way.
#[derive(Clone, Copy)]
pub(super) struct Patches<'a> {
    s: &'a Sizes,
    tile: Tile,
    /// Most bytes of a chunk of more than one row: as much as of Winograd's.
    chunk_bytes: u64,
}

/// Some pixels of y, those of all images counted through.
struct Chunk {
    first: u32,
    pixels: u32,
}

impl<'a> Patches<'a> {
    /// Where four channels of a tap would be zeros for the most part, on software drivers: GPUs hide what that costs.
    pub(super) fn new(tape: &Tape, variant: Variant, s: &'a Sizes) -> Option<Self> {
        let software = matches!(variant, Variant::Subgroup { .. });
        let thin = s.channels < 4 && s.kernel_height * s.kernel_width > 1;
        let tile = Tile::new(variant, tape.tuning(), s.work(), s.out_channels)?;
        let chunk_bytes = tape.tuning().winograd.chunk_bytes;
        (software && thin).then_some(Self { s, tile, chunk_bytes })
    }

    /// Where the gradient of the weights goes this way too: with three channels it saves a quarter of the product, which
    /// is less than the patches take (7 x 7 on two images of 224 x 224: 12.5 instead of 9.6 ms).
    pub(super) fn of_weights(self) -> Option<Self> {
        (self.s.channels < 3).then_some(self)
    }

    /// Weights of a channel of y.
    fn values(&self) -> u32 {
        self.s.kernel_height * self.s.kernel_width * self.s.channels
    }

    fn quads(&self) -> u32 {
        self.values().div_ceil(4)
    }

    /// The weights as a matrix.
    fn weight(&self) -> Quads {
        Quads::of_blocks(1, self.values(), self.s.out_channels)
    }

    /// Whole rows.
    fn chunks(&self) -> impl Iterator<Item = Chunk> {
        let (all, row) = (self.s.pixels(), self.s.out_width);
        let of_row = u64::from(16 * self.quads()) * u64::from(row);
        let rows = (self.chunk_bytes / of_row).max(1);
        let most = (rows * u64::from(row)).min(u64::from(all)) as u32;
        (0..all)
            .step_by(most as usize)
            .map(move |first| Chunk { first, pixels: most.min(all - first) })
    }

    fn patches(&self, tape: &mut Tape, chunk: &Chunk, x: Value) -> Result<Value> {
        let s = self.s;
        let Chunk { first, pixels } = *chunk;
        let p = Patch {
            pixels,
            first,
            height: s.height,
            width: s.width,
            channels: s.channels,
            rows: s.out_height,
            columns: s.out_width,
            stride: s.stride,
            padding: s.padding,
            kernel_width: s.kernel_width,
            values: self.values(),
            quads: self.quads(),
        };
        let shape = [pixels, 4 * self.quads()].map(|v| v as usize);
        let out = tape.temporary("conv2d.patches", &shape, Element::F32)?;
        let launch = Dispatch::new(Kernel::new(&PATCHES), &p, groups_for(pixels as usize));
        tape.dispatch(launch.read(x).write(out));
        Ok(out)
    }

    /// The product of a chunk's patches and the weights: one row of pixels.
    fn product(&self, chunk: &Chunk) -> Sizes {
        let [pixels, values] = [chunk.pixels, 4 * self.quads()].map(|v| v as usize);
        Sizes::product(pixels, values, self.s.out_channels as usize)
    }

    /// y of [`super::conv2d`].
    pub(super) fn forward(&self, tape: &mut Tape, [x, weight, y]: [Value; 3]) -> Result<()> {
        let weight = self.weight().fill(tape, weight)?;
        Quads::of_rows(self.s.pixels(), self.s.out_channels).cut(tape, y, |tape, y| {
            for chunk in self.chunks() {
                let patches = self.patches(tape, &chunk, x)?;
                let p = ImplicitGemm {
                    out_width: self.s.pixels(),
                    out_column0: chunk.first,
                    ..ImplicitGemm::of_forward(&self.product(&chunk))
                };
                gemm::launch(tape, self.tile, &p, false, [patches, weight, y]);
            }
            Ok(())
        })
    }

    /// The gradient of the weights: the sums of all chunks' shares.
    pub(super) fn backward_weight(
        &self,
        tape: &mut Tape,
        [x, grad_y, grad_weight]: [Value; 3],
    ) -> Result<()> {
        let grad_y = Quads::of_rows(self.s.pixels(), self.s.out_channels).fill(tape, grad_y)?;
        let shared = |chunk: Chunk| {
            let product = self.product(&chunk);
            let shares = Shares::new(self.tile, tape.tuning(), &product);
            (chunk, product, shares)
        };
        let chunks: Vec<_> = self.chunks().map(shared).collect();
        let parts = chunks.iter().map(|(_, _, shares)| shares.splits).sum();
        let sum = |tape: &mut Tape, out: Value| {
            let mut part = 0;
            for (chunk, product, shares) in chunks {
                let patches = self.patches(tape, &chunk, x)?;
                let p = WeightGemm {
                    first: chunk.first,
                    part,
                    ..WeightGemm::of_all(&product, &shares)
                };
                part += shares.splits;
                let launch = Dispatch::new(self.tile.weight_gemm(), &p, shares.groups());
                tape.dispatch(launch.read(patches).read(grad_y).write(out));
            }
            Ok(())
        };
        self.weight().cut(tape, grad_weight, |tape, grad_weight| {
            gemm::sum_parts(tape, grad_weight, parts, sum)
        })
    }
}
