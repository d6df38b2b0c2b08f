//! Training, testing and predicting as a user would; a killed run ends with the bytes of one left
//! alone.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use tempfile::TempDir;

use crate::{anomem, folder, text};

/// Small enough for seconds on a software driver; the paper's one-class setting.
pub(crate) const SMALL: &str = "--set image.size=16 --set network.width=0.125 --set memory.slots=[16,8] \
                     --set train.batch=8 --set score.batch=8 --set anomalies.pseudo=none \
                     --set stage2.training=frozen --set train.lr=auto --set memory.beta=auto \
                     --set augment.noise=0";

/// Whether an adapter answers; without one, a loud skip, or a failure under `ANOMEM_GPU=require`.
pub(crate) fn has_adapter() -> bool {
    let any = !::anomem::gpu::list_adapters().is_empty();
    assert!(any || std::env::var("ANOMEM_GPU").as_deref() != Ok("require"), "no adapter answers");
    if !any {
        eprintln!("SKIPPED: no adapter answers");
    }
    any
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Runs a command line, which must succeed.
pub(crate) fn run(dir: &TempDir, line: &str) -> Output {
    let output = anomem(dir, &words(line));
    assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
    output
}

/// A command line that runs beside the test.
pub(crate) fn started(dir: &TempDir, line: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_anomem"))
        .current_dir(dir.path())
        .args(words(line))
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The error of a command line that must fail with exit code 2.
pub(crate) fn refused(dir: &TempDir, line: &str) -> String {
    let output = anomem(dir, &words(line));
    assert_eq!(output.status.code(), Some(2), "{line}: {}", text(&output.stderr));
    text(&output.stderr)
}

/// A folder with small made-up surfaces in `data`.
pub(crate) fn surfaces() -> TempDir {
    folder_with("--size 32 --train-good 40 --test-good 6 --per-defect 2")
}

/// A folder with made-up surfaces of the given `options` in `data`.
pub(crate) fn folder_with(options: &str) -> TempDir {
    let dir = folder();
    run(&dir, &format!("synth --out data {options}"));
    dir
}

pub(crate) fn train(out: &str, more: &str) -> String {
    format!("train --data data --out {out} {SMALL} {more}")
}

pub(crate) fn bytes(run: &Path) -> [Vec<u8>; 2] {
    ["model.safetensors", "training.safetensors"].map(|f| std::fs::read(run.join(f)).unwrap())
}

/// The lines of a run's log.
pub(crate) fn log(run: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(run.join("log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Starts a run, kills it as soon as a state is on disk, at whatever moment of an epoch that is, and goes on with it.
fn kill_and_resume(dir: &TempDir, line: &str, out: &str) {
    let mut child = started(dir, line);
    let begin = Instant::now();
    while !dir.path().join(out).join("model.safetensors").exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no state was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(refused(dir, line).contains("--resume"), "a run must not be overwritten");
    run(dir, &format!("{line} --resume"));
}

/// Also the loss scale: it starts so high that the first steps are skipped, and goes on where it was.
#[test]
fn half_precision_learns_and_goes_on_with_its_loss_scale() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let half = "--epochs 12 --seed 7 --set network.precision=f16";
    run(&dir, &train("whole", half));
    kill_and_resume(&dir, &train("killed", half), "killed");
    let of = |name: &str| bytes(&dir.path().join(name));
    assert!(of("whole") == of("killed"), "a resumed run ends otherwise");
    let state = of("whole");
    let held = |file: &[u8]| {
        let tensors = SafeTensors::deserialize(file).unwrap();
        tensors.tensor("loss_scale").ok().map(|t| bytemuck::pod_collect_to_vec::<u8, f32>(t.data()))
    };
    assert_eq!(held(&state[0]), None, "scoring needs none");
    let scale = held(&state[1]).unwrap();
    assert!(scale[0] > 1.0 && scale[0] <= 65_536.0 && scale[1] > 0.0, "{scale:?}");
    let log = log(&dir.path().join("whole"));
    let loss = |epoch: usize| log[epoch]["loss"].as_f64().unwrap();
    println!("scale {scale:?}, losses {} to {}", loss(0), loss(11));
    assert!(loss(11) < loss(0), "{} to {}", loss(0), loss(11));
}

#[test]
fn the_same_seed_gives_the_same_bytes_also_when_killed_and_resumed() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let of = |name: &str| bytes(&dir.path().join(name));
    run(&dir, &train("a", "--epochs 12 --seed 7"));
    run(&dir, &train("b", "--epochs 12 --seed 7"));
    assert!(of("a") == of("b"), "two runs of one seed differ");
    run(&dir, &train("other", "--epochs 12 --seed 8"));
    assert!(of("a")[0] != of("other")[0], "another seed changes nothing");

    let killed = train("killed", "--epochs 12 --seed 7");
    kill_and_resume(&dir, &killed, "killed");
    assert!(of("a") == of("killed"), "a resumed run ends otherwise");
    let log = std::fs::read_to_string(dir.path().join("killed/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 12, "one line per epoch");
    let other = train("killed", "--epochs 13 --seed 7 --resume");
    assert!(refused(&dir, &other).contains("configuration differs"));
}

/// Resident memory of a process, in MiB.
#[cfg(target_os = "linux")]
fn resident(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

/// A driver that compiles a kernel again at every step, and keeps what it compiled, is slow and ends
/// without memory; no counter of the engine's own sees it.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_trains_does_not_grow() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let line = train("run", "--epochs 60 --set score.held_out=0");
    let mut child = started(&dir, &line);
    let log = dir.path().join("run/log.jsonl");
    let epochs = || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    let (mut early, mut late) = (None, None);
    while child.try_wait().unwrap().is_none() {
        let (done, now) = (epochs(), resident(child.id()));
        if done >= 5 {
            early = early.or(now.map(|mib| (done, mib)));
            late = now.map(|mib| (done, mib)).or(late);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(child.wait().unwrap().success());
    let ((first, early), (last, late)) = (early.unwrap(), late.unwrap());
    println!("{early:.0} MiB after epoch {first}, {late:.0} MiB after epoch {last}");
    assert!(last > first + 20, "too few epochs were seen: {first} to {last}");
    let per_step = (late - early) / (5 * (last - first)) as f64;
    assert!(per_step < 0.2, "each step leaves {per_step:.2} MiB behind");
}

#[test]
fn unused_prototypes_come_to_life_again() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    // Nearest prototype only, so that most slots stay unused.
    let settings = "--epochs 3 --set memory.beta=200 --set memory.slots=[256,128]";
    run(&dir, &train("dead", settings));
    run(&dir, &train("alive", &format!("{settings} --set memory.revive=true")));
    let revived = |name: &str| -> Vec<u64> {
        let log = std::fs::read_to_string(dir.path().join(name).join("log.jsonl")).unwrap();
        let epochs = log.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
        epochs.map(|e| e["scales"][0]["revived"].as_u64().unwrap()).collect()
    };
    assert_eq!(revived("dead"), [0, 0, 0]);
    let alive = revived("alive");
    assert!(alive[0] > 0 && alive[1] > 0 && alive[2] == 0, "{alive:?}");
    assert!(bytes(&dir.path().join("dead"))[0] != bytes(&dir.path().join("alive"))[0]);
}

#[test]
fn a_model_is_tested_asked_and_told_about() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    run(&dir, &train("run", "--epochs 0"));
    run(&dir, "test --model run --data data --json m.json --baseline");
    let json = std::fs::read(dir.path().join("m.json")).unwrap();
    let figures: serde_json::Value = serde_json::from_slice(&json).unwrap();
    for key in [
        "image_auroc",
        "image_ap",
        "image_f1_max",
        "fpr_at_95_tpr",
        "pixel_auroc",
        "pixel_ap",
        "aupro",
    ] {
        let value = figures[key].as_f64().unwrap_or_else(|| panic!("{key}: {figures}"));
        assert!((0.0..=1.0).contains(&value), "{key} = {value}");
    }
    assert_eq!((&figures["n_normal"], &figures["n_anomalous"]), (&6.into(), &8.into()));

    run(&dir, "predict --model run data/test data/train/good/000.png --out judged --heatmaps");
    let table = std::fs::read_to_string(dir.path().join("judged/scores.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 14 + 1, "{table}");
    let picture = dir.path().join("judged/heatmaps/good/000.png.png");
    let picture = image::open(&picture).unwrap_or_else(|e| panic!("{}: {e}", picture.display()));
    assert_eq!((picture.width(), picture.height()), (32, 32));
    // An image by itself takes a smaller batch, to the same bits.
    run(&dir, "predict --model run data/train/good/000.png --out alone");
    let alone = std::fs::read_to_string(dir.path().join("alone/scores.csv")).unwrap();
    let row = |table: &str| {
        let row = table.lines().find(|row| row.contains("train/good/000.png"));
        row.map(|row| row.split_once(',').unwrap().1.to_owned()).unwrap()
    };
    assert_eq!((alone.lines().count(), row(&alone)), (2, row(&table)));

    // 4 of 40 images were held out: they back a rate of 20 %, not of 1 %.
    assert!(table.starts_with("path,score,score_s3,score_s4,p_value,verdict\n"), "{table}");
    let few = run(&dir, "predict --model run data/train/good --out few");
    let said = text(&few.stderr);
    assert!(said.contains("4 held-out normal images cannot back") && said.contains("99"), "{said}");
    assert!(text(&few.stdout).starts_with("0 of 40 images are anomalous"));
    let rate = "--max-false-alarms 0.2";
    let own = run(&dir, &format!("predict --model run data/train/good --out own {rate}"));
    assert!(!text(&own.stderr).contains("cannot back"));
    // Noise, stripes, a slope and one value are nothing like a surface: at a rate at which all but the most normal
    // count as anomalous, one of them does, however little so short a training knows.
    let pictures: [fn(u32) -> u8; 4] = [
        |i| (i.wrapping_mul(2654435761) >> 24) as u8,
        |i| if i / 8 % 2 == 0 { 20 } else { 230 },
        |i| (i / 4) as u8,
        |_| 128,
    ];
    std::fs::create_dir(dir.path().join("odd-images")).unwrap();
    for (number, value) in pictures.into_iter().enumerate() {
        let pixels = (0..32 * 32).map(value).collect();
        let picture = image::GrayImage::from_raw(32, 32, pixels).unwrap();
        picture.save(dir.path().join(format!("odd-images/{number}.png"))).unwrap();
    }
    let line = "predict --model run odd-images --out odd --max-false-alarms 0.9 --fail-on-anomaly";
    assert_eq!(anomem(&dir, &words(line)).status.code(), Some(3));
    let odd = std::fs::read_to_string(dir.path().join("odd/scores.csv")).unwrap();
    assert!(odd.lines().any(|row| row.ends_with(",anomalous")), "{odd}");
    let gate = refused(&dir, "predict --model run odd-images --out x --fail-on-anomaly");
    assert!(gate.contains("--fail-on-anomaly: 4 held-out normal images cannot back"), "{gate}");
    // Two folders with the same names are told apart.
    run(
        &dir,
        "predict --model run data/test/good odd-images data/train/good --out both --heatmaps",
    );
    let both = std::fs::read_to_string(dir.path().join("both/scores.csv")).unwrap();
    for name in ["data/test/good/000.png", "data/train/good/000.png"] {
        assert!(both.contains(&format!("\n{name},")), "{both}");
        assert!(dir.path().join(format!("both/heatmaps/{name}.png")).is_file(), "{name}");
    }
    let twice =
        refused(&dir, "predict --model run odd-images/0.png odd-images/0.png --out x --heatmaps");
    assert!(twice.contains("would both be drawn as odd-images/0.png.png"), "{twice}");
    let none = "predict --model unheld odd-images --out x --fail-on-anomaly";
    run(&dir, &train("unheld", "--epochs 0 --set score.held_out=0"));
    assert!(refused(&dir, none).contains("no normal image was held out"));
    let tight = train("tight", "--epochs 1 --memory-budget 100KiB");
    assert!(refused(&dir, &tight).contains("the memory budget"));
    run(&dir, &train("given", "--epochs 0 --calibrate data/test/good"));
    let told = text(&run(&dir, "info given").stdout);
    assert!(told.contains("false-alarm rate 0.01, 6 held-out images"), "{told}");

    let told = text(&run(&dir, "info run --tensors").stdout);
    assert!(
        told.contains("layer4.1.bn2.running_var") && told.contains("0 epochs, 0 steps"),
        "{told}"
    );
    assert!(refused(&dir, "info m.json").contains("m.json: not a safetensors file"));
    assert!(refused(&dir, "predict --model run nowhere.png --out x").contains("nowhere.png"));
}

#[test]
fn a_run_is_told_on_one_page() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let path = dir.path().join("run/report.html");
    let page = || std::fs::read_to_string(&path).unwrap();
    run(&dir, &train("run", "--epochs 2"));
    let trained = page();
    for part in ["Not tested yet", "anomem test --model run", "Contrastive loss", "Prototypes"] {
        assert!(trained.contains(part), "{part}");
    }
    // 12 samples, 4 images with 5 views, and at least a prototype.
    assert!(trained.matches("<img").count() > 12 + 4 * 6);

    let said = text(&run(&dir, "test --model run --data data").stderr);
    assert!(said.contains("report: run/report.html"), "{said}");
    let tested = page();
    for part in ["ROC curve", "Worst misses", "Worst false alarms", "AUPRO", "missing_thread"] {
        assert!(tested.contains(part), "{part}");
    }
    for page in [&trained, &tested] {
        assert!(!page.contains("http:") && !page.contains("https:") && page.len() < 3 << 20);
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text(&run(&dir, "report run").stdout), "run/report.html\n");
    assert!(page() == tested, "the page is made anew from the run folder alone");

    // A run that was killed before its first state, and one whose page cannot be kept.
    std::fs::create_dir(dir.path().join("killed")).unwrap();
    assert!(refused(&dir, "report killed").contains("config.toml"));
    std::fs::copy(dir.path().join("run/config.toml"), dir.path().join("killed/config.toml"))
        .unwrap();
    run(&dir, "report killed");
    std::fs::create_dir(dir.path().join("barred")).unwrap();
    std::fs::write(dir.path().join("barred/report"), "in the way").unwrap();
    let said = text(&run(&dir, &train("barred", "--epochs 0")).stderr);
    assert!(said.contains("warning: no report was written: barred/report"), "{said}");
}

#[test]
fn blocks_run_again_where_the_budget_asks_for_it() {
    if !has_adapter() {
        return;
    }
    let dir = folder_with("--size 64 --train-good 40 --test-good 1 --per-defect 1");
    let larger = "--set image.size=64 --set network.backbone=resnet34 --set train.batch=32";
    let with = |out: &str, more: &str| train(out, &format!("{larger} --epochs 1 {more}"));
    let kept = "--set train.recompute=none";
    let tight = with("tight", &format!("{kept} --memory-budget 56MiB"));
    assert!(refused(&dir, &tight).contains("training needs"));
    // Where norms run again suffice depends on what the driver takes for textures.
    let again = [56, 53, 50, 47].into_iter().find_map(|mib| {
        let name = format!("again{mib}");
        let told = text(&run(&dir, &with(&name, &format!("--memory-budget {mib}MiB"))).stderr);
        let norms = told.contains("(batch norms are run again for the backward pass)");
        (!norms).then_some((name, told))
    });
    let (again, told) = again.unwrap();
    assert!(
        told.contains(" of 17 parts of the network are run again for the backward pass)"),
        "{told}"
    );
    assert!(!told.contains(" 17 of 17 parts"), "more than needed: {told}");
    let whole = text(&run(&dir, &with("whole", kept)).stderr);
    let norms = format!("{larger} --epochs 0 --set train.recompute=norms");
    let told = text(&run(&dir, &train("norms", &norms)).stderr);
    assert!(told.contains("(batch norms are run again for the backward pass)"), "{told}");
    let mib = |told: &str| -> u32 {
        let (before, _) = told.split_once(" MiB of temporaries").unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(mib(&told) < mib(&whole) * 9 / 10, "{told}{whole}");
    // A whole network run again, a few images at a time, needs less still; its norms see other batches.
    let micro = "--set train.micro_batch=4 --memory-budget 40MiB";
    let told = text(&run(&dir, &with("micro", &format!("{kept} {micro}"))).stderr);
    assert!(told.contains("batches of 32, at most 4 encoded at once"), "{told}");
    // One step: the same losses, and gradients that are added up in another order.
    let figure = |run: &str, key: &str| log(&dir.path().join(run))[0][key].as_f64().unwrap();
    assert_eq!(figure(&again, "loss"), figure("whole", "loss"));
    let [again, whole] = [&again, "whole"].map(|run| figure(run, "grad_norm"));
    assert!((again - whole).abs() < 1e-4 * whole, "{again} {whole}");
}
