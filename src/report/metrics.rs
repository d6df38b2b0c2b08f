//! How well scores part anomalous from normal. High scores mean anomalous; definitions are those of
//! scikit-learn 1.9 (`roc_auc_score`, `average_precision_score`, `precision_recall_curve`, `roc_curve`).
//!
//! Only the order of scores counts, so raw scores of any range are fine. Equal scores form one
//! threshold. A figure that is undefined because a class is missing is `None`, never NaN.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::heatmap::ScoreMap;
use super::pixel_scores::PixelScores;
use super::ranking::{Areas, Counts, Curve};
use crate::{Error, Result};

/// Pixels up to which pixel figures are exact: 4 bytes for a normal one, 8 for a marked one.
const EXACT_PIXELS: usize = 50_000_000;

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
    /// Average precision over the pixels of all images together; absent as the former.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_ap: Option<f64>,
    /// Area below the mean share of each marked region that is found (per-region overlap) against
    /// the false-positive rate of pixels, up to a rate of 0.3 and divided by it (Bergmann et al.
    /// 2020, "Uninformed Students"); absent as the former.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aupro: Option<f64>,
    /// Number of normal images.
    pub n_normal: usize,
    /// Number of anomalous images.
    pub n_anomalous: usize,
}

/// Gathers scores and maps image by image, then computes [`Metrics`].
///
/// Pixel figures are exact up to 50 million pixels (4 bytes each, 8 in defects). Beyond, pixels are
/// counted in 2^20 bins by the leading bits of their score (24 MiB per kind of defect), in which
/// scores within 0.05 % of each other count as ties.
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
    pixels: PixelScores,
    /// All of `pixels`; `cover` counts their regions.
    all: Counts,
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

    /// Adds an image's score `map` with its `mask` (`[H, W]` as the map, nonzero = defect). Normal
    /// images belong here too, with a mask of zeros: most false alarms are theirs.
    ///
    /// # Errors
    /// [`Error::Usage`] when the sizes differ.
    pub fn add_map(&mut self, kind: Option<&str>, map: ScoreMap<'_>, mask: &[u8]) -> Result<()> {
        let ScoreMap { height, width, values } = map;
        if values.len() != mask.len() {
            let found = mask.len();
            return Err(Error::Usage(format!(
                "score map of {height} x {width}: its mask has {found} pixels"
            )));
        }
        let was_exact = self.pixels <= self.exact_pixels;
        self.pixels += values.len();
        let exact = self.pixels <= self.exact_pixels;
        if was_exact && !exact {
            self.groups.values_mut().for_each(|group| group.pixels.coarsen());
        }
        let group = self.group(kind);
        if !exact {
            group.pixels.coarsen();
        }
        let added = group.pixels.add(values, mask, width);
        group.all += added;
        Ok(())
    }

    /// All figures of what was added.
    #[must_use]
    pub fn finish(mut self) -> Metrics {
        self.groups.values_mut().for_each(|group| group.pixels.sort());
        let normal = self.groups.remove(&None).unwrap_or_default();
        let kinds: BTreeMap<String, Group> =
            self.groups.into_iter().filter_map(|(kind, group)| Some((kind?, group))).collect();

        let everything: Vec<&Group> = kinds.values().collect();
        let alone = |(kind, group): (&String, &Group)| (kind.clone(), summary(&normal, &[group]));
        Metrics {
            overall: summary(&normal, &everything),
            kinds: kinds.par_iter().map(alone).collect(),
        }
    }

    fn group(&mut self, kind: Option<&str>) -> &mut Group {
        self.groups.entry(kind.map(str::to_owned)).or_default()
    }
}

fn summary(normal: &Group, defects: &[&Group]) -> Summary {
    let anomalous: Vec<f32> = defects.iter().flat_map(|group| &group.scores).copied().collect();
    let curve = Curve::new(&normal.scores, &anomalous);
    let images = curve.areas();
    let pixels = pixel_areas(normal, defects);
    Summary {
        image_auroc: images.map(|a| a.auroc),
        image_ap: images.map(|a| a.ap),
        image_f1_max: curve.f1_max(),
        fpr_at_95_tpr: curve.fpr_at_95_tpr(),
        pixel_auroc: pixels.map(|a| a.auroc),
        pixel_ap: pixels.map(|a| a.ap),
        aupro: pixels.map(|a| a.aupro),
        n_normal: normal.scores.len(),
        n_anomalous: anomalous.len(),
    }
}

