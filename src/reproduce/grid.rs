//! A plan in a folder: which cells are done, and running those that are not.
//!
//! ```text
//! OUT/grid.json              what was asked for; another request is refused
//! OUT/<cell>/                a run folder: config.toml, log.jsonl, and while it lasts its states
//! OUT/<cell>/result.json     written last; a cell that has one is done
//! ```
//!
//! Any number of processes may share a folder, each with its own [`Jobs`]. Two that run the same cell
//! waste time but do no harm: both write the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

use super::cell::{Cell, CellResult, Counts};
use super::plan::Plan;
use super::request::Protocol;
use super::table::Table;
use crate::anomem::linear::{LinearEvaluation, linear_evaluation};
use crate::anomem::{Observer, RunFolder, Scorer, TrainOptions, TrainingSet, test, train};
use crate::gpu::Gpu;
use crate::report::{Evaluator, write_atomic};
use crate::{Error, Result};

/// Every `of`th cell, starting with the `this`th.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jobs {
    /// From 1.
    this: usize,
    of: usize,
}

impl Default for Jobs {
    /// All cells.
    fn default() -> Self {
        Self { this: 1, of: 1 }
    }
}

impl FromStr for Jobs {
    type Err = Error;

    /// Reads `K/N`, K from 1 to N.
    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('/');
        let numbers = parts.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((this, of)) if (1..=of).contains(&this) => Ok(Self { this, of }),
            _ => Err(Error::Usage(format!(
                "jobs '{text}': expected K/N with K from 1 to N, e.g. 2/4 for the second of four"
            ))),
        }
    }
}

impl Jobs {
    fn take(self, cell: usize) -> bool {
        cell % self.of == self.this - 1
    }
}

/// A plan and the folder of its results.
pub struct Grid {
    plan: Plan,
    out: PathBuf,
}

impl Grid {
    /// Takes up the grid at `out`, or starts one in a new or empty folder.
    ///
    /// # Errors
    /// A folder that holds something else, or a grid of another request.
    pub fn open(plan: Plan, out: &Path) -> Result<Self> {
        fs::create_dir_all(out).map_err(|e| Error::file(out, e))?;
        let description = description(&plan);
        let path = out.join("grid.json");
        // Asked twice: another job may have begun the grid between the two.
        if !path.exists() && holds_something(out)? && !path.exists() {
            let message = "holds something else than a grid: name a new or empty folder";
            return Err(Error::file(out, message));
        }
        if !path.exists() {
            write_json(&path, &description)?;
        }
        let text = fs::read_to_string(&path).map_err(|e| Error::file(&path, e))?;
        let found: Value = serde_json::from_str(&text).map_err(|e| Error::file(&path, e))?;
        if let Some((key, theirs, ours)) = difference("", &found, &description) {
            return Err(Error::Usage(format!(
                "{}: holds the grid of another request, with {key} = {theirs} where this one has \
                 {ours}; give the same arguments, or another --out",
                out.display()
            )));
        }
        Ok(Self { plan, out: out.to_path_buf() })
    }

