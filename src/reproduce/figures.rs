//! The figures of a table's rows, from the results of their cells.

use serde::Serialize;

use super::cell::CellResult;
use super::plan::Entry;
use super::request::Protocol;
use crate::report::Summary;
use crate::{Error, Result};

/// Mean and standard deviation over draws and seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Spread {
    pub mean: f64,
    /// Of a sample; `None` for a single value.
    pub deviation: Option<f64>,
    pub runs: usize,
}

impl Spread {
    /// `values` must not be empty.
    pub(super) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Self { mean, deviation, runs: values.len() }
    }
}

/// The share of the other's error (1 - the figure) that is gone; negative where there is more.
pub(super) fn error_reduction(ours: f64, theirs: f64) -> f64 {
    ((1.0 - theirs) - (1.0 - ours)) / (1.0 - theirs)
}

/// The figures of an entry in one of its cells.
fn summary<'a>(entry: &Entry, result: &'a CellResult) -> Option<&'a Summary> {
    match &entry.kind {
        None => Some(&result.metrics.overall),
        Some(kind) => result.metrics.kinds.get(kind),
    }
}

/// What `protocol` measures, of each of an entry's cells.
pub(super) fn figures(
    protocol: Protocol,
    entry: &Entry,
    results: &[CellResult],
) -> Result<Vec<f64>> {
    let of = |cell: usize| {
        let result = &results[cell];
        let figure = match protocol {
            Protocol::LinearEval => result.accuracy,
            _ => summary(entry, result).and_then(|summary| summary.image_auroc),
        };
        figure.ok_or_else(|| {
            Error::Usage(format!(
                "cell {}: its result has no {} for {}; remove its folder and run it again",
                result.cell,
                protocol.measure(),
                entry.name
            ))
        })
    };
    entry.cells.iter().map(|cell| of(*cell)).collect()
}

/// The pixel AUROC of each of an entry's cells, where all have one.
pub(super) fn pixel_aurocs(entry: &Entry, results: &[CellResult]) -> Option<Vec<f64>> {
    entry.cells.iter().map(|cell| summary(entry, &results[*cell])?.pixel_auroc).collect()
}

/// The mean over entries for each draw and seed, so that their deviation is that of the mean.
pub(super) fn means(entries: &[Vec<f64>]) -> Vec<f64> {
    let runs = entries.first().map_or(0, Vec::len);
    let mean = |run: usize| entries.iter().map(|e| e[run]).sum::<f64>() / entries.len() as f64;
    (0..runs).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_and_reductions_by_hand() {
        assert_eq!(Spread::of(&[0.5]), Spread { mean: 0.5, deviation: None, runs: 1 });
        let of = Spread::of(&[0.25, 0.75]);
        assert_eq!((of.mean, of.runs), (0.5, 2));
        // Squares 1/16 + 1/16, over n - 1 = 1.
        assert!((of.deviation.unwrap() - 0.125_f64.sqrt()).abs() < 1e-15);
        assert!((error_reduction(0.95, 0.9) - 0.5).abs() < 1e-12);
        assert!((error_reduction(0.8, 0.9) + 1.0).abs() < 1e-12);
        assert_eq!(means(&[vec![0.0, 0.5], vec![1.0, 0.5]]), [0.5, 0.5]);
    }
}
