//! `memory.kind = "kmeans"`: the centroids of a trained encoder's features as its memory, the paper's ablation
//! of what a learned memory adds (table 4).

use super::feed::Feed;
use super::model::Model;
use super::trainer::Observer;
use crate::autograd::{Plan, PlanOptions, Tape, Value};
use crate::gpu::Gpu;
use crate::nn::Mode;
use crate::ops::{augment, kmeans, nearest};
use crate::tensor::{Element, Store, VarId};
use crate::{Error, Result};
use rand::distr::Distribution;
use rand::distr::weighted::WeightedIndex;
use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Vectors of a scale that are clustered, at most.
const SAMPLE: usize = 20_000;
/// Values of them, at most: 128 MiB, what every adapter binds.
const SAMPLE_VALUES: usize = 1 << 25;
/// Updates at most.
const UPDATES: usize = 50;
/// The centres have settled once their squared moves add up to less than this share of the variance of a
/// component (scikit-learn's rule).
const SETTLED: f64 = 1e-4;
/// Keeps the draws apart from those of other purposes: "kmeans".
const PURPOSE: u64 = 0x6b6d_6561_6e73;

/// Vectors to be clustered, and what is recorded for it.
pub struct KMeans {
    store: Store,
    /// `[R, D]`, as on the GPU.
    vectors: Vec<f32>,
    dim: usize,
    count: usize,
    approach: Approach,
    round: Round,
}

/// How near each vector is to one centre.
struct Approach {
    plan: Plan,
    /// `[1, D]`.
    centre: VarId,
    /// `[R]`, squared.
    distance: Value,
}

/// A round of Lloyd's algorithm.
struct Round {
    plan: Plan,
    /// `[M, D]`.
    centres: VarId,
    /// `[R]`: of each vector to its nearest centre, squared.
    distance: Value,
    /// `[M, D]`: the updated centres.
    means: Value,
    /// u32 `[M]`: vectors that are nearest to each centre.
    counts: Value,
}

/// What the vectors fall into.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// `[M, D]`.
    pub centres: Vec<f32>,
    /// Sum of the vectors' squared distances to their nearest centre, before each update; it never rises.
    pub inertia: Vec<f64>,
}

impl KMeans {
    /// Takes `vectors` `[R, D]` of `dim` components to the GPU, to be grouped around `count` centres.
    ///
    /// # Errors
    /// No vectors, or some that are not finite; limits that the plans exceed; faults of the GPU.
    pub fn new(gpu: &Gpu, vectors: Vec<f32>, dim: usize, count: usize) -> Result<Self> {
        let rows = vectors.len() / dim.max(1);
        if rows == 0 || rows * dim != vectors.len() || count == 0 {
            let message = format!("{} values, dim {dim}, {count} centres", vectors.len());
            return Err(Error::shape("kmeans", message));
        }
        if let Some(bad) = vectors.iter().find(|v| !v.is_finite()) {
            return Err(Error::Internal(format!("the features to be clustered hold {bad}")));
        }
        let mut store = Store::new();
        let slab = store.slab("kmeans");
        let mut declare =
            |name: &str, rows| store.declare(slab, name, &[rows, dim], Element::F32, false);
        let (points, centre, centres) =
            (declare("vectors", rows)?, declare("centre", 1)?, declare("centres", count)?);
        store.allocate(gpu)?;
        store.upload(gpu, points, &vectors)?;

        let mut tape = Tape::new(gpu.report().kernels());
        let (x, one) = (tape.variable(&store, points), tape.variable(&store, centre));
        let (distance, _) = nearest::nearest(&mut tape, x, one)?;
        tape.keep(distance);
        let options = PlanOptions { label: "kmeans start".into(), ..Default::default() };
        let plan = Plan::compile(gpu, &tape, &store, &options)?;
        let approach = Approach { plan, centre, distance };

        let mut tape = Tape::new(gpu.report().kernels());
        let (x, all) = (tape.variable(&store, points), tape.variable(&store, centres));
        let (distance, index) = nearest::nearest(&mut tape, x, all)?;
        let (means, counts) = kmeans::update(&mut tape, x, index, all)?;
        [distance, means, counts].into_iter().for_each(|v| tape.keep(v));
        let options = PlanOptions { label: "kmeans".into(), ..Default::default() };
        let plan = Plan::compile(gpu, &tape, &store, &options)?;
        let round = Round { plan, centres, distance, means, counts };
        Ok(Self { store, vectors, dim, count, approach, round })
    }