    /// How many cells there are.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.plan.cells.len()
    }

    /// The cells of `jobs` that are not done, by number.
    #[must_use]
    pub fn missing(&self, jobs: Jobs) -> Vec<usize> {
        let cells = (0..self.cells()).filter(|index| jobs.take(*index));
        cells.filter(|index| !self.result_file(*index).exists()).collect()
    }

    /// Trains and tests `cells`; one that was interrupted goes on where it stopped. Afterwards only
    /// configuration, log and result stay of each, and with `keep_models` the model.
    ///
    /// # Errors
    /// Images that are missing or bad (unless `skip_bad`), settings that do not fit the adapter, faults
    /// of the GPU, files that cannot be written.
    pub fn run(
        &self,
        gpu: &Gpu,
        cells: &[usize],
        keep_models: bool,
        skip_bad: bool,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        self.plan.check_images(cells)?;
        let begin = Instant::now();
        for (done, &index) in cells.iter().enumerate() {
            let cell = &self.plan.cells[index];
            let left = match done {
                0 => String::new(),
                _ => {
                    let each = begin.elapsed().as_secs_f64() / done as f64;
                    format!(", about {} left", duration(each * (cells.len() - done) as f64))
                }
            };
            observer.note(&format!("cell {} of {}{left}: {}", done + 1, cells.len(), cell.name));
            let folder = RunFolder(self.out.join(&cell.name));
            let result = self.run_cell(gpu, cell, &folder, skip_bad, observer)?;
            write_json(&self.result_file(index), &result)?;
            remove(&folder.training())?;
            if !keep_models {
                remove(&folder.model())?;
            }
        }
        Ok(())
    }

    fn run_cell(
        &self,
        gpu: &Gpu,
        cell: &Cell,
        folder: &RunFolder,
        skip_bad: bool,
        observer: &mut dyn Observer,
    ) -> Result<CellResult> {
        let begin = Instant::now();
        let config = cell.config(&self.plan.request.config)?;
        let images = self.plan.images_of(cell)?;
        let dataset = &images.dataset;
        let (mut set, mut skipped) = TrainingSet::load(&config, dataset, skip_bad, &|_, _| {})?;
        if !images.taught.is_empty() {
            skipped.extend(set.add_anomalies(&images.taught, skip_bad)?);
        }
        skipped.iter().for_each(|error| observer.warn(&format!("left out: {error}")));
        let (all, taught) = (set.pixels.n, set.anomalies);
        let data = set.fingerprint.clone();
        let options = TrainOptions { resume: true, ..TrainOptions::default() };
        let mut model = train(gpu, &config, set, folder, options, None, observer)?;
        let (metrics, tested, accuracy) = if self.plan.request.protocol == Protocol::LinearEval {
            let classes = self.plan.images.classes(false)?;
            let samples = [&dataset.train[..], &dataset.test];
            let LinearEvaluation { accuracy, images } =
                linear_evaluation(gpu, &mut model, classes, samples, skip_bad, observer)?;
            (Evaluator::new().finish(), images, Some(accuracy))
        } else {
            let scorer = Scorer::new(gpu, &mut model, "testing")?;
            let tested = test(gpu, &model, &scorer, &dataset.test, skip_bad, observer)?;
            (tested.0, tested.1.len(), None)
        };
        Ok(CellResult {
            cell: cell.name.clone(),
            settings: cell.settings.clone(),
            images: Counts { train: all - taught, taught, test: tested },
            data,
            adapter: gpu.report().identity(),
            seconds: begin.elapsed().as_secs_f64(),
            metrics,
            accuracy,
        })
    }

    /// How many cells are done, and the table when all are.
    ///
    /// # Errors
    /// A result that cannot be read.
    pub fn table(&self) -> Result<(usize, Option<Table>)> {
        let results = (0..self.cells()).map(|index| self.result(index));
        let results: Vec<Option<CellResult>> = results.collect::<Result<_>>()?;
        let done: Vec<CellResult> = results.into_iter().flatten().collect();
        let count = done.len();
        let table = if count == self.cells() { Some(Table::of(&self.plan, &done)?) } else { None };
        Ok((count, table))
    }

    fn result(&self, index: usize) -> Result<Option<CellResult>> {
        let path = self.result_file(index);
        if !path.exists() {
            return Ok(None);
        }
        let fail = |message: String| {
            Error::file(&path, format!("{message}; remove it, and the cell is run again"))
        };
        let text = fs::read_to_string(&path).map_err(|e| fail(e.to_string()))?;
        let result: CellResult = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
        let (found, expected) = (&result.cell, &self.plan.cells[index].name);
        if found != expected {
            return Err(fail(format!("is the result of cell {found}: expected {expected}")));
        }
        Ok(Some(result))
    }

    fn result_file(&self, index: usize) -> PathBuf {
        self.out.join(&self.plan.cells[index].name).join("result.json")
    }
}

/// What decides the results; `data` and `against`, which may lie elsewhere on another machine, do not.
fn description(plan: &Plan) -> Value {
    let request = &plan.request;
    let names: Vec<&str> = plan.cells.iter().map(|cell| cell.name.as_str()).collect();
    json!({
        "protocol": request.protocol,
        "data": request.data.to_string(),
        "against": request.against.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "images": plan.images.fingerprint(),
        "normal_class": request.normal_class,
        "classes": request.classes,
        "gamma": request.gammas,
        "values": request.values,
        "draws": request.draws,
        "seeds": request.seeds,
        "size": request.size,
        "limits": request.size.limits(),
        "config": request.config,
        "cells": names,
    })
}

/// Keys that may differ.
const PLACES: [&str; 2] = ["data", "against"];
/// Keys that follow from others, looked at last.
const FOLLOWING: [&str; 2] = ["cells", "limits"];

/// The first key whose values differ, with both; `a` and `b` as they read back from their text.
fn difference(prefix: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(of_a), Value::Object(of_b)) = (a, b) {
        let mut keys: Vec<&String> = of_a.keys().chain(of_b.keys()).collect();
        keys.sort_by_key(|key| (FOLLOWING.contains(&key.as_str()), key.as_str()));
        let null = Value::Null;
        return keys.into_iter().filter(|key| !PLACES.contains(&key.as_str())).find_map(|key| {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            let of = |object: &serde_json::Map<String, Value>| object.get(key).cloned();
            difference(&name, &of(of_a).unwrap_or(null.clone()), &of(of_b).unwrap_or(null.clone()))
        });
    }
    // Numbers may lose an ulp on their way through text.
    let same = match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * a.abs(),
        _ => match (a, b) {
            (Value::Array(a), Value::Array(b)) => {
                let pairs = a.iter().zip(b);
                a.len() == b.len() && pairs.into_iter().all(|(a, b)| difference("", a, b).is_none())
            }
            _ => a == b,
        },
    };
    let short = |value: &Value| {
        let text = value.to_string();
        match text.char_indices().nth(80) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    };
    (!same).then(|| (prefix.to_owned(), short(a), short(b)))
}

