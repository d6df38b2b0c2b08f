//! Heads that score images and their positions (eq. 10): a two-layer MLP on the deviation, the features,
//! or both, with an output of at least 0.

use super::config::{Config, HeadInput, HeadKind};
use crate::autograd::{Tape, Value};
use crate::nn::{BatchNorm, Builder, Linear, Mode};
use crate::ops::activation::{relu, softplus};
use crate::ops::{add::add, affine, pool};
use crate::tensor::Store;
use crate::{Error, Result};

/// The heads of one scale.
pub struct Heads {
    image: Option<Mlp>,
    position: Option<Mlp>,
    /// Cells to a side that the image head's input is averaged to.
    grid: usize,
    input: HeadInput,
}

/// What the heads of one scale say, all at least 0; high = anomalous.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadScores {
    /// `[N]`, a_s of eq. 10.
    pub image: Option<Value>,
    /// `[N, H * W]`.
    pub positions: Option<Value>,
}

/// What the heads of a scale look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The map `[N, H, W, D]`.
    pub map: Value,
    /// Its vectors in the memory's space and their recollections, `[N * H * W, D]` each; absent where
    /// nothing [asks](Heads::asks_memory) for them.
    pub memory: Option<[Value; 2]>,
}

/// Each input scaled per component, then a layer; their sum through a ReLU and a last layer.
///
/// Without the scaling heads were seen to collapse to a constant.
struct Mlp {
    inputs: Vec<(BatchNorm, Linear)>,
    outer: Linear,
}

impl Mlp {
    fn new(
        b: &mut Builder<'_>,
        name: &str,
        inputs: &[&str],
        dim: usize,
        hidden: usize,
    ) -> Result<Self> {
        let inputs = inputs
            .iter()
            .map(|input| {
                let norm = BatchNorm::new(b, &format!("{name}.{input}.norm"), dim)?;
                Ok((norm, Linear::uniform(b, &format!("{name}.{input}.inner"), dim, hidden)?))
            })
            .collect::<Result<_>>()?;
        Ok(Self { inputs, outer: Linear::uniform(b, &format!("{name}.outer"), hidden, 1)? })
    }

    /// `[R, dim]` each into `[R]`.
    fn forward(&self, t: &mut Tape, store: &Store, inputs: &[Value], mode: Mode) -> Result<Value> {
        let mut sum = None;
        for ((norm, inner), x) in self.inputs.iter().zip(inputs) {
            let &[rows, dim] = t.shape(*x) else {
                return Err(Error::shape("heads", format!("{:?}: expected [R, D]", t.shape(*x))));
            };
            let x = t.reshape(*x, &[rows, 1, 1, dim])?;
            let x = norm.forward(t, store, x, mode)?;
            let x = t.reshape(x, &[rows, dim])?;
            let x = inner.forward(t, store, x)?;
            sum = Some(match sum {
                Some(sum) => add(t, sum, x)?,
                None => x,
            });
        }
        let hidden = sum.ok_or_else(|| Error::Internal("a head without inputs".into()))?;
        let hidden = relu(t, hidden)?;
        let y = self.outer.forward(t, store, hidden)?;
        let y = t.reshape(y, &[t.len(y)])?;
        softplus(t, y)
    }
}

impl Heads {
    /// Declares the heads of scale `index`, none where the configuration has none.
    ///
    /// # Errors
    /// Names that exist.
    pub(super) fn declare(
        b: &mut Builder<'_>,
        config: &Config,
        index: usize,
        dim: usize,
    ) -> Result<Option<Self>> {
        let c = &config.stage2;
        let (image, position) = match c.head {
            HeadKind::None => return Ok(None),
            HeadKind::Image => (true, false),
            HeadKind::Position => (false, true),
            HeadKind::Both => (true, true),
        };
        let inputs: &[&str] = match c.input {
            HeadInput::Deviation => &["deviation"],
            HeadInput::Features => &["features"],
            HeadInput::Both => &["deviation", "features"],
        };
        let (stage, grid) = (config.memory.scales[index], c.grid[index]);
        let mut mlp =
            |what: &str, dim| Mlp::new(b, &format!("heads{stage}.{what}"), inputs, dim, c.hidden);
        let image = image.then(|| mlp("image", grid * grid * dim)).transpose()?;
        let position = position.then(|| mlp("position", dim)).transpose()?;
        Ok(Some(Self { image, position, grid, input: c.input }))
    }

    /// Whether the heads look at the deviation.
    pub(super) fn asks_memory(&self) -> bool {
        self.input != HeadInput::Features
    }

    /// Judges what was seen; gradients go to all of it.
    ///
    /// # Errors
    /// Those of the operations, such as a grid finer than the map.
    pub(super) fn record(
        &self,
        t: &mut Tape,
        store: &Store,
        seen: Seen,
        mode: Mode,
    ) -> Result<HeadScores> {
        let Seen { map, memory } = seen;
        let shape = t.shape(map).to_vec();
        let dim = shape[3];
        let (images, positions) = (shape[0], shape[1] * shape[2]);
        let mut inputs = Vec::new();
        if self.asks_memory() {
            let [z, recalled] =
                memory.ok_or_else(|| Error::Internal("heads without a memory".into()))?;
            let minus = affine::affine(t, recalled, -1.0, 0.0)?;
            inputs.push(add(t, z, minus)?);
        }
        if self.input != HeadInput::Deviation {
            inputs.push(t.reshape(map, &[images * positions, dim])?);
        }
        let position = match &self.position {
            Some(mlp) => {
                let scores = mlp.forward(t, store, &inputs, mode)?;
                Some(t.reshape(scores, &[images, positions])?)
            }
            None => None,
        };
        let image = match &self.image {
            Some(mlp) => {
                let pooled: Vec<Value> = inputs
                    .iter()
                    .map(|x| {
                        let x = t.reshape(*x, &shape)?;
                        let x = pool::adaptive_avg(t, x, [self.grid; 2])?;
                        t.reshape(x, &[images, self.grid * self.grid * dim])
                    })
                    .collect::<Result<_>>()?;
                Some(mlp.forward(t, store, &pooled, mode)?)
            }
            None => None,
        };
        Ok(HeadScores { image, positions: position })
    }
}
