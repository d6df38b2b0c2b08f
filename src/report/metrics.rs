//! How well scores part anomalous from normal. High scores mean anomalous; definitions are those of
//! scikit-learn 1.9 (`roc_auc_score`, `average_precision_score`, `precision_recall_curve`, `roc_curve`).
//!
//! Only the order of scores counts, so raw scores of any range are fine. Equal scores form one
//! threshold. A figure that is undefined because a class is missing is `None`, never NaN.

use std::collections::BTreeMap;

use rayon::slice::ParallelSliceMut;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Pixels kept for an exact pixel AUROC: 4 bytes each, 200 MB in all.
const EXACT_PIXELS: usize = 50_000_000;

/// Bits of a score's sort key kept beyond [`EXACT_PIXELS`]: sign, exponent and 11 of 23 fraction
/// bits, so that scores closer than 0.05 % count as equal.
const COARSE_BITS: u32 = 20;

/// The figures of one test set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// All anomalous images against all normal ones.
    #[serde(flatten)]
    pub overall: Summary,
    /// Each kind of defect alone, against all normal images.
    pub kinds: BTreeMap<String, Summary>,
}

/// The figures of one group of anomalous images against the normal ones; shares lie in 0..=1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Area under the ROC curve: the chance that an anomalous image scores above a normal one,
    /// ties counted half.
    pub image_auroc: Option<f64>,
    /// Average precision: sum over thresholds of (gain in recall) x precision, no interpolation.
    pub image_ap: Option<f64>,
    /// The best F1 over all thresholds.
    pub image_f1_max: Option<f64>,
    /// Share of normal images called anomalous at the highest threshold that finds at least 95 % of
    /// the anomalous ones.
    pub fpr_at_95_tpr: Option<f64>,
    /// AUROC over the pixels of all images together; absent without masks, or where they mark no
    /// pixel or every pixel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_auroc: Option<f64>,
    /// Number of normal images.
    pub n_normal: usize,
    /// Number of anomalous images.
    pub n_anomalous: usize,
}

/// Gathers scores and maps image by image, then computes [`Metrics`].
///
/// Pixel AUROC is exact up to 50 million pixels (4 bytes each). Beyond, pixels are counted in
/// 2^20 bins by the leading bits of their score (16 MiB per kind of defect), in which scores within
/// 0.05 % of each other count as ties.
///
/// ```
/// let mut evaluator = anomem::report::Evaluator::new();
/// evaluator.add(None, 0.2)?;
/// evaluator.add(None, 0.5)?;
/// evaluator.add(Some("scratch"), 0.9)?;
/// assert_eq!(evaluator.finish().overall.image_auroc, Some(1.0));
/// # Ok::<(), anomem::Error>(())
/// ```
#[derive(Debug)]
pub struct Evaluator {
    /// Normal images under `None`, defects under their kind.
    groups: BTreeMap<Option<String>, Group>,
    pixels: usize,
    exact_pixels: usize,
}

#[derive(Debug, Default)]
struct Group {
    scores: Vec<f32>,
    normal: Keys,
    anomalous: Keys,
}

impl Default for Evaluator {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), pixels: 0, exact_pixels: EXACT_PIXELS }
    }
}

impl Evaluator {
    /// An evaluator that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image's `score`; `kind` is its defect, `None` for a normal image.
    ///
    /// # Errors
    /// [`Error::Usage`] when the score is NaN.
    pub fn add(&mut self, kind: Option<&str>, score: f32) -> Result<()> {
        if score.is_nan() {
            let label = kind.unwrap_or("normal");
            return Err(Error::Usage(format!("score of a test image ({label}) is NaN")));
        }
        self.group(kind).scores.push(score);
        Ok(())
    }

    /// Adds an image's score `map` ([H, W]) with its `mask` ([H, W], nonzero = defect). Normal images
    /// belong here too, with a mask of zeros: most false alarms are theirs.
    ///
    /// # Errors
    /// [`Error::Usage`] when the sizes differ or the map holds a NaN.
    pub fn add_map(&mut self, kind: Option<&str>, map: &[f32], mask: &[u8]) -> Result<()> {
        if map.len() != mask.len() {
            let (map, mask) = (map.len(), mask.len());
            return Err(Error::Usage(format!("score map has {map} pixels, its mask {mask}")));
        }
        if map.iter().any(|score| score.is_nan()) {
            let label = kind.unwrap_or("normal");
            return Err(Error::Usage(format!("score map of a test image ({label}) holds NaN")));
        }
        let was_exact = self.pixels <= self.exact_pixels;
        self.pixels += map.len();
        let exact = self.pixels <= self.exact_pixels;
        if was_exact && !exact {
            self.groups.values_mut().for_each(Group::coarsen);
        }
        let group = self.group(kind);
        if !exact {
            group.coarsen();
        }
        for (&score, &marked) in map.iter().zip(mask) {
            let keys = if marked == 0 { &mut group.normal } else { &mut group.anomalous };
            keys.push(order_key(score));
        }
        Ok(())
    }

