//! Figures of ranked scores: what is found, and what is called anomalous by mistake, as a threshold
//! falls.

/// What has a score at or above a threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    /// Anomalous items: images or pixels.
    pub hits: u64,
    /// Normal items.
    pub alarms: u64,
    /// Sum over the marked regions of the share that is found; 0 for images.
    pub cover: f64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.alarms += other.alarms;
        self.cover += other.cover;
    }
}

/// False-positive rate up to which AUPRO integrates.
const AUPRO_LIMIT: f64 = 0.3;

/// Areas below curves, 0..=1 each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Areas {
    /// Below the ROC curve.
    pub auroc: f64,
    /// Average precision.
    pub ap: f64,
    /// Below the mean share of regions found against the false-positive rate, up to
    /// [`AUPRO_LIMIT`] and divided by it; 0 without regions.
    pub aupro: f64,
}

impl Areas {
    /// Walks down the thresholds; `runs` holds what each distinct score adds, the highest first, and
    /// `all` their sum. Nothing unless there are both normal and anomalous items.
    pub(super) fn of(runs: impl Iterator<Item = Counts>, all: Counts) -> Option<Self> {
        if all.hits == 0 || all.alarms == 0 {
            return None;
        }
        let (mut twice_area, mut precisions, mut covered) = (0_u128, 0.0, 0.0);
        let mut now = Counts::default();
        for run in runs {
            let before = now;
            now += run;
            twice_area += u128::from(run.alarms) * u128::from(now.hits + before.hits);
            precisions += run.hits as f64 * now.hits as f64 / (now.hits + now.alarms) as f64;
            covered += covered_until_limit(before, now, all.alarms as f64);
        }
        let twice_pairs = 2 * u128::from(all.hits) * u128::from(all.alarms);
        let regions = if all.cover > 0.0 { all.cover } else { 1.0 };
        Some(Self {
            auroc: twice_area as f64 / twice_pairs as f64,
            ap: (precisions / all.hits as f64).min(1.0),
            aupro: (covered / (AUPRO_LIMIT * regions)).min(1.0),
        })
    }
}

/// The area below the cover between two thresholds, linear between them and cut off at the limit.
fn covered_until_limit(from: Counts, to: Counts, normal: f64) -> f64 {
    let (start, end) = (from.alarms as f64 / normal, to.alarms as f64 / normal);
    if to.alarms == from.alarms || start >= AUPRO_LIMIT {
        return 0.0;
    }
    let share = ((AUPRO_LIMIT - start) / (end - start)).min(1.0);
    let last = from.cover + share * (to.cover - from.cover);
    share * (end - start) * (from.cover + last) / 2.0
}

/// Counts of images at every threshold, from the highest score down.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    /// At or above each distinct score.
    pub points: Vec<Counts>,
    /// All images.
    pub all: Counts,
}

impl Curve {
    /// Ranks the scores of `normal` and `anomalous` images; equal scores form one threshold.
    pub(super) fn new(normal: &[f32], anomalous: &[f32]) -> Self {
        let label = |scores: &[f32], anomalous| -> Vec<(u32, bool)> {
            scores.iter().map(|&score| (order_key(score), anomalous)).collect()
        };
        let mut ranked = [label(normal, false), label(anomalous, true)].concat();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        let mut all = Counts::default();
        let points = ranked
            .chunk_by(|a, b| a.0 == b.0)
            .map(|ties| {
                let hits = ties.iter().filter(|(_, anomalous)| *anomalous).count();
                all += Counts { hits: hits as u64, alarms: (ties.len() - hits) as u64, cover: 0.0 };
                all
            })
            .collect();
        Self { points, all }
    }

    pub(super) fn areas(&self) -> Option<Areas> {
        let before = std::iter::once(Counts::default()).chain(self.points.iter().copied());
        let runs = self.points.iter().zip(before).map(|(to, from)| Counts {
            hits: to.hits - from.hits,
            alarms: to.alarms - from.alarms,
            cover: 0.0,
        });
        Areas::of(runs, self.all)
    }

    fn is_defined(&self) -> bool {
        self.all.hits > 0 && self.all.alarms > 0
    }

    pub(super) fn f1_max(&self) -> Option<f64> {
        // F1 = 2 hits / (2 hits + alarms + misses), and hits + misses = all hits.
        let f1 = |p: &Counts| (2 * p.hits) as f64 / (p.hits + p.alarms + self.all.hits) as f64;
        self.is_defined().then(|| self.points.iter().map(f1).fold(0.0, f64::max))
    }

    pub(super) fn fpr_at_95_tpr(&self) -> Option<f64> {
        let enough = |p: &&Counts| 100 * p.hits >= 95 * self.all.hits;
        let point = self.points.iter().find(enough).filter(|_| self.is_defined())?;
        Some(point.alarms as f64 / self.all.alarms as f64)
    }
}

/// A `u32` in the same order as the score; 0.0 and -0.0 share one. Never called with NaN.
pub(super) fn order_key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_scores_keep_their_order() {
        let rising =
            [f32::NEG_INFINITY, f32::MIN, -1.0, -f32::MIN_POSITIVE, 0.0, 1e-40, 1.0, f32::INFINITY];
        assert!(rising.windows(2).all(|pair| order_key(pair[0]) < order_key(pair[1])));
        assert_eq!(order_key(-0.0), order_key(0.0));
    }

    #[test]
    fn the_cover_is_cut_off_at_the_limit() {
        let at = |alarms, cover| Counts { hits: 0, alarms, cover };
        // From (0, 0) to (1, 2): the area of a triangle of base 0.3 and height 0.6.
        assert!((covered_until_limit(at(0, 0.0), at(10, 2.0), 10.0) - 0.09).abs() < 1e-15);
        assert!((covered_until_limit(at(0, 1.0), at(3, 1.0), 10.0) - 0.3).abs() < 1e-15);
        assert_eq!(covered_until_limit(at(0, 0.0), at(0, 1.0), 10.0), 0.0);
        assert_eq!(covered_until_limit(at(4, 0.0), at(5, 1.0), 10.0), 0.0);
    }
}
