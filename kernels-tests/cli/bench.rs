use serde_json::Value;

use crate::training::has_adapter;
use crate::{folder, output, refusal};

#[test]
fn kernels_are_compared_timed_and_held_against_bounds() {
    if !has_adapter() {
        return;
    }
    let folder = folder();
    let table =
        output(&folder, &["bench", "--only", "product 256", "--no-steps", "--json", "b.json"]);
    assert!(table.contains(" GFLOP/s (multiply-adds in registers)"), "{table}");
    assert!(table.contains("product 256x256x256"), "{table}");
    let text = std::fs::read_to_string(folder.path().join("b.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let bounds = &report["bounds"];
    assert!(number(&bounds["gflops"]) > 0.0 && number(&bounds["gb_s"]) > 0.0, "{text}");
    let [row] = &report["kernels"].as_array().unwrap()[..] else { panic!("one row: {text}") };
    let rate = 2.0 * 256f64.powi(3) / number(&row["ms"]) * 1e-6;
    assert!((number(&row["rate"]) / rate - 1.0).abs() < 1e-9, "{text}");
    let share = rate / number(&bounds["gflops"]);
    assert!((number(&row["share_of_bound"]) / share - 1.0).abs() < 1e-9, "{text}");
    // What an adapter uses differs from the plain kernels, by rounding.
    assert!(row["difference"].is_null() || number(&row["difference"]) < 1e-3, "{text}");
}

#[test]
fn trainings_and_scoring_are_timed() {
    if !has_adapter() {
        return;
    }
    let folder = folder();
    let word = "step tiny 64px, the paper's stages";
    let table = output(&folder, &["bench", "--only", word, "--json", "b.json"]);
    for what in ["stage 1", "stage 2", "scoring"] {
        assert!(table.contains(&format!("{word}: {what}")), "{table}");
    }
    let text = std::fs::read_to_string(folder.path().join("b.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let rows = report["steps"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{text}");
    for row in rows {
        let [batch, seconds, rate, mib] =
            ["batch", "seconds", "images_per_second", "mib"].map(|key| row[key].as_f64().unwrap());
        assert!((seconds * rate / batch - 1.0).abs() < 1e-9 && mib > 1.0, "{row}");
        // The heads' stage begins when the network is there; scoring is no training.
        let name = row["name"].as_str().unwrap();
        let host = row["host_share"].as_f64();
        assert_eq!(host.is_some(), !name.ends_with("scoring"), "{row}");
        assert!(host.is_none_or(|share| share > 0.0 && share < 1.0), "{row}");
        assert_eq!(row["first_seconds"].as_f64().is_some(), name.ends_with("stage 1"), "{row}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    if !has_adapter() {
        return;
    }
    let folder = folder();
    let error = refusal(&folder, &["bench", "--only", "a horse"]);
    assert_eq!(error, "error: nothing to measure has 'a horse' in its name\n");
    let error = refusal(&folder, &["bench", "--profile", "p.json"]);
    assert!(error.contains("--profile"), "{error}");
}
