//! Scores and heat maps (eqs. 8, 9, 10 and 13): of one class, from the deviation between features and what
//! the memory recalls of them; where there were anomalies to learn from, from the heads.

use super::config::{Flips, Reduce};
use super::feed::packed;
use super::heads::{HeadScores, Seen};
use super::model::{Calibration, Model, Scale};
use super::set::HeldOut;
use crate::autograd::{Plan, Tape, Value};
use crate::data::Pixels;
use crate::gpu::Gpu;
use crate::nn::Mode;
use crate::ops::flip::{Axes, flip};
use crate::ops::{add::add, affine, augment, deviation, gaussian, resize};
use crate::report::heatmap::ScoreMap;
use crate::tensor::{Element, VarId};
use crate::{Error, Result};

/// The judgement of one image. That of an image in tiles is its most anomalous tile's, with one heat
/// map of all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Sum over the scales of lambda_s times the scale's score, eq. 13: high = anomalous.
    pub score: f32,
    /// Each scale's own score: eq. 9, standardised if the configuration says so, or the heads'.
    pub scales: Vec<f32>,
    /// Deviation of every pixel of the map, `[H, W]`; high = anomalous.
    pub heat: Vec<f32>,
    /// `[H, W]`: the model's size, or [`Grid::map`](crate::data::Grid::map).
    pub size: [usize; 2],
}

impl Score {
    /// The heat map.
    ///
    /// # Errors
    /// Heat that is not finite, or was taken away.
    pub fn map(&self) -> Result<ScoreMap<'_>> {
        let [height, width] = self.size;
        ScoreMap::new(height, width, &self.heat)
    }
}

/// Scores images `[H, W, C]` of the model's size, a batch at a time.
pub struct Scorer {
    plan: Plan,
    batch: usize,
    image_len: usize,
    words: VarId,
    slots: VarId,
    outputs: Vec<Outputs>,
    heat: Value,
    size: [usize; 2],
    calibration: Vec<Calibration>,
}

/// What normal images show.
pub(super) struct Measured {
    /// Score of each tile.
    pub tiles: Vec<f32>,
    /// Of each image.
    pub images: Vec<f32>,
    /// Where the colours of heat maps start and end.
    pub heat_range: [f32; 2],
}

/// What one scale says of a batch.
#[derive(Clone, Copy)]
struct Outputs {
    /// `[N]`, the scale's score.
    score: Value,
    /// `[N, H, W, 1]`, what the heat map shows.
    positions: Value,
}

impl Scorer {
    /// Compiles the scoring plan; it shares the model's weights. `prefix` names its variables.
    ///
    /// # Errors
    /// A name that exists, or limits that the plan exceeds.
    pub fn new(gpu: &Gpu, model: &mut Model, prefix: &str) -> Result<Self> {
        let size = model.config.image.size;
        let channels = model.channel_stats.mean.len();
        let (batch, height, width) = (model.config.score.batch, size.height, size.width);
        let image_len = height * width * channels;
        let slab = model.store.slab(prefix);
        let words = (batch * image_len).div_ceil(4);
        let name = |what: &str| format!("{prefix}.{what}");
        let store = &mut model.store;
        let words = store.declare(slab, &name("pixels"), &[words], Element::U32, false)?;
        let slots = store.declare(slab, &name("slots"), &[batch], Element::U32, false)?;
        store.allocate(gpu)?;
        let every: Vec<u32> = (0..batch as u32).collect();
        store.upload(gpu, slots, &every)?;

        let model = &*model;
        let mut tape = Tape::forward_only(model.kernels(gpu));
        let t = &mut tape;
        let pixels = t.variable(&model.store, words);
        let shape = [batch, height, width, channels];
        let images = model.images(t, pixels, shape, None)?;
        let chosen = t.variable(&model.store, slots);
        let x = augment::plain(t, &images, chosen)?;
        let outputs = mean_over_flips(model, t, x)?;
        let calibration = model.calibration_in_use();
        let mut heat = None;
        for ((o, c), lambda) in
            outputs.iter().zip(&calibration).zip(&model.config.loss.scale_weights)
        {
            // lambda_s (score - mean) / std, at the map's size, then enlarged.
            let factor = lambda / c.position_std;
            let shifted =
                affine::affine(t, o.positions, factor as f32, (-factor * c.position_mean) as f32)?;
            let large = resize::bilinear(t, shifted, height, width)?;
            heat = Some(match heat {
                Some(sum) => add(t, sum, large)?,
                None => large,
            });
        }
        let heat = heat.ok_or_else(|| Error::Internal("a model without scales".into()))?;
        // Of an image in tiles, what a tile's border spoils has hardly a weight in the whole.
        let heat = match model.config.score.smooth as f32 {
            sigma if sigma > 0.0 => gaussian::smooth(t, heat, sigma)?,
            _ => heat,
        };
        for o in &outputs {
            tape.keep(o.score);
            tape.keep(o.positions);
        }
        tape.keep(heat);
        let plan = model.plan(gpu, &tape, "scoring")?;
        let size = [height, width];
        Ok(Self { plan, batch, image_len, words, slots, outputs, heat, size, calibration })
    }