    fn vector(&self, row: usize) -> &[f32] {
        &self.vectors[row * self.dim..(row + 1) * self.dim]
    }

    /// Draws the first centres `[M, D]` from the vectors, each with a probability that follows the squared
    /// distance to the centres before it (k-means++; Arthur and Vassilvitskii 2007). Where there are fewer
    /// different vectors than centres, some repeat.
    ///
    /// # Errors
    /// Faults of the GPU.
    pub fn start(&self, gpu: &Gpu, seed: u64) -> Result<Vec<f32>> {
        let rows = self.vectors.len() / self.dim;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut least = vec![f64::INFINITY; rows];
        let mut row = random.random_range(0..rows);
        let mut centres = self.vector(row).to_vec();
        while centres.len() < self.count * self.dim {
            self.store.upload(gpu, self.approach.centre, self.vector(row))?;
            self.approach.plan.run(gpu)?;
            let distance: Vec<f32> = self.approach.plan.read(gpu, self.approach.distance)?;
            for (least, d) in least.iter_mut().zip(distance) {
                *least = least.min(f64::from(d));
            }
            row = match WeightedIndex::new(&least) {
                Ok(by_distance) => by_distance.sample(&mut random),
                // Every vector is a centre already.
                Err(_) => random.random_range(0..rows),
            };
            centres.extend_from_slice(self.vector(row));
        }
        Ok(centres)
    }

    /// Moves `centres` `[M, D]` to the means of the vectors nearest to them (Lloyd 1982), until they have
    /// settled or after 50 rounds. A centre without vectors starts anew from one that is far from all.
    ///
    /// # Errors
    /// Centres of another number of values, faults of the GPU.
    pub fn settle(&self, gpu: &Gpu, mut centres: Vec<f32>) -> Result<Clusters> {
        let Round { plan, distance, means, counts, .. } = &self.round;
        let settled = SETTLED * self.variance();
        let mut inertia = Vec::new();
        for _ in 0..UPDATES {
            self.store.upload(gpu, self.round.centres, &centres)?;
            plan.run(gpu)?;
            let distance: Vec<f32> = plan.read(gpu, *distance)?;
            let counts: Vec<u32> = plan.read(gpu, *counts)?;
            let mut moved: Vec<f32> = plan.read(gpu, *means)?;
            inertia.push(distance.iter().map(|d| f64::from(*d)).sum());
            self.reseed(&mut moved, &counts, &distance);
            let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
            let moves: f64 = centres.iter().zip(&moved).map(square).sum();
            centres = moved;
            if moves <= settled {
                break;
            }
        }
        Ok(Clusters { centres, inertia })
    }

    /// Puts the vectors with the greatest `distance` in the place of centres without vectors.
    fn reseed(&self, centres: &mut [f32], counts: &[u32], distance: &[f32]) {
        let empty: Vec<usize> = (0..self.count).filter(|m| counts[*m] == 0).collect();
        if empty.is_empty() {
            return;
        }
        let mut worst: Vec<usize> = (0..distance.len()).filter(|r| distance[*r] > 0.0).collect();
        // The order of equals stays that of the rows.
        worst.sort_by(|a, b| distance[*b].total_cmp(&distance[*a]));
        for (m, row) in empty.into_iter().zip(worst) {
            centres[m * self.dim..(m + 1) * self.dim].copy_from_slice(self.vector(row));
        }
    }