    /// All figures of what was added.
    #[must_use]
    pub fn finish(mut self) -> Metrics {
        for group in self.groups.values_mut() {
            group.normal.sort();
            group.anomalous.sort();
        }
        let normal = self.groups.remove(&None).unwrap_or_default();
        let kinds: BTreeMap<String, Group> =
            self.groups.into_iter().filter_map(|(kind, group)| Some((kind?, group))).collect();

        let everything: Vec<&Group> = kinds.values().collect();
        Metrics {
            overall: summary(&normal, &everything),
            kinds: kinds.iter().map(|(k, group)| (k.clone(), summary(&normal, &[group]))).collect(),
        }
    }

    fn group(&mut self, kind: Option<&str>) -> &mut Group {
        self.groups.entry(kind.map(str::to_owned)).or_default()
    }
}

impl Group {
    fn coarsen(&mut self) {
        self.normal.coarsen();
        self.anomalous.coarsen();
    }
}

fn summary(normal: &Group, defects: &[&Group]) -> Summary {
    let anomalous: Vec<f32> = defects.iter().flat_map(|group| &group.scores).copied().collect();
    let curve = Curve::new(&normal.scores, &anomalous);
    Summary {
        image_auroc: curve.auroc(),
        image_ap: curve.average_precision(),
        image_f1_max: curve.f1_max(),
        fpr_at_95_tpr: curve.fpr_at_95_tpr(),
        pixel_auroc: pixel_auroc(normal, defects),
        n_normal: normal.scores.len(),
        n_anomalous: anomalous.len(),
    }
}

/// Counts at every threshold, from the highest score down.
struct Curve {
    /// (anomalous images found, normal images called anomalous) at or above each distinct score.
    points: Vec<(usize, usize)>,
    n_normal: usize,
    n_anomalous: usize,
}

impl Curve {
    fn new(normal: &[f32], anomalous: &[f32]) -> Self {
        let label = |scores: &[f32], anomalous| -> Vec<(u32, bool)> {
            scores.iter().map(|&score| (order_key(score), anomalous)).collect()
        };
        let mut ranked = [label(normal, false), label(anomalous, true)].concat();
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        let mut found = (0, 0);
        let points = ranked
            .chunk_by(|a, b| a.0 == b.0)
            .map(|ties| {
                let hits = ties.iter().filter(|(_, anomalous)| *anomalous).count();
                found = (found.0 + hits, found.1 + ties.len() - hits);
                found
            })
            .collect();
        Self { points, n_normal: normal.len(), n_anomalous: anomalous.len() }
    }

    /// Whether both classes are there; without, every figure is undefined.
    fn is_defined(&self) -> bool {
        self.n_normal > 0 && self.n_anomalous > 0
    }

    fn auroc(&self) -> Option<f64> {
        let (mut twice_area, mut before) = (0, (0, 0));
        for &(hits, alarms) in &self.points {
            twice_area += (alarms - before.1) * (hits + before.0);
            before = (hits, alarms);
        }
        let pairs = self.n_normal * self.n_anomalous;
        self.is_defined().then(|| twice_area as f64 / (2 * pairs) as f64)
    }

    fn average_precision(&self) -> Option<f64> {
        let (mut sum, mut before) = (0.0, 0);
        for &(hits, alarms) in &self.points {
            sum += (hits - before) as f64 * hits as f64 / (hits + alarms) as f64;
            before = hits;
        }
        self.is_defined().then(|| sum / self.n_anomalous as f64)
    }

    fn f1_max(&self) -> Option<f64> {
        // F1 = 2 hits / (2 hits + alarms + misses), and hits + misses = n_anomalous.
        let f1 = |&(hits, alarms): &(usize, usize)| {
            (2 * hits) as f64 / (hits + alarms + self.n_anomalous) as f64
        };
        self.is_defined().then(|| self.points.iter().map(f1).fold(0.0, f64::max))
    }

    fn fpr_at_95_tpr(&self) -> Option<f64> {
        let enough = |&&(hits, _): &&(usize, usize)| 100 * hits >= 95 * self.n_anomalous;
        let (_, alarms) = self.points.iter().find(enough).filter(|_| self.is_defined())?;
        Some(*alarms as f64 / self.n_normal as f64)
    }
}