    /// Images per step.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Runs up to a batch of images; the outputs stay on the GPU until the next call.
    fn run(&self, gpu: &Gpu, model: &Model, bytes: &[u8]) -> Result<usize> {
        let n = bytes.len() / self.image_len;
        if n == 0 || n > self.batch || bytes.len() != n * self.image_len {
            return Err(Error::Internal(format!(
                "scoring {} bytes: expected 1 to {} images of {} bytes",
                bytes.len(),
                self.batch,
                self.image_len
            )));
        }
        // The places behind the last image repeat the first, so that nothing unset is computed on.
        let words = packed(bytes, model.store.variable(self.words).len());
        model.store.upload(gpu, self.words, &words)?;
        let slots: Vec<u32> = (0..self.batch).map(|i| if i < n { i as u32 } else { 0 }).collect();
        model.store.upload(gpu, self.slots, &slots)?;
        self.plan.run(gpu)?;
        Ok(n)
    }

    /// Scores and heat maps of up to [`Self::batch`] images, `[n, H, W, C]`.
    ///
    /// # Errors
    /// A fault of the GPU, or scores that are not finite.
    pub fn score(&self, gpu: &Gpu, model: &Model, bytes: &[u8]) -> Result<Vec<Score>> {
        let n = self.run(gpu, model, bytes)?;
        let scales: Vec<Vec<f32>> =
            self.outputs.iter().map(|o| self.plan.read(gpu, o.score)).collect::<Result<_>>()?;
        let heat: Vec<f32> = self.plan.read(gpu, self.heat)?;
        let pixels = heat.len() / self.batch;
        let one = |i: usize| {
            let own: Vec<f32> = scales
                .iter()
                .zip(&self.calibration)
                .map(|(s, c)| ((f64::from(s[i]) - c.score_mean) / c.score_std) as f32)
                .collect();
            let lambda = &model.config.loss.scale_weights;
            let score: f64 = own.iter().zip(lambda).map(|(s, l)| l * f64::from(*s)).sum();
            if !score.is_finite() {
                return Err(Error::Internal(format!(
                    "an image's score is {score}: the model holds values that are not finite"
                )));
            }
            let heat = heat[i * pixels..(i + 1) * pixels].to_vec();
            Ok(Score { score: score as f32, scales: own, heat, size: self.size })
        };
        (0..n).map(one).collect()
    }

    /// The scores alone of any number of images.
    ///
    /// # Errors
    /// A fault of the GPU, or scores that are not finite.
    pub fn scores(&self, gpu: &Gpu, model: &Model, pixels: &Pixels) -> Result<Vec<f32>> {
        let mut list = Vec::with_capacity(pixels.n);
        for chunk in pixels.bytes.chunks(self.batch * self.image_len) {
            list.extend(self.score(gpu, model, chunk)?.iter().map(|score| score.score));
        }
        Ok(list)
    }

    /// Measures each scale on normal images that were not trained on.
    ///
    /// # Errors
    /// No image, or a fault of the GPU.
    pub fn calibrate(&self, gpu: &Gpu, model: &Model, pixels: &Pixels) -> Result<Vec<Calibration>> {
        if pixels.n == 0 {
            return Err(Error::Usage(
                "no normal image is left to calibrate the scores with".into(),
            ));
        }
        let mut figures: Vec<[Vec<f64>; 2]> = vec![Default::default(); self.outputs.len()];
        for chunk in pixels.bytes.chunks(self.batch * self.image_len) {
            let n = self.run(gpu, model, chunk)?;
            for (o, lists) in self.outputs.iter().zip(&mut figures) {
                for (value, list) in [o.score, o.positions].into_iter().zip(lists) {
                    let read: Vec<f32> = self.plan.read(gpu, value)?;
                    let of_images = read.len() / self.batch * n;
                    list.extend(read[..of_images].iter().map(|v| f64::from(*v)));
                }
            }
        }
        let one = |[scores, norms]: &[Vec<f64>; 2]| {
            let (score_mean, score_std) = mean_std(scores);
            let (position_mean, position_std) = mean_std(norms);
            Calibration { score_mean, score_std, position_mean, position_std }
        };
        Ok(figures.iter().map(one).collect())
    }

