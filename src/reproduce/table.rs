//! Results beside the paper's numbers: Markdown, CSV, JSON and a figure. Nothing in them depends on
//! time, so that the same results give the same bytes.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::cell::CellResult;
use super::figure::{Curve, Figure, Point};
use super::figures::{Spread, error_reduction, figures, means, pixel_aurocs};
use super::grid::write_json;
use super::images::short_name;
use super::notes::{caveats, paper_notes, run_notes};
use super::plan::{Group, Plan, THIS_RUN};
use crate::report::write_atomic;
use crate::{Error, Result};

/// All results of a grid.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    title: String,
    /// What was run, and what stands between it and the paper.
    notes: Vec<String>,
    /// Whether the paper's numbers are for the same thing.
    comparable: bool,
    /// What a row's figures are: AUROC, or accuracy.
    measure: &'static str,
    what: &'static str,
    rows: Vec<Row>,
    #[serde(skip)]
    figure: Option<Figure>,
}

/// A line of the table; figures in 0..=1.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    variant: String,
    gamma: Option<f64>,
    name: String,
    #[serde(flatten)]
    figure: Spread,
    /// Of pixels, where every image of the group has its mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pixel: Option<Spread>,
    /// What the paper prints, and where.
    paper: Option<f64>,
    paper_table: Option<&'static str>,
    /// See [`error_reduction`]; only where the two are comparable.
    error_reduction: Option<f64>,
}

impl Table {
    /// Reads the results of all cells of `plan`, in order.
    ///
    /// # Errors
    /// A result without the figure that a row wants.
    pub(super) fn of(plan: &Plan, results: &[CellResult]) -> Result<Self> {
        let request = &plan.request;
        let comparable = caveats(request).is_empty();
        let measure = request.protocol.measure();
        let (mut rows, mut curves) = (Vec::new(), Vec::new());
        for group in &plan.groups {
            let image = |entry| figures(request.protocol, entry, results);
            let image: Vec<Vec<f64>> = group.entries.iter().map(image).collect::<Result<_>>()?;
            let pixel: Option<Vec<Vec<f64>>> =
                group.entries.iter().map(|entry| pixel_aurocs(entry, results)).collect();
            let row = |name: &str, image: &[f64], pixel: Option<&[f64]>, paper: Paper| {
                let figure = Spread::of(image);
                let theirs = paper.map(|(_, theirs)| theirs);
                Row {
                    variant: group.variant.clone(),
                    gamma: group.gamma,
                    name: name.to_owned(),
                    figure,
                    pixel: pixel.map(Spread::of),
                    paper: theirs,
                    paper_table: paper.map(|(table, _)| table),
                    error_reduction: theirs
                        .filter(|_| comparable)
                        .map(|theirs| error_reduction(figure.mean, theirs)),
                }
            };
            for (i, entry) in group.entries.iter().enumerate() {
                let pixel = pixel.as_ref().map(|all| &all[i][..]);
                rows.push(row(&entry.name, &image[i], pixel, entry.paper));
            }
            let pixel = pixel.map(|all| means(&all));
            let mean = row("mean", &means(&image), pixel.as_deref(), group.paper);
            add_points(&mut curves, group, &mean.figure);
            if let (Some(gamma), Some(theirs), true) = (group.gamma, mean.paper, comparable)
                && group.points.iter().any(|(series, _)| series == THIS_RUN)
            {
                let point = Point { x: gamma, mean: theirs, deviation: None };
                curve_called(&mut curves, "the paper").points.push(point);
            }
            if group.entries.len() > 1 {
                rows.push(mean);
            }
        }
        let title = format!("{} on {}", request.protocol, short_name(&request.data));
        let figure = plan.axis.filter(|_| !curves.is_empty()).map(|axis| Figure {
            title: title.clone(),
            x: axis.label.into(),
            y: format!("{measure}, %"),
            log: axis.log,
            curves,
        });
        let paper_table = rows.iter().find_map(|row| row.paper_table);
        let notes = [run_notes(request, results), paper_notes(request, paper_table)].concat();
        Ok(Self { title, notes, comparable, measure, what: plan.what, rows, figure })
    }

