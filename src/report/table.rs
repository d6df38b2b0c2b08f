//! Metrics as text for people and as JSON for programs.

use std::fmt;

use super::metrics::{Metrics, Summary};
use crate::{Error, Result};

impl Metrics {
    /// Indented JSON with the keys `image_auroc`, `image_ap`, `image_f1_max`, `fpr_at_95_tpr`,
    /// `pixel_auroc`, `pixel_ap`, `aupro` (with masks only), `n_normal`, `n_anomalous`, and under `kinds` the same for
    /// each kind of defect. Shares lie in 0..=1; an undefined figure is `null`.
    ///
    /// # Errors
    /// [`Error::Internal`], for nothing known.
    pub fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self);
        json.map(|text| text + "\n").map_err(|e| Error::Internal(format!("metrics to JSON: {e}")))
    }
}

/// A table in per cent: all anomalous images, then each kind of defect; `-` where undefined.
impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = || {
            let kinds = self.kinds.iter().map(|(kind, summary)| (kind.as_str(), summary));
            [("all", &self.overall)].into_iter().chain(kinds)
        };
        let with_masks = rows().any(|(_, summary)| summary.pixel_auroc.is_some());
        let width = rows().fold(UNIT.len(), |width, (name, _)| width.max(name.chars().count()));

        write!(f, "{UNIT:<width$}  normal  anomalous   AUROC      AP  F1 max  FPR@95TPR")?;
        writeln!(f, "{}", if with_masks { PIXEL_FIGURES } else { "" })?;
        for (name, summary) in rows() {
            write_row(f, name, width, summary)?;
            if with_masks {
                let [auroc, ap, aupro] =
                    [summary.pixel_auroc, summary.pixel_ap, summary.aupro].map(per_cent);
                write!(f, "  {auroc:>11}  {ap:>8}  {aupro:>9}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Heads the column of names.
const UNIT: &str = "per cent";
/// Heads the columns that need masks.
const PIXEL_FIGURES: &str = "  pixel AUROC  pixel AP  AUPRO@30%";

fn write_row(f: &mut fmt::Formatter<'_>, name: &str, width: usize, s: &Summary) -> fmt::Result {
    write!(
        f,
        "{name:<width$}  {:>6}  {:>9}  {:>6}  {:>6}  {:>6}  {:>9}",
        s.n_normal,
        s.n_anomalous,
        per_cent(s.image_auroc),
        per_cent(s.image_ap),
        per_cent(s.image_f1_max),
        per_cent(s.fpr_at_95_tpr)
    )
}

fn per_cent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.2}", 100.0 * share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Evaluator;
    use crate::report::heatmap::ScoreMap;

    fn metrics(masks: bool) -> Metrics {
        let mut evaluator = Evaluator::new();
        for (kind, score) in [(None, 1.0), (None, 3.0), (Some("scratch, long"), 2.0)] {
            evaluator.add(kind, score).unwrap();
            if masks {
                let mask = [u8::from(kind.is_some()), 0];
                let values = [score, 0.5];
                let map = ScoreMap::new(1, 2, &values).unwrap();
                evaluator.add_map(kind, map, &mask).unwrap();
            }
        }
        evaluator.finish()
    }

    #[test]
    fn table_by_hand() {
        let expected = "\
per cent       normal  anomalous   AUROC      AP  F1 max  FPR@95TPR
all                 2          1   50.00   50.00   66.67      50.00
scratch, long       2          1   50.00   50.00   66.67      50.00
";
        assert_eq!(metrics(false).to_string(), expected);
        let expected = "\
per cent       normal  anomalous   AUROC      AP  F1 max  FPR@95TPR  pixel AUROC  pixel AP  AUPRO@30%
all                 2          1   50.00   50.00   66.67      50.00        80.00     50.00      33.33
scratch, long       2          1   50.00   50.00   66.67      50.00        80.00     50.00      33.33
";
        assert_eq!(metrics(true).to_string(), expected);
    }

    #[test]
    fn undefined_figures_are_dashes() {
        let expected = "\
per cent  normal  anomalous   AUROC      AP  F1 max  FPR@95TPR
all            0          0       -       -       -          -
";
        assert_eq!(Evaluator::new().finish().to_string(), expected);
    }

    #[test]
    fn json_reads_back() {
        for masks in [false, true] {
            let metrics = metrics(masks);
            let json = metrics.to_json().unwrap();
            assert_eq!(json.contains("pixel_auroc"), masks);
            assert_eq!(serde_json::from_str::<Metrics>(&json).unwrap(), metrics);
        }
    }
}