/// Whether a folder has an entry that is not hidden.
fn holds_something(folder: &Path) -> Result<bool> {
    let entries = fs::read_dir(folder).map_err(|e| Error::file(folder, e))?;
    Ok(entries.flatten().any(|entry| !entry.file_name().to_string_lossy().starts_with('.')))
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(value).map_err(|e| Error::Internal(e.to_string()))?;
    write_atomic(path, (json + "\n").as_bytes())
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(path, error)),
        _ => Ok(()),
    }
}

/// Seconds in the unit that suits them.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 90.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::Request;
    use crate::reproduce::plan::testing::plan;

    #[test]
    fn jobs_part_the_cells() {
        for of in 1..6 {
            let jobs: Vec<Jobs> =
                (1..=of).map(|this| format!("{this}/{of}").parse().unwrap()).collect();
            for cell in 0..20 {
                assert_eq!(jobs.iter().filter(|job| job.take(cell)).count(), 1);
            }
            assert!(jobs[0].take(0) && jobs[of - 1].take(of - 1));
        }
        for text in ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3"] {
            assert!(text.parse::<Jobs>().unwrap_err().to_string().contains("K/N"), "{text}");
        }
    }

    #[test]
    fn a_grid_of_another_request_is_refused() {
        type Change = fn(&mut Request);
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("grid");
        let open = |change: Change| {
            Grid::open(plan(change).unwrap(), &out).map(|grid| grid.missing(Jobs::default()))
        };
        assert_eq!(open(|r| r.gammas = vec![0.0]).unwrap(), [0, 1, 2]);
        // The images lie in another folder each time, which is no matter.
        assert_eq!(open(|r| r.gammas = vec![0.0]).unwrap().len(), 3);
        let changes: [(Change, &str); 3] = [
            (|r| r.gammas = vec![0.0, 0.3], "gamma = [0.0] where this one has [0.0,0.3]"),
            (|r| (r.gammas, r.seeds) = (vec![0.0], 2), "seeds = 1 where this one has 2"),
            (
                |r| {
                    r.gammas = vec![0.0];
                    r.config.set("loss.tau=0.2").unwrap();
                },
                "config.loss.tau = 0.1 where this one has 0.2",
            ),
        ];
        for (change, part) in changes {
            let message = open(change).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("another --out"), "{message}");
        }
        fs::write(dir.path().join("notes.txt"), "mine").unwrap();
        let other = Grid::open(plan(|_| ()).unwrap(), dir.path()).err().unwrap().to_string();
        assert!(other.contains("holds something else"), "{other}");
    }

    #[test]
    fn results_are_read_and_bad_ones_named() {
        let dir = tempfile::tempdir().unwrap();
        let grid = Grid::open(plan(|r| r.gammas = vec![0.0]).unwrap(), dir.path()).unwrap();
        assert_eq!(grid.table().unwrap().0, 0);
        let cell = grid.plan.cells[1].name.clone();
        fs::create_dir(dir.path().join(&cell)).unwrap();
        let path = dir.path().join(&cell).join("result.json");
        let result = CellResult {
            cell,
            settings: Vec::new(),
            images: Counts { train: 2, taught: 0, test: 6 },
            data: String::new(),
            adapter: "none".into(),
            seconds: 1.0,
            metrics: Evaluator::new().finish(),
            accuracy: None,
        };
        write_json(&path, &result).unwrap();
        let (done, table) = grid.table().unwrap();
        assert!(done == 1 && table.is_none());
        assert_eq!(grid.missing(Jobs::default()), [0, 2]);
        assert_eq!(grid.missing("2/2".parse().unwrap()), [] as [usize; 0]);
        write_json(&path, &CellResult { cell: "other".into(), ..result }).unwrap();
        assert!(grid.table().unwrap_err().to_string().contains("result of cell other: expected"));
        fs::write(&path, "{").unwrap();
        assert!(grid.table().unwrap_err().to_string().contains("remove it"));
    }

    #[test]
    fn durations_are_read_at_a_glance() {
        assert_eq!([10.0, 3000.0, 9000.0].map(duration), ["10 s", "50 min", "2.5 h"]);
    }
}