    /// Writes `table.md`, `table.csv`, `table.json`, and where a setting was varied `figure.svg`.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_atomic(folder.join("table.md"), self.to_markdown().as_bytes())?;
        write_atomic(folder.join("table.csv"), &self.to_csv()?)?;
        write_json(&folder.join("table.json"), self)?;
        match &self.figure {
            Some(figure) => write_atomic(folder.join("figure.svg"), figure.to_svg().as_bytes()),
            None => Ok(()),
        }
    }

    /// The table for people, in per cent.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let any = |has: fn(&Row) -> bool| self.rows.iter().any(has);
        let columns: [(bool, &str, Cell); 8] = [
            (any(|r| !r.variant.is_empty()), "variant", |r| r.variant.clone()),
            (any(|r| r.gamma.is_some()), "gamma", |r| {
                r.gamma.map_or("-".into(), |g| g.to_string())
            }),
            (true, self.what, |r| r.name.clone()),
            (true, self.measure, |r| spread(&r.figure)),
            (any(|r| r.pixel.is_some()), "pixel AUROC", |r| {
                r.pixel.as_ref().map_or("-".into(), spread)
            }),
            (true, "runs", |r| r.figure.runs.to_string()),
            (any(|r| r.paper.is_some()), "paper", |r| per_cent(r.paper)),
            (any(|r| r.error_reduction.is_some()), "error reduction", |r| {
                per_cent(r.error_reduction)
            }),
        ];
        let columns: Vec<(&str, Cell)> = columns
            .into_iter()
            .filter(|(shown, ..)| *shown)
            .map(|(_, name, cell)| (name, cell))
            .collect();
        let mut text = format!("# {}\n\n", self.title);
        for note in &self.notes {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "- {note}");
        }
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        text += "\n";
        text += &line(columns.iter().map(|(name, _)| (*name).to_owned()).collect());
        text += &line(vec!["---".into(); columns.len()]);
        for row in &self.rows {
            text += &line(columns.iter().map(|(_, cell)| cell(row).replace('|', "\\|")).collect());
        }
        text
    }

    fn to_csv(&self) -> Result<Vec<u8>> {
        let fail = |e: csv::Error| Error::Internal(format!("table to CSV: {e}"));
        let number = |value: Option<f64>| value.map_or(String::new(), |v| v.to_string());
        let mut writer = csv::Writer::from_writer(Vec::new());
        let measure = self.measure.to_lowercase();
        let head = [
            "variant",
            "gamma",
            self.what,
            &measure,
            "deviation",
            "runs",
            "pixel_auroc",
            "paper",
            "error_reduction",
        ];
        writer.write_record(head).map_err(fail)?;
        for r in &self.rows {
            let Spread { mean, deviation, runs } = r.figure;
            let record = [
                r.variant.clone(),
                number(r.gamma),
                r.name.clone(),
                mean.to_string(),
                number(deviation),
                runs.to_string(),
                number(r.pixel.map(|pixel| pixel.mean)),
                number(r.paper),
                number(r.error_reduction),
            ];
            writer.write_record(record).map_err(fail)?;
        }
        writer.into_inner().map_err(|e| Error::Internal(format!("table to CSV: {e}")))
    }
}

/// What the paper prints: where, and the figure.
type Paper = Option<(&'static str, f64)>;

/// A column's text in a row.
type Cell = fn(&Row) -> String;

fn per_cent(share: Option<f64>) -> String {
    share.map_or("-".into(), |share| format!("{:.1}", 100.0 * share))
}

fn spread(of: &Spread) -> String {
    let mean = per_cent(Some(of.mean));
    of.deviation.map_or(mean.clone(), |deviation| format!("{mean} ± {:.1}", 100.0 * deviation))
}

fn curve_called<'a>(curves: &'a mut Vec<Curve>, name: &str) -> &'a mut Curve {
    let at = curves.iter().position(|curve| curve.name == name).unwrap_or_else(|| {
        curves.push(Curve { name: name.to_owned(), points: Vec::new() });
        curves.len() - 1
    });
    &mut curves[at]
}

