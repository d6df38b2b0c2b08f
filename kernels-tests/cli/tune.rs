use serde_json::Value;

use crate::training::has_adapter;
use crate::{folder, output, refusal};

#[test]
fn what_tune_writes_is_what_kernels_are_chosen_by() {
    if !has_adapter() {
        return;
    }
    let folder = folder();
    let table = output(&folder, &["tune", "--quick", "--out", "mine.toml"]);
    let path = folder.path().join("mine.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("# Made by `anomem tune --quick`"), "{text}");
    assert!(table.lines().any(|l| l.ends_with("kept") || l.ends_with("chosen")), "{table}");
    assert!(table.trim_end().ends_with("mine.toml"), "{table}");

    // Values that noise did not choose, so that they are told from those built in.
    let lines = text.lines().map(|line| match line.split_once(" = ") {
        Some(("chunk_bytes", _)) => "chunk_bytes = 1048576".to_owned(),
        _ => line.to_owned(),
    });
    std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let devices = output(&folder, &["devices", "--tuning", "mine.toml"]);
    assert!(devices.contains(", by mine.toml"), "{devices}");
    let bench = ["bench", "--only", "product 256", "--no-steps", "--tuning", "mine.toml"];
    let table = output(&folder, &[&bench[..], &["--json", "b.json"]].concat());
    assert!(table.contains(", tuning "), "{table}");
    let report = std::fs::read_to_string(folder.path().join("b.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["adapter"]["tuning"]["winograd"]["chunk_bytes"], 1 << 20, "{report}");
}

#[test]
fn a_tuning_that_is_none_is_refused_by_file_and_key() {
    let folder = folder();
    std::fs::write(folder.path().join("old.toml"), "schema = 7\n").unwrap();
    for (file, parts) in
        [("old.toml", ["old.toml: ", "schema = 7: expected 1"]), ("no.toml", ["no.toml: ", "read"])]
    {
        let error = refusal(&folder, &["devices", "--tuning", file]);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}