/// A `u32` in the same order as the score; 0.0 and -0.0 share one. Never called with NaN.
fn order_key(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// The pixel scores of one class, as sort keys or, when there are too many, as counts.
#[derive(Debug)]
enum Keys {
    Exact(Vec<u32>),
    Coarse { counts: Vec<u64>, len: usize },
}

impl Default for Keys {
    fn default() -> Self {
        Self::Exact(Vec::new())
    }
}

impl Keys {
    fn push(&mut self, key: u32) {
        match self {
            Self::Exact(keys) => keys.push(key),
            Self::Coarse { counts, len } => {
                counts[(key >> (32 - COARSE_BITS)) as usize] += 1;
                *len += 1;
            }
        }
    }

    fn coarsen(&mut self) {
        if let Self::Exact(keys) = self {
            let keys = std::mem::take(keys);
            *self = Self::Coarse { counts: vec![0; 1 << COARSE_BITS], len: 0 };
            keys.into_iter().for_each(|key| self.push(key));
        }
    }

    fn sort(&mut self) {
        if let Self::Exact(keys) = self {
            keys.par_sort_unstable();
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Exact(keys) => keys.len(),
            Self::Coarse { len, .. } => *len,
        }
    }

    /// (key, number of pixels) in rising order; needs [`Self::sort`] before.
    fn runs(&self) -> Box<dyn Iterator<Item = (u32, u64)> + '_> {
        match self {
            Self::Exact(keys) => {
                Box::new(keys.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)))
            }
            Self::Coarse { counts, .. } => Box::new(
                counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, n)| (i as u32, *n)),
            ),
        }
    }
}

/// Pairs are counted group by group and added up, so nothing is copied or merged.
fn pixel_auroc(normal: &Group, defects: &[&Group]) -> Option<f64> {
    let (mut twice_wins, mut n_normal, mut n_anomalous) = (0, normal.normal.len(), 0);
    for group in defects {
        twice_wins += twice_wins_over(&group.anomalous, &normal.normal);
        for other in defects {
            twice_wins += twice_wins_over(&group.anomalous, &other.normal);
        }
        n_normal += group.normal.len();
        n_anomalous += group.anomalous.len();
    }
    let twice_pairs = 2 * n_normal as u128 * n_anomalous as u128;
    (twice_pairs > 0).then(|| twice_wins as f64 / twice_pairs as f64)
}

