//! How well a test set was told apart, and where not.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::picture as img;
use crate::report::chart::{Axis, Histogram, Lines, Series, Strip, Strips, number};
use crate::report::metrics::{Metrics, Summary};
use crate::report::picture::Picture;
use crate::report::ranking::Curve;

/// A test and some of its images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// The set, as it was named.
    pub data: String,
    /// Epochs that the model had been trained for.
    pub epoch: usize,
    /// The figures.
    pub metrics: Metrics,
    /// Every image's score.
    pub scores: Vec<Scored>,
    /// Where verdicts change, where the model has one.
    pub threshold: Option<Threshold>,
    /// Anomalous images that score lowest, the lowest first.
    pub misses: Vec<Shown>,
    /// Normal images that score highest, the highest first.
    pub alarms: Vec<Shown>,
    /// Anomalous images that score highest, the highest first.
    pub finds: Vec<Shown>,
}

/// A scored image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Its name in the set.
    pub name: String,
    /// `good`, the kind of defect, or the class.
    pub kind: String,
    /// Whether it is anomalous.
    pub anomalous: bool,
    /// High = anomalous.
    pub score: f32,
}

/// The score above which an image is called anomalous.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// That score; none where too few normal images were held out to back the rate.
    pub score: Option<f32>,
    /// The accepted rate of false alarms, 0 to 1.
    pub rate: f64,
    /// Normal images that it was measured on.
    pub held_out: usize,
}

/// An image that is shown with its heat map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its name, kind and score.
    pub scored: Scored,
    /// The image.
    pub image: Picture,
    /// Its heat map laid over it.
    pub heat: Picture,
    /// The image with the outline of its defect, where a mask tells it.
    pub mask: Option<Picture>,
}

impl Tested {
    pub(super) fn draw(&self) -> Markup {
        let masks = self.metrics.overall.pixel_auroc.is_some();
        html! {
            section #result {
                h2 { "Result" }
                p {
                    (count(self.metrics.overall.n_normal, "normal image")) " and "
                    (count(self.metrics.overall.n_anomalous, "anomalous image")) " of " code { (self.data) }
                    ", scored by the model after epoch " (self.epoch) ". A high score means: unlike what was learned."
                }
                (cards(&self.metrics.overall))
                @if let Some(threshold) = &self.threshold { (self.verdicts(threshold)) }
                (self.spread())
                (self.curves())
                h3 { "By kind of defect" }
                p {
                    "Each kind alone against all normal images, in per cent. AUROC: the chance that an anomalous image scores above a normal one; 50 is guessing, 100 perfect. "
                    "AP: average precision over all thresholds. FPR at 95 % TPR: false alarms if 95 % of the anomalous images are to be found. "
                    @if masks { "Pixel figures ask the same of single pixels; AUPRO counts how much of each defect is covered, small ones as much as large ones, up to 30 % of normal pixels marked." }
                }
                (table(&self.metrics, masks))
            }
            section #pictures {
                h2 { "Errors and finds" }
                p { "Heat maps share one colour scale: dark is usual, bright is not. A green line surrounds the true defect, where the test set has masks." }
                (gallery("Worst misses", "Anomalous images that score lowest. If the heat is beside the defect, more training or a larger image size may help; if there is none, the defect may be too small for the network.", &self.misses))
                (gallery("Worst false alarms", "Normal images that score highest. If they show something rare but normal, more such images in training help; if they show a defect, their label is wrong.", &self.alarms))
                (gallery("Clearest finds", "Anomalous images that score highest.", &self.finds))
            }
        }
    }

    fn of_kind(&self, anomalous: bool) -> Vec<f32> {
        self.scores.iter().filter(|s| s.anomalous == anomalous).map(|s| s.score).collect()
    }

    /// What would have happened with the model's own threshold.
    fn verdicts(&self, threshold: &Threshold) -> Markup {
        let per_cent = number(100.0 * threshold.rate, 3);
        let Some(limit) = threshold.score else {
            let needed = (1.0 / threshold.rate).ceil() as usize - 1;
            return html! { p.note {
                "No threshold: " (count(threshold.held_out, "held-out normal image")) " cannot back a false-alarm rate of " (per_cent)
                " %; " (needed) " would."
            } };
        };
        let above = |anomalous| self.of_kind(anomalous).iter().filter(|s| **s > limit).count();
        html! { p {
            "With the threshold " b { (number(f64::from(limit), 4)) } " for at most " (per_cent) " % false alarms, measured on "
            (count(threshold.held_out, "held-out normal image")) ", " b { (above(true)) " of " (self.of_kind(true).len()) }
            " anomalous images are found and " b { (above(false)) " of " (self.of_kind(false).len()) } " normal ones are called anomalous."
        } }
    }

    fn spread(&self) -> Markup {
        let values = |anomalous| self.of_kind(anomalous).into_iter().map(f64::from).collect();
        let limit = self.threshold.and_then(|t| t.score).map(f64::from);
        let mark = limit.map(|limit| (format!("threshold {}", number(limit, 4)), limit));
        let histogram = Histogram {
            title: "Scores of normal and anomalous images".into(),
            label: "score".into(),
            groups: vec![("normal".into(), values(false)), ("anomalous".into(), values(true))],
            mark: mark.clone(),
        };
        let thresholds = Lines { mark: mark.clone(), ..self.by_threshold() };
        let mut kinds: BTreeMap<(bool, &str), Vec<(f64, String)>> = BTreeMap::new();
        for s in &self.scores {
            let dots = kinds.entry((s.anomalous, &s.kind)).or_default();
            dots.push((f64::from(s.score), s.name.clone()));
        }
        let rows = kinds.into_iter().map(|((anomalous, kind), dots)| Strip {
            name: format!("{kind} ({})", dots.len()),
            series: anomalous.into(),
            dots,
        });
        let strips = Strips {
            title: "Score of each image, by kind".into(),
            label: "score".into(),
            rows: rows.collect(),
            mark,
        };
        html! {
            h3 { "Scores" }
            p { "The further apart the two groups, the better. Hover over a dot to see which image it is. The chart on the lower right tells what each threshold would find and what it would cost." }
            (strips.draw())
            div.charts { (histogram.draw()) (thresholds.draw()) }
        }
    }

    /// What is called anomalous at each threshold.
    fn by_threshold(&self) -> Lines {
        let mut thresholds: Vec<f32> = self.scores.iter().map(|s| s.score).collect();
        thresholds.sort_by(f32::total_cmp);
        thresholds.dedup();
        let series = |name: &str, anomalous| {
            let mut scores = self.of_kind(anomalous);
            scores.sort_by(f32::total_cmp);
            let above = |t: f32| (scores.len() - scores.partition_point(|s| *s < t)) as f64;
            let share = |t: &f32| [f64::from(*t), above(*t) / scores.len() as f64];
            Series { name: name.into(), points: thresholds.iter().map(share).collect() }
        };
        Lines {
            title: "Share of images called anomalous".into(),
            x: Axis::new("threshold of the score"),
            y: Axis::share("share of images"),
            series: vec![series("normal", false), series("anomalous", true)],
            levels: Vec::new(),
            diagonal: None,
            mark: None,
        }
    }

    fn curves(&self) -> Markup {
        let curve = Curve::new(&self.of_kind(false), &self.of_kind(true));
        let all = curve.all;
        if all.hits == 0 || all.alarms == 0 {
            return html! {};
        }
        let share = |part: u64, whole: u64| part as f64 / whole as f64;
        let roc =
            curve.points.iter().map(|p| [share(p.alarms, all.alarms), share(p.hits, all.hits)]);
        let roc = [[0.0, 0.0]].into_iter().chain(roc);
        let precision = curve
            .points
            .iter()
            .map(|p| [share(p.hits, all.hits), share(p.hits, p.hits + p.alarms)]);
        // Until the first anomalous image is found there is no recall to speak of.
        let precision = precision.skip_while(|point| point[0] == 0.0);
        let lines = |title: &str, x: &str, y: &str, points: Vec<[f64; 2]>| Lines {
            title: title.into(),
            x: Axis::share(x),
            y: Axis::share(y),
            series: vec![Series { name: y.into(), points }],
            levels: Vec::new(),
            diagonal: None,
            mark: None,
        };
        let (found, alarms) =
            ("share of anomalous images found", "share of normal images called anomalous");
        let guessing = Some("guessing".into());
        let roc = Lines { diagonal: guessing, ..lines("ROC curve", alarms, found, roc.collect()) };
        let right = "share of alarms that are right";
        let precision = lines("Precision and recall", found, right, precision.collect());
        html! {
            h3 { "If the threshold moves" }
            p { "Each point of a curve is one threshold. Left: what is found against what is called anomalous by mistake. Right: how many of the alarms are right." }
            div.charts { (roc.draw()) (precision.draw()) }
        }
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn per_cent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1}", 100.0 * share))
}

