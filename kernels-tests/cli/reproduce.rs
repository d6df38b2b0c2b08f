//! A grid that is shared by jobs, killed and continued ends with the table of one left alone.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::training::{has_adapter, refused, run, started};
use crate::{files, folder, text};

/// Three classes of small surfaces, split into train and test, in `classes`.
fn classes() -> TempDir {
    let dir = folder();
    for (class, seed) in [("fabric", 1), ("leather", 2), ("metal", 3)] {
        let sizes = "--size 32 --train-good 40 --test-good 8 --per-defect 1";
        run(&dir, &format!("synth --out {class} --family {class} --seed {seed} {sizes}"));
        for split in ["train", "test"] {
            let to = dir.path().join("classes").join(split);
            fs::create_dir_all(&to).unwrap();
            fs::rename(dir.path().join(class).join(split).join("good"), to.join(class)).unwrap();
        }
    }
    dir
}

/// The tables of a grid, by name.
fn tables(out: &Path) -> Vec<(String, Vec<u8>)> {
    files(out)
        .into_iter()
        .filter(|(name, _)| name.starts_with("table") || name.ends_with("svg"))
        .collect()
}

#[test]
fn an_interrupted_grid_ends_as_one_left_alone() {
    if !has_adapter() {
        return;
    }
    let dir = classes();
    let out = |name: &str| dir.path().join(name);
    let line = |name: &str| {
        format!(
            "reproduce one-vs-all --data classes --out {name} --size smoke --set train.epochs=6 --gamma 0,0.05 --classes fabric,metal"
        )
    };
    let whole = text(&run(&dir, &line("whole")).stdout);
    assert!(whole.contains("| 0.05 | mean |") && whole.contains("size smoke"), "{whole}");
    assert_eq!(tables(&out("whole")).len(), 4, "table as md, csv and json, and a figure");

    let first = text(&run(&dir, &format!("{} --jobs 1/2", line("parts"))).stdout);
    assert!(
        first.starts_with("2 of 4 cells are done") && tables(&out("parts")).is_empty(),
        "{first}"
    );
    let second = format!("{} --jobs 2/2", line("parts"));
    let cell = out("parts").join("gamma-0_02-metal_seed-0");
    let mut child = started(&dir, &second);
    let begin = Instant::now();
    while !cell.join("training.safetensors").exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no state was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!cell.join("result.json").exists(), "killed too late to test anything");
    run(&dir, &second);
    assert_eq!(tables(&out("parts")), tables(&out("whole")));
    assert!(!cell.join("training.safetensors").exists() && cell.join("log.jsonl").exists());

    // Again: the same table, and no cell is run.
    let result =
        |name: &str| fs::read(out(name).join("gamma-0_02-metal_seed-0/result.json")).unwrap();
    let before = result("parts");
    assert_eq!(text(&run(&dir, &line("parts")).stdout), whole);
    assert_eq!(result("parts"), before);
    let result: Value = serde_json::from_slice(&before).unwrap();
    assert_eq!(result["images"], serde_json::json!({ "train": 40, "taught": 0, "test": 24 }));

    let error = refused(&dir, &format!("{} --seeds 2", line("parts")));
    assert!(error.contains("parts: holds the grid of another request, with seeds = 1"), "{error}");
}

#[test]
fn a_linear_classifier_tells_classes_apart() {
    if !has_adapter() {
        return;
    }
    let dir = classes();
    let line = "reproduce linear-eval --data classes --out linear --size smoke";
    let table = text(&run(&dir, line).stdout);
    assert!(table.contains("| variant | classes | accuracy | runs |"), "{table}");
    let table: Value =
        serde_json::from_slice(&fs::read(dir.path().join("linear/table.json")).unwrap()).unwrap();
    let rows = table["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["variant"].as_str().unwrap()).collect();
    let expected = ["no memory, one scale", "no memory, two scales", "one scale", "two scales"];
    assert_eq!(names, expected);
    // Of three classes chance knows a third; of 24 images it may tell some more.
    let accuracies: Vec<f64> = rows.iter().map(|row| row["mean"].as_f64().unwrap()).collect();
    assert!(accuracies.iter().all(|a| (0.4..=1.0).contains(a)), "{accuracies:?}");
    assert!(accuracies.iter().sum::<f64>() > 0.55 * 4.0, "{accuracies:?}");
    let cell = dir.path().join("linear/two-scales_seed-0");
    let read = || fs::read(cell.join("result.json")).unwrap();
    let result: Value = serde_json::from_slice(&read()).unwrap();
    assert_eq!(result["images"], serde_json::json!({ "train": 120, "taught": 0, "test": 24 }));
    let config = fs::read_to_string(cell.join("config.toml")).unwrap();
    assert!(config.contains("held_out = 0.0"), "{config}");

    // A cell that is lost is run again, to the same accuracy.
    fs::remove_dir_all(&cell).unwrap();
    run(&dir, line);
    let again: Value = serde_json::from_slice(&read()).unwrap();
    assert_eq!(again["accuracy"], result["accuracy"]);
    assert_eq!(
        serde_json::from_slice::<Value>(&fs::read(dir.path().join("linear/table.json")).unwrap())
            .unwrap(),
        table
    );
    let error = refused(&dir, &format!("{line} --set image.tile=16"));
    assert!(error.contains("linear-eval with image.tile = 16: expected 0"), "{error}");
    let error = refused(&dir, &format!("{line} --gamma 0.05"));
    assert!(error.contains("--gamma with linear-eval"), "{error}");
}

#[test]
fn other_protocols_run_from_end_to_end() {
    if !has_adapter() {
        return;
    }
    let dir = classes();
    let quick = "--size smoke --set train.epochs=1 --set stage2.steps=2";
    run(
        &dir,
        &format!(
            "reproduce ood --data classes --against fabric/test --against metal/test --out ood {quick}"
        ),
    );
    let ood = fs::read_to_string(dir.path().join("ood/table.md")).unwrap();
    assert!(ood.contains("| test |") && ood.contains("| metal/test |"), "{ood}");
    run(
        &dir,
        &format!("reproduce cross-type --data classes --normal-class fabric --out cross {quick}"),
    );
    let cross = fs::read_to_string(dir.path().join("cross/table.csv")).unwrap();
    assert!(cross.contains(",,leather,") && cross.contains(",,mean,"), "{cross}");
    let grid = "reproduce ablation --data classes --classes fabric --out ablation";
    run(&dir, &format!("{grid} {quick}"));
    let rows = fs::read_to_string(dir.path().join("ablation/table.md")).unwrap();
    for row in ["one scale", "two scales"] {
        assert!(rows.contains(&format!("| {row} | 0 | fabric |")), "{rows}");
        assert!(rows.contains(&format!("| no memory, {row} | 0 | fabric |")), "{rows}");
    }
    let cell = "ablation/no-memory-two-scales_gamma-0_00-fabric_seed-0";
    let config = fs::read_to_string(dir.path().join(cell).join("config.toml")).unwrap();
    assert!(config.contains("kind = \"kmeans\""), "{config}");
}
