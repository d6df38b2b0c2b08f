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

/// Some rows of y, those of all images counted through.
struct Chunk {
    first: u32,
    rows: u32,
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

    fn chunks(&self) -> Vec<Chunk> {
        let of_row = u64::from(16 * self.quads()) * u64::from(self.s.out_width);
        let most = (self.chunk_bytes / of_row).clamp(1, u64::from(u32::MAX)) as u32;
        let all = self.s.images * self.s.out_height;
        let chunk = |first| Chunk { first, rows: most.min(all - first) };
        (0..all).step_by(most as usize).map(chunk).collect()
    }

    fn patches(&self, tape: &mut Tape, chunk: &Chunk, x: Value) -> Result<Value> {
        let s = self.s;
        let pixels = chunk.rows * s.out_width;
        let p = Patch {
            pixels,
            first: chunk.first * s.out_width,
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

    /// y of [`super::conv2d`].
    pub(super) fn forward(&self, tape: &mut Tape, [x, weight, y]: [Value; 3]) -> Result<()> {
        let s = self.s;
        let weight = Quads::of_blocks(1, self.values(), s.out_channels).fill(tape, weight)?;
        let of_y = Quads::of_rows(s.images * s.out_height * s.out_width, s.out_channels);
        of_y.cut(tape, y, |tape, y| {
            for chunk in self.chunks() {
                let patches = self.patches(tape, &chunk, x)?;
                // One image of all images' rows, of which this is a part.
                let p = ImplicitGemm {
                    images: 1,
                    height: chunk.rows,
                    width: s.out_width,
                    k_quads: self.quads(),
                    rows: chunk.rows,
                    columns: s.out_width,
                    n_quads: s.out_channels.div_ceil(4),
                    stride: 1,
                    row0: 0,
                    column0: 0,
                    step: 1,
                    taps_down: 1,
                    taps_across: 1,
                    tap_row0: 0,
                    tap_column0: 0,
                    tap_step: 1,
                    kernel_width: 1,
                    out_height: s.images * s.out_height,
                    out_width: s.out_width,
                    out_stride: 1,
                    out_row0: chunk.first,
                    out_column0: 0,
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
        let s = self.s;
        let pixels = s.images * s.out_height * s.out_width;
        let grad_y = Quads::of_rows(pixels, s.out_channels).fill(tape, grad_y)?;
        let shares = |chunk: &Chunk, tape: &Tape| {
            Shares::new(self.tile, tape.tuning(), 4 * self.quads(), s, chunk.rows * s.out_width)
        };
        let chunks = self.chunks();
        let parts = chunks.iter().map(|chunk| shares(chunk, tape).splits).sum();
        let weight = Quads::of_blocks(1, self.values(), s.out_channels);
        gemm::sum_parts(tape, weight, grad_weight, parts, |tape, out| {
            let mut part = 0;
            for chunk in &chunks {
                let shares = shares(chunk, tape);
                let patches = self.patches(tape, chunk, x)?;
                let p = WeightGemm {
                    pixels: chunk.rows * s.out_width,
                    height: chunk.rows,
                    width: s.out_width,
                    c_quads: self.quads(),
                    rows: chunk.rows,
                    columns: s.out_width,
                    o_quads: s.out_channels.div_ceil(4),
                    stride: 1,
                    padding: 0,
                    taps: 1,
                    kernel_width: 1,
                    split: shares.split,
                    first: chunk.first * s.out_width,
                    part,
                };
                part += shares.splits;
                let launch = Dispatch::new(self.tile.weight_gemm(), &p, shares.groups());
                tape.dispatch(launch.read(patches).read(grad_y).write(out));
            }
            Ok(())
        })
    }
}