    /// Of a component of the vectors, in the mean.
    fn variance(&self) -> f64 {
        let rows = (self.vectors.len() / self.dim) as f64;
        let (mut sums, mut squares) = (vec![0.0; self.dim], vec![0.0; self.dim]);
        for vector in self.vectors.chunks(self.dim) {
            for ((sum, square), v) in sums.iter_mut().zip(&mut squares).zip(vector) {
                *sum += f64::from(*v);
                *square += f64::from(*v).powi(2);
            }
        }
        let of_column = |(sum, square): (&f64, &f64)| square / rows - (sum / rows).powi(2);
        sums.iter().zip(&squares).map(of_column).sum::<f64>() / self.dim as f64
    }
}

/// Makes the centroids of the features of the images `normals` the prototypes of `model`: of a sample of each
/// scale's vectors in the memory's space, from images that are not augmented.
///
/// # Errors
/// Features that are not finite, limits that the plans exceed, faults of the GPU.
pub(super) fn memorise(
    gpu: &Gpu,
    model: &Model,
    feed: &Feed,
    normals: &[u32],
    batch: usize,
    observer: &mut dyn Observer,
) -> Result<()> {
    let vectors = sample(gpu, model, feed, normals, batch)?;
    for (scale, vectors) in model.scales.iter().zip(vectors) {
        let rows = vectors.len() / scale.dim;
        let of_scale = KMeans::new(gpu, vectors, scale.dim, scale.slots)?;
        let start = of_scale.start(gpu, model.config.seed ^ PURPOSE ^ scale.stage as u64)?;
        let Clusters { centres, inertia } = of_scale.settle(gpu, start)?;
        model.store.upload(gpu, scale.prototypes, &centres)?;
        let mean = |inertia: Option<&f64>| inertia.copied().unwrap_or(f64::NAN) / rows as f64;
        observer.note(&format!(
            "stage {}: {} centroids of {rows} features; mean squared distance {:.4}, after {} \
             updates {:.4}",
            scale.stage,
            scale.slots,
            mean(inertia.first()),
            inertia.len() - 1,
            mean(inertia.last())
        ));
    }
    Ok(())
}

/// Of each scale `[rows, D]`, drawn without repetition from all positions of all images.
fn sample(
    gpu: &Gpu,
    model: &Model,
    feed: &Feed,
    normals: &[u32],
    batch: usize,
) -> Result<Vec<Vec<f32>>> {
    let mut tape = Tape::forward_only(model.kernels(gpu));
    let t = &mut tape;
    let source = feed.record(t, model)?;
    let x = augment::plain(t, &source.images, source.slots)?;
    let maps = model.maps(t, x, Mode::Evaluate)?;
    let mut random = ChaCha8Rng::seed_from_u64(model.config.seed ^ PURPOSE);
    let mut scales = Vec::new();
    for (scale, map) in model.scales.iter().zip(maps) {
        let vectors = t.len(map) / scale.dim;
        let flat = t.reshape(map, &[vectors, scale.dim])?;
        let z = model.space(t, flat)?;
        t.keep(z);
        let positions = vectors / batch;
        let all = normals.len() * positions;
        let count = all.min(SAMPLE).min(SAMPLE_VALUES / scale.dim);
        // Image times positions plus position.
        let mut rows = index::sample(&mut random, all, count).into_vec();
        rows.sort_unstable();
        scales.push((scale.dim, positions, z, rows));
    }
    let plan = model.plan(gpu, &tape, "features")?;
    let mut lists = vec![Vec::new(); scales.len()];
    for (k, images) in normals.chunks(batch).enumerate() {
        let full: Vec<u32> = images.iter().copied().cycle().take(batch).collect();
        feed.choose(gpu, model, &full)?;
        plan.run(gpu)?;
        for (list, (dim, positions, z, rows)) in lists.iter_mut().zip(&scales) {
            let first = k * batch * positions;
            let last = first + images.len() * positions;
            let [begin, end] = [first, last].map(|row| rows.partition_point(|r| *r < row));
            let values: Vec<f32> = plan.read(gpu, *z)?;
            for row in &rows[begin..end] {
                list.extend_from_slice(&values[(row - first) * dim..(row - first + 1) * dim]);
            }
        }
    }
    Ok(lists)
}