/// Figures and what they are called.
fn figures(s: &Summary, pixels: bool) -> Vec<(&'static str, Option<f64>)> {
    let mut list = vec![
        ("Image AUROC", s.image_auroc),
        ("Image AP", s.image_ap),
        ("Best F1", s.image_f1_max),
        ("FPR at 95 % TPR", s.fpr_at_95_tpr),
    ];
    if pixels {
        list.extend([
            ("Pixel AUROC", s.pixel_auroc),
            ("Pixel AP", s.pixel_ap),
            ("AUPRO at 30 %", s.aupro),
        ]);
    }
    list
}

fn cards(summary: &Summary) -> Markup {
    html! { dl.cards { @for (name, share) in figures(summary, summary.pixel_auroc.is_some()) {
        div { dt { (name) } dd { (per_cent(share)) @if share.is_some() { small { " %" } } } }
    } } }
}

fn table(metrics: &Metrics, pixels: bool) -> Markup {
    let kinds = metrics.kinds.iter().map(|(kind, summary)| (kind.as_str(), summary));
    html! { div.scroll { table {
        thead { tr {
            th { "Kind" } th { "Images" }
            @for (name, _) in figures(&metrics.overall, pixels) { th { (name) } }
        } }
        tbody { @for (name, summary) in [("all", &metrics.overall)].into_iter().chain(kinds) { tr {
            th scope="row" { (name) } td { (summary.n_anomalous) }
            @for (_, share) in figures(summary, pixels) { td { (per_cent(share)) } }
        } } }
    } } }
}

fn gallery(title: &str, text: &str, all: &[Shown]) -> Markup {
    html! { @if !all.is_empty() {
        h3 { (title) }
        p { (text) }
        div.gallery { @for shown in all {
            figure.shown {
                div.row {
                    (img(&shown.image, "image"))
                    (img(&shown.heat, "heat map"))
                    @if let Some(mask) = &shown.mask { (img(mask, "true defect")) }
                }
                figcaption { b { (shown.scored.kind) } " · " (number(f64::from(shown.scored.score), 4)) br; span.name { (shown.scored.name) } }
            }
        } }
    } }
}