/// Twice the number of (anomalous, normal) pairs in which the anomalous score is higher, plus the
/// number of ties.
fn twice_wins_over(anomalous: &Keys, normal: &Keys) -> u128 {
    let mut normal_runs = normal.runs().peekable();
    let (mut wins, mut below) = (0, 0);
    for (key, count) in anomalous.runs() {
        while let Some((_, n)) = normal_runs.next_if(|&(other, _)| other < key) {
            below += n;
        }
        let tied = normal_runs.peek().map_or(0, |&(other, n)| if other == key { n } else { 0 });
        wins += u128::from(count) * u128::from(2 * below + tied);
    }
    wins
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn summary_of(labelled: &[(bool, f32)]) -> Summary {
        let mut evaluator = Evaluator::new();
        for &(anomalous, score) in labelled {
            evaluator.add(anomalous.then_some("defect"), score).unwrap();
        }
        evaluator.finish().overall
    }

    fn pixel_auroc_of(labelled: &[(bool, f32)], exact_pixels: usize) -> Option<f64> {
        let mut evaluator = Evaluator { exact_pixels, ..Evaluator::new() };
        for half in labelled.chunks(labelled.len().div_ceil(2).max(1)) {
            let map: Vec<f32> = half.iter().map(|pixel| pixel.1).collect();
            let mask: Vec<u8> = half.iter().map(|pixel| u8::from(pixel.0)).collect();
            evaluator.add_map(Some("defect"), &map, &mask).unwrap();
        }
        evaluator.finish().overall.pixel_auroc
    }

    /// From the definition, in O(n^2): every pair, every threshold.
    fn brute_force(labelled: &[(bool, f32)]) -> Summary {
        let scores = |class| labelled.iter().filter(move |s| s.0 == class).map(|s| s.1);
        let (n_normal, n_anomalous) = (scores(false).count(), scores(true).count());
        let mut result = Summary { n_normal, n_anomalous, ..Summary::default() };
        if n_normal == 0 || n_anomalous == 0 {
            return result;
        }
        let mut wins = 0.0;
        for a in scores(true) {
            for n in scores(false) {
                wins += if a > n { 1.0 } else { f64::from(u8::from(a == n)) / 2.0 };
            }
        }
        result.image_auroc = Some(wins / (n_normal * n_anomalous) as f64);

        let mut thresholds: Vec<f32> = labelled.iter().map(|s| s.1).collect();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let (mut ap, mut f1_max, mut recall_before) = (0.0, 0.0_f64, 0.0);
        for t in thresholds {
            let hits = scores(true).filter(|s| *s >= t).count() as f64;
            let alarms = scores(false).filter(|s| *s >= t).count() as f64;
            let (precision, recall) = (hits / (hits + alarms), hits / n_anomalous as f64);
            ap += (recall - recall_before) * precision;
            recall_before = recall;
            if hits > 0.0 {
                f1_max = f1_max.max(2.0 * precision * recall / (precision + recall));
            }
            if recall >= 0.95 && result.fpr_at_95_tpr.is_none() {
                result.fpr_at_95_tpr = Some(alarms / n_normal as f64);
            }
        }
        result.image_ap = Some(ap);
        result.image_f1_max = Some(f1_max);
        result
    }

    fn figures(s: &Summary) -> [Option<f64>; 4] {
        [s.image_auroc, s.image_ap, s.image_f1_max, s.fpr_at_95_tpr]
    }

    fn assert_close(found: &Summary, expected: [Option<f64>; 4]) {
        for (found, expected) in figures(found).into_iter().zip(expected) {
            let close = match (found, expected) {
                (Some(f), Some(e)) => (f - e).abs() <= 1e-12,
                (f, e) => f == e,
            };
            assert!(close, "found {found:?}, expected {expected:?}");
        }
    }

    /// Few distinct values, so that ties are common, and both signs.
    fn labelled() -> impl Strategy<Value = Vec<(bool, f32)>> {
        prop::collection::vec((any::<bool>(), (-6_i8..6).prop_map(|q| f32::from(q) / 4.0)), 0..50)
    }

    proptest! {
        #[test]
        fn equal_to_brute_force(data in labelled()) {
            let found = summary_of(&data);
            let expected = brute_force(&data);
            assert_close(&found, figures(&expected));
            prop_assert_eq!(found.n_normal, expected.n_normal);
            prop_assert_eq!(found.n_anomalous, expected.n_anomalous);
        }

        #[test]
        fn within_bounds_and_defined_only_with_both_classes(data in labelled()) {
            let found = summary_of(&data);
            let both = found.n_normal > 0 && found.n_anomalous > 0;
            for figure in figures(&found) {
                prop_assert_eq!(figure.is_some(), both);
                prop_assert!(figure.is_none_or(|f| (0.0..=1.0).contains(&f)));
            }
        }

        #[test]
        fn monotone_maps_change_nothing(data in labelled()) {
            let mapped: Vec<_> = data.iter().map(|&(l, s)| (l, (2.0 * s).exp() - 7.0)).collect();
            prop_assert_eq!(summary_of(&mapped), summary_of(&data));
        }

        #[test]
        fn flipped_labels_mirror_the_auroc(data in labelled()) {
            let flipped: Vec<_> = data.iter().map(|&(l, s)| (!l, s)).collect();
            if let (Some(a), Some(b)) = (summary_of(&data).image_auroc, summary_of(&flipped).image_auroc) {
                prop_assert!((a + b - 1.0).abs() <= 1e-12);
            }
        }

        #[test]
        fn order_of_images_changes_nothing(data in labelled()) {
            let reversed: Vec<_> = data.iter().rev().copied().collect();
            prop_assert_eq!(summary_of(&reversed), summary_of(&data));
        }

        // Quarter steps differ in the leading bits, so here even the coarse count is exact.
        #[test]
        fn pixels_exact_and_coarse_equal_the_image_auroc(data in labelled()) {
            let expected = summary_of(&data).image_auroc;
            for exact_pixels in [0, data.len() / 2, EXACT_PIXELS] {
                prop_assert_eq!(pixel_auroc_of(&data, exact_pixels), expected);
            }
        }
    }

    // Numbers of scikit-learn 1.9.1, scores as float32:
    //   f, t, _ = roc_curve(y, s, drop_intermediate=False); p, r, _ = precision_recall_curve(y, s)
    //   roc_auc_score(y, s), average_precision_score(y, s), nanmax(2*p*r/(p+r)), f[argmax(t >= .95)]
    #[test]
    fn equal_to_scikit_learn() {
        let zip = |labels: &[u8], scores: &[f32]| -> Vec<(bool, f32)> {
            labels.iter().map(|l| *l == 1).zip(scores.iter().copied()).collect()
        };
        let small = zip(&[0, 0, 1, 1], &[0.1, 0.4, 0.35, 0.8]);
        assert_close(&summary_of(&small), [0.75, 0.833_333_333_333_333_3, 0.8, 0.5].map(Some));

        let ties = zip(
            &[0, 1, 0, 1, 1, 0, 0, 1, 0, 1],
            &[1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 0.0, 0.0, 1.0, 4.0],
        );
        assert_close(&summary_of(&ties), [0.68, 0.7, 0.727_272_727_272_727_2, 1.0].map(Some));

        // y = [(i*7)%5 == 0 for i in range(60)]; s = [((i*37)%23 + 8*y[i])/4 for i in range(60)]
        let longer: Vec<(bool, f32)> = (0..60_u16)
            .map(|i| ((i * 7) % 5 == 0, i))
            .map(|(y, i)| (y, f32::from((i * 37) % 23 + 8 * u16::from(y)) / 4.0))
            .collect();
        let expected = [
            0.527_777_777_777_777_9,
            0.197_628_056_323_708_5,
            0.413_793_103_448_275_86,
            0.708_333_333_333_333_4,
        ];
        assert_close(&summary_of(&longer), expected.map(Some));
    }

    #[test]
    fn kinds_stand_against_all_good_images() {
        let mut evaluator = Evaluator::new();
        for (kind, score) in [
            (None, 1.0),
            (None, 3.0),
            (Some("crack"), 2.0),
            (Some("hole"), 4.0),
            (Some("hole"), 0.0),
        ] {
            evaluator.add(kind, score).unwrap();
        }
        // Good images: 2 pixels; crack: its own normal pixel counts for crack, not for hole.
        evaluator.add_map(None, &[1.0, 3.0], &[0, 0]).unwrap();
        evaluator.add_map(Some("crack"), &[2.0, 5.0], &[255, 0]).unwrap();
        evaluator.add_map(Some("hole"), &[4.0], &[1]).unwrap();
        let metrics = evaluator.finish();
        let (crack, hole) = (&metrics.kinds["crack"], &metrics.kinds["hole"]);
        assert_eq!((crack.image_auroc, hole.image_auroc), (Some(0.5), Some(0.5)));
        assert_eq!((crack.n_normal, crack.n_anomalous), (2, 1));
        assert_eq!((hole.n_normal, hole.n_anomalous), (2, 2));
        assert_eq!(crack.pixel_auroc, Some(1.0 / 3.0));
        assert_eq!(hole.pixel_auroc, Some(1.0));
        assert_eq!(metrics.overall.pixel_auroc, Some(3.0 / 6.0));
        assert_eq!(metrics.overall.n_anomalous, 3);
    }

    #[test]
    fn json_has_the_agreed_keys() {
        let mut evaluator = Evaluator::new();
        evaluator.add(None, 1.0).unwrap();
        let without_masks = serde_json::to_value(evaluator.finish()).unwrap();
        let expected = serde_json::json!({
            "image_auroc": null, "image_ap": null, "image_f1_max": null, "fpr_at_95_tpr": null,
            "n_normal": 1, "n_anomalous": 0, "kinds": {},
        });
        assert_eq!(without_masks, expected);

        let mut evaluator = Evaluator::new();
        evaluator.add(Some("hole"), 1.0).unwrap();
        evaluator.add_map(Some("hole"), &[1.0, 0.0], &[1, 0]).unwrap();
        let metrics = evaluator.finish();
        let json = serde_json::to_value(&metrics).unwrap();
        assert_eq!(json["pixel_auroc"], 1.0);
        assert_eq!(json["kinds"]["hole"]["pixel_auroc"], 1.0);
        assert_eq!(serde_json::from_value::<Metrics>(json).unwrap(), metrics);
    }

    #[test]
    fn extreme_scores_keep_their_order() {
        let rising =
            [f32::NEG_INFINITY, f32::MIN, -1.0, -f32::MIN_POSITIVE, 0.0, 1e-40, 1.0, f32::INFINITY];
        assert!(rising.windows(2).all(|pair| order_key(pair[0]) < order_key(pair[1])));
        assert_eq!(order_key(-0.0), order_key(0.0));
    }

    #[test]
    fn nan_and_unequal_sizes_are_errors() {
        let mut evaluator = Evaluator::new();
        assert!(evaluator.add(None, f32::NAN).is_err());
        assert!(evaluator.add_map(None, &[1.0, f32::NAN], &[0, 0]).is_err());
        let message = evaluator.add_map(None, &[1.0, 2.0], &[0]).unwrap_err().to_string();
        assert_eq!(message, "score map has 2 pixels, its mask 1");
        assert_eq!(evaluator.finish().overall, Summary::default());
    }
}