fn add_points(curves: &mut Vec<Curve>, group: &Group, auroc: &Spread) {
    for (series, x) in &group.points {
        let point = Point { x: *x, mean: auroc.mean, deviation: auroc.deviation };
        curve_called(curves, series).points.push(point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Evaluator;
    use crate::reproduce::plan::testing::{files, plan, request};
    use crate::reproduce::{Counts, Protocol, Request, Size};

    /// A result with AUROC `rank / 4`: one anomaly among four normal images.
    fn result(cell: &str, rank: u8) -> CellResult {
        of_kind("x", cell, rank)
    }

    fn of_kind(kind: &str, cell: &str, rank: u8) -> CellResult {
        let mut evaluator = Evaluator::new();
        (0..4).for_each(|score| evaluator.add(None, f32::from(score as u8)).unwrap());
        evaluator.add(Some(kind), f32::from(rank) - 0.5).unwrap();
        CellResult {
            cell: cell.into(),
            settings: Vec::new(),
            images: Counts { train: 2, taught: 0, test: 5 },
            data: String::new(),
            adapter: "an adapter (1.0)".into(),
            seconds: f64::from(rank),
            metrics: evaluator.finish(),
            accuracy: None,
        }
    }

    #[test]
    fn rows_means_and_the_head() {
        let plan = plan(|r| (r.gammas, r.seeds) = (vec![0.0], 2)).unwrap();
        let ranks = [1, 2, 3, 2, 4, 4];
        let results: Vec<CellResult> =
            plan.cells.iter().zip(ranks).map(|(cell, rank)| result(&cell.name, rank)).collect();
        let table = Table::of(&plan, &results).unwrap();
        // Seed 0: 1/4, 3/4, 4/4; seed 1: 2/4, 2/4, 4/4; both have the mean 2/3.
        let means: Vec<f64> = table.rows.iter().map(|row| row.figure.mean).collect();
        assert_eq!(means, [0.375, 0.625, 1.0, 2.0 / 3.0]);
        assert!(table.rows[3].figure.deviation.unwrap() < 1e-15);
        let text = table.to_markdown();
        let (head, rows) = text.split_once("| gamma").unwrap();
        assert!(
            head.contains("not comparable with the paper: size smoke; a network of width"),
            "{head}"
        );
        let part =
            "size smoke: resnet18 at width 0.0625, 16 x 16 pixels, 2 epochs in batches of 32";
        assert!(head.contains(part) && head.contains("200 normal images to train on"), "{head}");
        let expected = " | class | AUROC | runs |\n| --- | --- | --- | --- |\n\
                        | 0 | a | 37.5 ± 17.7 | 2 |\n| 0 | a b | 62.5 ± 17.7 | 2 |\n\
                        | 0 | c | 100.0 ± 0.0 | 2 |\n| 0 | mean | 66.7 ± 0.0 | 2 |\n";
        assert_eq!(rows, expected);
        let csv = String::from_utf8(table.to_csv().unwrap()).unwrap();
        assert!(csv.starts_with(
            "variant,gamma,class,auroc,deviation,runs,pixel_auroc,paper,error_reduction\n,0,a,0.375,0.1"
        ));
        assert_eq!(csv.lines().count(), 5);
    }

    #[test]
    fn a_missing_figure_is_named() {
        let plan = plan(|r| r.gammas = vec![0.0]).unwrap();
        let none = CellResult { metrics: Evaluator::new().finish(), ..result("cell", 1) };
        let error = Table::of(&plan, &vec![none; 3]).unwrap_err().to_string();
        assert!(error.contains("no AUROC for a"), "{error}");
    }

    #[test]
    fn a_linear_evaluation_prints_accuracies() {
        let plan = plan(|r| r.protocol = Protocol::LinearEval).unwrap();
        let mut results: Vec<CellResult> =
            plan.cells.iter().map(|cell| result(&cell.name, 1)).collect();
        for (result, accuracy) in results.iter_mut().zip([0.5, 0.625, 0.75, 1.0]) {
            result.accuracy = Some(accuracy);
        }
        let table = Table::of(&plan, &results).unwrap();
        let text = table.to_markdown();
        assert!(
            text.contains("accuracy in %") && text.contains("200 images to train on"),
            "{text}"
        );
        assert!(text.contains("\n| variant | classes | accuracy | runs |"), "{text}");
        assert!(text.contains("\n| no memory, two scales | 3 | 62.5 | 1 |"), "{text}");
        assert!(text.ends_with("\n| two scales | 3 | 100.0 | 1 |\n"), "{text}");
        let csv = String::from_utf8(table.to_csv().unwrap()).unwrap();
        assert!(csv.starts_with("variant,gamma,classes,accuracy,"), "{csv}");
        results[2].accuracy = None;
        let error = Table::of(&plan, &results).unwrap_err().to_string();
        assert!(error.contains("one-scale_seed-0: its result has no accuracy for 3"), "{error}");
    }

    #[test]
    fn full_runs_are_compared_with_the_paper() {
        let kinds = ["flexible_mask", "paper_mask", "paper_print", "screen"];
        let tests = kinds.iter().map(|kind| format!("test/{kind}/0.png"));
        let good = ["train/good/0.png", "test/good/0.png"].map(str::to_owned);
        let dir = files(&tests.chain(good).collect::<Vec<_>>());
        let mut request = request(Protocol::CrossType);
        request.data = crate::data::DataSpec::folder(dir.path());
        (request.size, request.config) = (Size::Full, Size::Full.config("resnet50").unwrap());
        let plan = Plan::new(request).unwrap();
        let results: Vec<CellResult> =
            plan.cells.iter().zip(kinds).map(|(cell, kind)| of_kind(kind, &cell.name, 4)).collect();
        let table = Table::of(&plan, &results).unwrap();
        let text = table.to_markdown();
        assert!(
            text.contains("| unseen kind | AUROC | runs | paper | error reduction |"),
            "{text}"
        );
        assert!(text.contains("| screen | 100.0 | 1 | 89.8 | 100.0 |"), "{text}");
        assert!(text.contains("| mean | 100.0 | 1 | - | - |"), "{text}");
        assert!(
            text.contains("face anti-spoofing; unlike it: batch size")
                && text.contains("all images"),
            "{text}"
        );
    }

    #[test]
    fn grids_have_a_figure() {
        let change = |r: &mut Request| {
            (r.protocol, r.values) = (Protocol::SamplingRatio, vec![0.5, 1.0]);
        };
        let plan = plan(change).unwrap();
        let cells = plan.cells.iter().enumerate();
        let results: Vec<CellResult> =
            cells.map(|(i, cell)| result(&cell.name, (i % 4) as u8 + 1)).collect();
        let figure = Table::of(&plan, &results).unwrap().figure.unwrap();
        let names: Vec<&str> = figure.curves.iter().map(|curve| curve.name.as_str()).collect();
        assert_eq!(names, ["stage 3", "stage 4"]);
        assert!(figure.curves.iter().all(|curve| curve.points.len() == 2));
    }
}
