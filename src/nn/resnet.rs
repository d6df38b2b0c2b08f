//! Residual networks (He et al. 2016), with torchvision's parameter names.

use super::Mode;
use super::layers::{BatchNorm, Conv2d};
use super::module::Builder;
use crate::Result;
use crate::autograd::{Tape, Value};
use crate::ops::{activation::relu, add::add, pool};
use crate::tensor::Store;

/// Number of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// ResNet-18: two basic blocks per stage.
    D18,
    /// ResNet-34: 3, 4, 6, 3 basic blocks.
    D34,
    /// ResNet-50: 3, 4, 6, 3 bottleneck blocks.
    D50,
}

impl Depth {
    fn blocks(self) -> [usize; 4] {
        match self {
            Self::D18 => [2, 2, 2, 2],
            Self::D34 | Self::D50 => [3, 4, 6, 3],
        }
    }

    /// Output channels of a block relative to its inner ones.
    fn expansion(self) -> usize {
        if self == Self::D50 { 4 } else { 1 }
    }
}

/// The first layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stem {
    /// 3x3, stride 1 (Chen et al. 2020, for 32-pixel images).
    Cifar,
    /// 3x3, stride 2.
    S2,
    /// 7x7, stride 2, then 3x3 max-pool, stride 2.
    Imagenet,
}

/// What to build.
#[derive(Debug, Clone, Copy)]
pub struct ResNetOptions {
    /// Number of layers.
    pub depth: Depth,
    /// Share of the standard channel counts; at least 8 channels remain.
    pub width: f64,
    /// The first layers.
    pub stem: Stem,
    /// Channels of the images.
    pub channels: usize,
    /// Stages to build, 1 to 4: those after the last memory scale would never be used.
    pub stages: usize,
}

/// A residual network without its classifier.
pub struct ResNet {
    stem: (Conv2d, BatchNorm),
    max_pool: bool,
    stages: Vec<Vec<Block>>,
    widths: Vec<usize>,
}

impl ResNet {
    /// Declares all parameters.
    ///
    /// # Errors
    /// A name that exists.
    pub fn new(b: &mut Builder<'_>, options: &ResNetOptions) -> Result<Self> {
        let width = |stage: usize| {
            let channels = (64 << stage) as f64 * options.width;
            (channels as usize).max(8)
        };
        let (kernel, stride) = match options.stem {
            Stem::Cifar => (3, 1),
            Stem::S2 => (3, 2),
            Stem::Imagenet => (7, 2),
        };
        let conv1 = Conv2d::new(b, "conv1", [options.channels, width(0)], kernel, stride)?;
        let stem = (conv1, BatchNorm::new(b, "bn1", width(0))?);
        let expansion = options.depth.expansion();
        let mut input = width(0);
        let mut stages = Vec::new();
        let mut widths = Vec::new();
        for stage in 0..options.stages {
            let inner = width(stage);
            let mut blocks = Vec::new();
            for block in 0..options.depth.blocks()[stage] {
                let name = format!("layer{}.{block}", stage + 1);
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                blocks.push(Block::new(b, &name, input, inner, expansion, stride)?);
                input = inner * expansion;
            }
            stages.push(blocks);
            widths.push(input);
        }
        Ok(Self { stem, max_pool: options.stem == Stem::Imagenet, stages, widths })
    }

    /// Channels of each stage's map.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// The stem and all blocks: as many [parts](Tape::part) as [`Self::forward`] records.
    pub fn parts(&self) -> usize {
        1 + self.stages.iter().map(Vec::len).sum::<usize>()
    }

    /// The map of every stage, `[N, H, W, D]` each, from images `[N, H, W, C]`. The stem and each block are a
    /// [part](Tape::part).
    ///
    /// # Errors
    /// Images too small for the network, or of another number of channels.
    pub fn forward(
        &self,
        tape: &mut Tape,
        store: &Store,
        images: Value,
        mode: Mode,
    ) -> Result<Vec<Value>> {
        let mut x = tape.part(0, images, |tape, x| {
            let x = self.stem.0.forward(tape, store, x)?;
            let x = self.stem.1.forward(tape, store, x, mode)?;
            let x = relu(tape, x)?;
            if self.max_pool { pool::max_pool(tape, x, 3, 2, 1) } else { Ok(x) }
        })?;
        let mut maps = Vec::new();
        let mut index = 1;
        for stage in &self.stages {
            for block in stage {
                x = tape.part(index, x, |tape, x| block.forward(tape, store, x, mode))?;
                index += 1;
            }
            maps.push(x);
        }
        Ok(maps)
    }
}

/// Convolutions with their norms, and the shortcut where the shape changes.
struct Block {
    layers: Vec<(Conv2d, BatchNorm)>,
    shortcut: Option<(Conv2d, BatchNorm)>,
}

impl Block {
    fn new(
        b: &mut Builder<'_>,
        name: &str,
        input: usize,
        inner: usize,
        expansion: usize,
        stride: usize,
    ) -> Result<Self> {
        let output = inner * expansion;
        // (input, output, kernel, stride); a bottleneck strides in its 3x3 layer, as torchvision's.
        let plan = if expansion == 1 {
            vec![(input, inner, 3, stride), (inner, inner, 3, 1)]
        } else {
            vec![(input, inner, 1, 1), (inner, inner, 3, stride), (inner, output, 1, 1)]
        };
        let mut layers = Vec::new();
        for (i, (from, to, kernel, stride)) in plan.into_iter().enumerate() {
            let conv =
                Conv2d::new(b, &format!("{name}.conv{}", i + 1), [from, to], kernel, stride)?;
            layers.push((conv, BatchNorm::new(b, &format!("{name}.bn{}", i + 1), to)?));
        }
        let shortcut = if stride != 1 || input != output {
            let conv = Conv2d::new(b, &format!("{name}.downsample.0"), [input, output], 1, stride)?;
            Some((conv, BatchNorm::new(b, &format!("{name}.downsample.1"), output)?))
        } else {
            None
        };
        Ok(Self { layers, shortcut })
    }

    fn forward(&self, tape: &mut Tape, store: &Store, x: Value, mode: Mode) -> Result<Value> {
        let mut y = x;
        for (i, (conv, norm)) in self.layers.iter().enumerate() {
            y = conv.forward(tape, store, y)?;
            y = norm.forward(tape, store, y, mode)?;
            if i + 1 < self.layers.len() {
                y = relu(tape, y)?;
            }
        }
        let skip = match &self.shortcut {
            Some((conv, norm)) => {
                let s = conv.forward(tape, store, x)?;
                norm.forward(tape, store, s, mode)?
            }
            None => x,
        };
        let sum = add(tape, y, skip)?;
        relu(tape, sum)
    }
}