/// Of the pixels of all these images.
fn pixel_areas(normal: &Group, defects: &[&Group]) -> Option<Areas> {
    let groups = || [normal].into_iter().chain(defects.iter().copied());
    let mut all = Counts::default();
    groups().for_each(|group| all += group.all);
    PixelScores::areas(&groups().map(|group| &group.pixels).collect::<Vec<_>>(), all)
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

    /// All pixels in images one row high, `width` wide.
    fn pixels_of(labelled: &[(bool, f32)], width: usize, exact_pixels: usize) -> Summary {
        let mut evaluator = Evaluator { exact_pixels, ..Evaluator::new() };
        for row in labelled.chunks(width) {
            let values: Vec<f32> = row.iter().map(|pixel| pixel.1).collect();
            let mask: Vec<u8> = row.iter().map(|pixel| u8::from(pixel.0)).collect();
            let map = ScoreMap::new(1, row.len(), &values).unwrap();
            evaluator.add_map(Some("defect"), map, &mask).unwrap();
        }
        evaluator.finish().overall
    }

    /// From the definition: every threshold, every run of marked pixels.
    fn aupro_brute_force(labelled: &[(bool, f32)], width: usize) -> Option<f64> {
        let runs = labelled.chunks(width).flat_map(|row| row.chunk_by(|a, b| a.0 == b.0));
        let regions: Vec<_> = runs.filter(|run| run[0].0).collect();
        let found = |threshold: f32| {
            let hits = |region: &&[(bool, f32)]| region.iter().filter(|p| p.1 >= threshold).count();
            let share = |region| hits(region) as f64 / region.len() as f64;
            regions.iter().map(share).sum::<f64>() / regions.len() as f64
        };
        let normal: Vec<f32> = labelled.iter().filter(|p| !p.0).map(|p| p.1).collect();
        let mut thresholds: Vec<f32> = labelled.iter().map(|p| p.1).collect();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        let (mut area, mut before) = (0.0, (0.0, 0.0));
        for t in thresholds {
            let rate =
                normal.iter().filter(|score| **score >= t).count() as f64 / normal.len() as f64;
            let now = (rate, found(t));
            let end = now.0.min(0.3);
            if end > before.0 {
                let slope = (now.1 - before.1) / (now.0 - before.0);
                let width = end - before.0;
                area += width * before.1 + slope * width * width / 2.0;
            }
            before = now;
        }
        let both = !normal.is_empty() && normal.len() < labelled.len();
        both.then_some(area / 0.3)
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
        fn pixels_exact_and_coarse_equal_images_and_definition(
            data in labelled(), width in 1_usize..20
        ) {
            let (images, aupro) = (summary_of(&data), aupro_brute_force(&data, width));
            for exact_pixels in [0, data.len() / 2, EXACT_PIXELS] {
                let pixels = pixels_of(&data, width, exact_pixels);
                prop_assert_eq!(pixels.pixel_auroc, images.image_auroc);
                prop_assert_eq!(pixels.pixel_ap, images.image_ap);
                prop_assert_eq!(pixels.aupro.is_some(), aupro.is_some());
                let difference = pixels.aupro.unwrap_or_default() - aupro.unwrap_or_default();
                prop_assert!(difference.abs() <= 1e-12, "{:?}, expected {aupro:?}", pixels.aupro);
                prop_assert!(pixels.aupro.is_none_or(|a| (0.0..=1.0).contains(&a)));
            }
        }

        #[test]
        fn monotone_maps_change_no_pixel_figure(data in labelled(), width in 1_usize..20) {
            let mapped: Vec<_> = data.iter().map(|&(l, s)| (l, (2.0 * s).exp() - 7.0)).collect();
            let of = |data: &[_]| pixels_of(data, width, EXACT_PIXELS);
            prop_assert_eq!(of(&mapped), of(&data));
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
        evaluator.add_map(None, row(&[1.0, 3.0]), &[0, 0]).unwrap();
        evaluator.add_map(Some("crack"), row(&[2.0, 5.0]), &[255, 0]).unwrap();
        evaluator.add_map(Some("hole"), row(&[4.0]), &[1]).unwrap();
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
        evaluator.add_map(Some("hole"), row(&[1.0, 0.0]), &[1, 0]).unwrap();
        let metrics = evaluator.finish();
        let mut json = serde_json::to_value(&metrics).unwrap();
        for key in ["pixel_auroc", "pixel_ap", "aupro"] {
            assert_eq!((&json[key], &json["kinds"]["hole"][key]), (&1.0.into(), &1.0.into()));
        }
        assert_eq!(serde_json::from_value::<Metrics>(json.clone()).unwrap(), metrics);
        // As written before these figures were known.
        json.as_object_mut().unwrap().retain(|key, _| key != "pixel_ap" && key != "aupro");
        let old = serde_json::from_value::<Metrics>(json).unwrap();
        assert_eq!((old.overall.pixel_auroc, old.overall.aupro), (Some(1.0), None));
    }

    #[test]
    fn nan_and_unequal_sizes_are_errors() {
        let mut evaluator = Evaluator::new();
        assert!(evaluator.add(None, f32::NAN).is_err());
        let message = evaluator.add_map(None, row(&[1.0, 2.0]), &[0]).unwrap_err().to_string();
        assert_eq!(message, "score map of 1 x 2: its mask has 1 pixels");
        assert_eq!(evaluator.finish().overall, Summary::default());
    }

    fn row(values: &[f32]) -> ScoreMap<'_> {
        ScoreMap::new(1, values.len(), values).unwrap()
    }

    /// Numbers of `kernels-tests/golden/localisation.py` (scikit-learn 1.9.1, scipy), which makes the
    /// same maps and masks.
    #[test]
    fn equal_to_the_field() {
        const SIZE: [usize; 2] = [12, 17];
        let mask = |kind: &str, i: usize, y: usize, x: usize| match kind {
            "good" => false,
            "dots" => (y * 7 + x * 5 + i).is_multiple_of(23),
            _ => y.abs_diff(5) + x.abs_diff(6 + 3 * i) < 4 || y > 9 && x > 12,
        };
        let places = || (0..SIZE[0]).flat_map(|y| (0..SIZE[1]).map(move |x| (y, x)));
        let mut evaluator = Evaluator::new();
        for (kind, i) in ["good", "dots", "blobs"].iter().flat_map(|k| (0..3).map(move |i| (*k, i)))
        {
            let marked: Vec<u8> = places().map(|(y, x)| mask(kind, i, y, x).into()).collect();
            let noise = |y, x| (y * 1237 + x * 331 + i * 71 + kind.len()) % 61;
            let scores: Vec<f32> = places()
                .zip(&marked)
                .map(|((y, x), m)| (noise(y, x) + 19 * usize::from(*m)) as f32 / 4.0)
                .collect();
            let map = ScoreMap::new(SIZE[0], SIZE[1], &scores).unwrap();
            evaluator.add_map((kind != "good").then_some(kind), map, &marked).unwrap();
        }
        let metrics = evaluator.finish();
        for (found, expected) in [
            (
                &metrics.overall,
                [0.757_437_755_698_422, 0.421_443_168_130_144_65, 0.403_302_014_023_138_37],
            ),
            (
                &metrics.kinds["dots"],
                [0.724_412_482_342_365_4, 0.333_841_818_199_792_2, 0.387_932_879_585_634_2],
            ),
            (
                &metrics.kinds["blobs"],
                [0.766_118_967_452_300_8, 0.448_005_596_280_134, 0.475_065_294_924_554_24],
            ),
        ] {
            let found = [found.pixel_auroc, found.pixel_ap, found.aupro].map(Option::unwrap);
            let close = found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= 1e-12);
            assert!(close, "found {found:?}, expected {expected:?}");
        }
    }
}
