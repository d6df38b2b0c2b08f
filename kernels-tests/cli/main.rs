//! The command line as its users meet it: the built binary, its messages and exit codes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../examples/04_images_and_heat_maps.rs"]
#[allow(dead_code, reason = "its main reads the arguments of this process")]
mod images_and_heat_maps;

#[path = "../harness/torchvision.rs"]
#[allow(unreachable_pub, reason = "shared with the kernels' tests")]
mod torchvision;

mod anomalies;
mod bench;
mod examples;
mod false_alarms;
mod init;
mod reproduce;
mod tiles;
mod training;
mod tune;
mod variants;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Runs `anomem` with `arguments` in `folder`, as on a server: without a login session, where
/// graphics libraries are tempted to complain on the standard error.
fn anomem(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anomem"));
    command.env_remove("XDG_RUNTIME_DIR").env_remove("WAYLAND_DISPLAY");
    command.current_dir(folder.path()).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The standard output of a command that must succeed and be silent beside it.
fn output(folder: &TempDir, arguments: &[&str]) -> String {
    let output = anomem(folder, arguments);
    let error = text(&output.stderr);
    assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{arguments:?}");
    text(&output.stdout)
}

/// The error of a command that must fail with exit code 2 and print nothing but it.
fn refusal(folder: &TempDir, arguments: &[&str]) -> String {
    let output = anomem(folder, arguments);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    assert!(error.starts_with("error: "), "{arguments:?}: {error}");
    error
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Makes a small set called `name`.
fn synth(folder: &TempDir, name: &str, more: &[&str]) -> String {
    let sizes = ["--size", "32", "--train-good", "4", "--test-good", "2", "--per-defect", "1"];
    output(folder, &[&["synth", "--out", name], &sizes[..], more].concat())
}

/// The path below `root` and the bytes of every file, in order.
fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(file, b)| (format!("{name}/{file}"), b)));
        } else {
            found.push((name, fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn what_clap_refuses_exits_with_two_and_help_with_none() {
    let folder = folder();
    for (arguments, part) in [
        (&["chekc", "x"][..], "check"),
        (&["check", "x", "--jsn"], "--json"),
        (&["check"], "<SPEC>"),
        (&["check", ""], "empty data SPEC"),
        (&["check", "cifar11:x"], "unknown format 'cifar11'"),
        (&["check", "x", "--normal-class", "a", "--superclass", "b"], "--superclass"),
        (&["synth"], "--out"),
        (&["synth", "--out", "x", "--seed", "-1"], "-1"),
        (&["synth", "--out", "x", "--seed", "ten"], "ten"),
        (&["synth", "--out", "x", "--family", "wood"], "expected fabric, metal, leather or mixed"),
    ] {
        let error = refusal(&folder, arguments);
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    for arguments in [&["--help"][..], &["--version"], &["check", "-h"], &["help", "synth"]] {
        assert!(output(&folder, arguments).contains("anomem"), "{arguments:?}");
    }
    // Without a command, help comes as an error.
    assert_eq!(anomem(&folder, &[]).status.code(), Some(2));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn errors_name_the_file_the_value_and_what_was_expected() {
    let folder = folder();
    fs::write(folder.path().join("file"), "x").unwrap();
    fs::write(folder.path().join("mine.toml"), "train.epochz = 3").unwrap();
    fs::create_dir(folder.path().join("two words")).unwrap();
    for (arguments, parts) in [
        (&["check", "nowhere"][..], &["nowhere", "no such folder"][..]),
        (&["check", "file"], &["file", "expected a folder"]),
        (&["check", "two words"], &["two words", "no images", "jpg, jpeg, png"]),
        (&["check", "cifar10:two words"], &["batches.meta.txt", "official binary version"]),
        (&["synth", "--out", "s", "--size", "8"], &["8 x 8", "32 to 4096"]),
        (&["synth", "--out", "two words/../file"], &["file", "expected a new or empty folder"]),
        (&["presets", "show", "tinny"], &["`tinny`", "tiny, surface, resnet18, resnet50"]),
        (&["presets", "show", "tiny", "--set", "train.epochz=3"], &["train.epochs"]),
        (
            &["presets", "show", "tiny", "--set", "train.batch=1"],
            &["train.batch = 1", "at least 2"],
        ),
        (&["presets", "show", "tiny", "--config", "mine.toml"], &["mine.toml", "train.epochs?"]),
        (&["presets", "show", "tiny", "--config", "none.toml"], &["none.toml", "cannot be read"]),
    ] {
        let error = refusal(&folder, arguments);
        assert!(parts.iter().all(|part| error.contains(part)), "{arguments:?}: {error}");
    }
}

#[test]
fn a_shown_preset_is_a_configuration_file() {
    let folder = folder();
    let list = output(&folder, &["presets"]);
    assert_eq!(output(&folder, &["presets", "list"]), list);
    let names: Vec<_> = list.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(names, ["tiny", "surface", "resnet18", "resnet50"]);
    for name in names {
        let shown = output(&folder, &["presets", "show", name]);
        assert!(shown.contains("# [I]"), "{name} has no comments");
        fs::write(folder.path().join("mine.toml"), &shown).unwrap();
        // Every key is in the file, so that the preset below it does not matter.
        let resolved = output(&folder, &["presets", "show", "tiny", "--config", "mine.toml"]);
        let again = output(&folder, &["presets", "show", name, "--config", "mine.toml"]);
        assert_eq!(resolved, again);
        assert_eq!(resolved.parse::<toml::Table>().unwrap(), shown.parse().unwrap());
    }
}

#[test]
fn settings_follow_the_file_and_the_last_wins() {
    let folder = folder();
    fs::write(folder.path().join("mine.toml"), "[train]\nepochs = 7\nbatch = 8\n").unwrap();
    let show = ["presets", "show", "tiny", "--set", "train.epochs=9", "--config", "mine.toml"];
    let shown = output(&folder, &[&show[..], &["--set", "train.epochs=11"]].concat());
    let shown: toml::Table = shown.parse().unwrap();
    let value = |key: &str| shown["train"][key].as_integer();
    assert_eq!((value("epochs"), value("batch")), (Some(11), Some(8)));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = folder();
    let set = |name: &str, more: &[&str]| {
        synth(&folder, name, more);
        files(&folder.path().join(name))
    };
    let first = set("a", &["--seed", "5"]);
    assert_eq!(first.len(), 4 + 2 + 2 * 4 + 1);
    assert_eq!(set("b", &["--seed", "5"]), first);
    let other = set("c", &["--seed", "6"]);
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|f| f.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&other), names(&first));
    assert!(
        other.iter().zip(&first).filter(|(a, _)| a.0.starts_with("train")).all(|(a, b)| a != b)
    );

    // Written again with one thread and another seed before: still the same.
    set("b", &["--seed", "9"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_anomem"));
    let sizes = ["--size", "32", "--train-good", "4", "--test-good", "2", "--per-defect", "1"];
    command.args(["synth", "--out", "b", "--seed", "5"]).args(sizes).current_dir(folder.path());
    assert!(command.env("RAYON_NUM_THREADS", "1").output().unwrap().status.success());
    assert_eq!(files(&folder.path().join("b")), first);
}

#[test]
fn synth_says_what_it_wrote_and_spares_what_it_did_not() {
    let folder = folder();
    let said = synth(&folder, "set", &["--family", "metal"]);
    for part in ["wrote set: grey images of 32 x 32", "      4 train/good", "      1 test/stain"] {
        assert!(said.contains(part), "{said}");
    }
    let mine = folder.path().join("set/train/good/mine.txt");
    fs::write(&mine, "mine").unwrap();
    let error = refusal(&folder, &["synth", "--out", "set", "--size", "32"]);
    assert!(error.contains("set: exists already and holds train/good/mine.txt"), "{error}");
    synth(&folder, "set", &["--force"]);
    assert_eq!(fs::read_to_string(mine).unwrap(), "mine");
    // Into the folder one stands in.
    let inner = TempDir::new_in(folder.path()).unwrap();
    synth(&inner, ".", &[]);
    assert!(inner.path().join("synth.json").is_file());
    let hidden = files(folder.path()).into_iter().filter(|(name, _)| name.contains("partial"));
    assert_eq!(hidden.count(), 0);
}

#[test]
fn check_as_text_and_as_json() {
    let folder = folder();
    synth(&folder, "my set", &[]);
    let report = output(&folder, &["check", "my set"]);
    let part = "4 normal to learn from; to judge 2 normal, 4 anomalous";
    assert!(report.contains(part) && report.ends_with("nothing wrong found\n"), "{report}");
    let json: Value =
        serde_json::from_str(&output(&folder, &["check", "my set", "--json"])).unwrap();
    assert_eq!(json["layout"], "mvtec_ad");
    assert_eq!(json["counts"]["test"]["missing_thread"], 1);
    assert_eq!(json["one_class"]["test_anomalous"], 4);
    assert_eq!(json["sizes"]["median"], serde_json::json!([32, 32]));

    fs::write(folder.path().join("my set/test/hole/000.png"), "no image").unwrap();
    for json in [false, true] {
        let output =
            anomem(&folder, &[&["check", "my set"][..], &["--json"][..json.into()]].concat());
        assert_eq!(output.status.code(), Some(2));
        let (report, error) = (text(&output.stdout), text(&output.stderr));
        assert!(report.contains("hole/000.png: not a JPEG"), "{report}");
        assert_eq!(error, "error: my set: 1 files cannot be used, as listed\n");
        assert!(!json || serde_json::from_str::<Value>(&report).is_ok());
    }
}

#[test]
fn classes_are_chosen_by_name_or_number() {
    let folder = folder();
    for name in ["fabric", "metal"] {
        synth(&folder, name, &["--family", name]);
        let images = folder.path().join(name).join("train/good");
        fs::create_dir_all(folder.path().join("classes")).unwrap();
        fs::rename(images, folder.path().join("classes").join(name)).unwrap();
    }
    let unlabelled = output(&folder, &["check", "classes"]);
    assert!(unlabelled.contains("say which class is normal"), "{unlabelled}");
    for class in ["metal", "1"] {
        let report = output(&folder, &["check", "classes", "--normal-class", class]);
        assert!(
            report.contains("4 normal to learn from; to judge 0 normal, 4 anomalous"),
            "{report}"
        );
    }
    let error = refusal(&folder, &["check", "classes", "--normal-class", "wool"]);
    assert!(error.contains("no class 'wool': expected one of fabric, metal"), "{error}");
    let error = refusal(&folder, &["check", "classes", "--superclass", "wool"]);
    assert!(error.contains("only CIFAR-100"), "{error}");
}

#[test]
fn devices_are_listed_or_the_lack_explained() {
    let folder = folder();
    let output = anomem(&folder, &["devices", "--json"]);
    let adapters: Value = serde_json::from_slice(&output.stdout).unwrap();
    if adapters.as_array().unwrap().is_empty() {
        let error = text(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains("no GPU adapter"), "{error}");
    } else {
        assert_eq!((output.status.code(), &adapters[0]["index"]), (Some(0), &Value::from(0)));
        let name = adapters[0]["name"].as_str().unwrap();
        assert!(text(&anomem(&folder, &["devices"]).stdout).contains(name));
    }
}

#[cfg(unix)]
#[test]
fn closed_pipes_are_harmless_and_full_disks_are_not() {
    let folder = folder();
    let run = |line: &str| {
        let mut command = Command::new("sh");
        let binary = env!("CARGO_BIN_EXE_anomem");
        command.args(["-c", line]).env("ANOMEM", binary).current_dir(folder.path());
        command.output().unwrap()
    };
    for line in ["presets show tiny", "--help"] {
        // The reader is gone before anything is written.
        let output = run(&format!("(sleep 0.2; \"$ANOMEM\" {line}; echo $? >&2) | true"));
        assert_eq!(text(&output.stderr), "0\n", "{line}");
    }
    if Path::new("/dev/full").exists() {
        let output = run("\"$ANOMEM\" presets > /dev/full");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(error.contains("standard output: cannot be written"), "{error}");
    }
    // A closed standard error is nobody's fault either.
    let output = run("\"$ANOMEM\" check nowhere 2>&-");
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_unicode_are_folders() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    synth(&folder, "set", &[]);
    let name = std::ffi::OsStr::from_bytes(b"s\xe9t");
    fs::rename(folder.path().join("set"), folder.path().join(name)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_anomem"));
    let output = command.current_dir(folder.path()).arg("check").arg(name).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("nothing wrong found"));
}

#[test]
fn the_example_finds_defects_without_learning() {
    let folder = folder();
    images_and_heat_maps::run(folder.path()).unwrap();
    let sheet = image::open(folder.path().join("sheet.png")).unwrap();
    assert!(sheet.width() > 3 * 160 && sheet.height() > 160);
    let scores = fs::read_to_string(folder.path().join("scores.csv")).unwrap();
    assert_eq!(scores.lines().count(), 1 + 12 + 3 * 6);
    assert!(scores.starts_with("path,score,score_s1,label,kind\ntest/good/000.png,"), "{scores}");
    let metrics = fs::read_to_string(folder.path().join("metrics.txt")).unwrap();
    assert!(metrics.starts_with("per cent") && metrics.contains("\nscratch"), "{metrics}");
}