    /// The scores of normal images, and where the colours of heat maps start and end: at the
    /// typical heat of these images, and as far again above their hottest points as those are above
    /// the start.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub(super) fn measure(&self, gpu: &Gpu, model: &Model, held_out: &HeldOut) -> Result<Measured> {
        let (mut tiles, mut typical, mut hottest) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in held_out.pixels.bytes.chunks(self.batch * self.image_len) {
            for mut score in self.score(gpu, model, chunk)? {
                tiles.push(score.score);
                typical.push(quantile(&mut score.heat, 0.5));
                hottest.push(score.heat.iter().copied().fold(f32::MIN, f32::max));
            }
        }
        let low = quantile(&mut typical, 0.5);
        let high = low + 2.0 * (quantile(&mut held_out.greatest(&hottest), 0.95) - low);
        let heat_range = [low, if high > low { high } else { low + 1.0 }];
        Ok(Measured { images: held_out.greatest(&tiles), tiles, heat_range })
    }
}

/// What the scales say of images, each flipped in every way that the configuration asks for; the maps flipped back.
fn mean_over_flips(model: &Model, t: &mut Tape, x: Value) -> Result<Vec<Outputs>> {
    let mut sums = judge(model, t, x)?;
    let flips: &[[bool; 2]] = match model.config.score.flips {
        Flips::None => return Ok(sums),
        Flips::Horizontal => &[[false, true]],
        Flips::Both => &[[false, true], [true, false], [true, true]],
    };
    for &[rows, columns] in flips {
        let axes = Axes { rows, columns };
        let flipped = flip(t, x, axes)?;
        for (sum, one) in sums.iter_mut().zip(judge(model, t, flipped)?) {
            let positions = flip(t, one.positions, axes)?;
            sum.score = add(t, sum.score, one.score)?;
            sum.positions = add(t, sum.positions, positions)?;
        }
    }
    let share = 1.0 / (1 + flips.len()) as f32;
    for sum in &mut sums {
        sum.score = affine::affine(t, sum.score, share, 0.0)?;
        sum.positions = affine::affine(t, sum.positions, share, 0.0)?;
    }
    Ok(sums)
}

/// What each scale says of images `[N, H, W, C]`.
fn judge(model: &Model, t: &mut Tape, x: Value) -> Result<Vec<Outputs>> {
    let maps = model.maps(t, x, Mode::Evaluate)?;
    model.scales.iter().zip(maps).map(|(scale, map)| of_scale(model, t, scale, map)).collect()
}

fn of_scale(model: &Model, t: &mut Tape, scale: &Scale, map: Value) -> Result<Outputs> {
    let &[batch, height, width, dim] = t.shape(map) else {
        return Err(Error::Internal(format!("a scale's map {:?}", t.shape(map))));
    };
    let positions = height * width;
    let vectors = t.reshape(map, &[batch * positions, dim])?;
    // Recorded in any case; what nothing asks for is not run.
    let z = model.space(t, vectors)?;
    // Heads are asked about what they were trained on.
    let steps = match scale.heads {
        Some(_) => model.config.memory.steps_train,
        None => model.config.memory.steps_score,
    };
    let recalled = model.retrieve(t, scale, z, steps)?.retrieved;
    let learned = match &scale.heads {
        Some(heads) => {
            let seen = Seen { map, memory: Some([z, recalled]) };
            heads.record(t, &model.store, seen, Mode::Evaluate)?
        }
        None => HeadScores { image: None, positions: None },
    };
    let of_positions = match learned.positions {
        Some(positions) => positions,
        None => {
            let norms = deviation::norms(t, z, recalled)?;
            t.reshape(norms, &[batch, positions])?
        }
    };
    let score = match (learned.image, learned.positions) {
        (Some(image), _) => image,
        (None, Some(positions_scores)) => {
            let hottest = deviation::Reduction::TopK(top_k(model, positions));
            deviation::reduce(t, positions_scores, hottest)?
        }
        (None, None) => deviation::reduce(t, of_positions, reduction(model, positions))?,
    };
    let positions = t.reshape(of_positions, &[batch, height, width, 1])?;
    Ok(Outputs { score, positions })
}

/// Mean and standard deviation; a deviation of (almost) 0 becomes 1, so that it can be divided by.
fn mean_std(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let std = variance.sqrt();
    (mean, if std > 1e-12 { std } else { 1.0 })
}

/// The value below which a share `q` of the values lies; 0 of none.
fn quantile(values: &mut [f32], q: f64) -> f32 {
    values.sort_by(f32::total_cmp);
    let at = (q * values.len().saturating_sub(1) as f64).round() as usize;
    values.get(at).copied().unwrap_or(0.0)
}

/// How many of an image's positions [`Reduce::TopK`] averages.
fn top_k(model: &Model, positions: usize) -> usize {
    (model.config.score.top_k * positions as f64).round().max(1.0) as usize
}

fn reduction(model: &Model, positions: usize) -> deviation::Reduction {
    match model.config.score.reduce {
        Reduce::Norm => deviation::Reduction::Norm,
        Reduce::Mean => deviation::Reduction::Mean,
        Reduce::Max => deviation::Reduction::Max,
        Reduce::TopK => deviation::Reduction::TopK(top_k(model, positions)),
    }
}
