//! Learning from anomalies, labelled and made, and teaching a trained model.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::SafeTensors;

use crate::text;
use crate::training::{SMALL, bytes, folder_with, has_adapter, log, refused, run, surfaces, train};

/// The bytes of each tensor of a safetensors file.
pub(crate) fn tensors_of(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect()
}

/// The tensors of a run's model.
pub(crate) fn tensors(run: &Path) -> BTreeMap<String, Vec<u8>> {
    tensors_of(&run.join("model.safetensors"))
}

/// Heads that learn from made anomalies together with the encoder.
const JOINT: &str = "--set anomalies.pseudo=damage --set stage2.training=joint \
                     --set stage2.head=both --set stage2.contrast_weight=0";

#[test]
fn made_anomalies_are_learned_and_measured() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let of = |name: &str| dir.path().join(name);
    for name in ["a", "b"] {
        let output = run(&dir, &train(name, &format!("--epochs 4 {JOINT}")));
        assert!(text(&output.stderr).contains("made_auroc"), "{}", text(&output.stderr));
    }
    assert!(bytes(&of("a")) == bytes(&of("b")), "two runs of one seed differ");
    for record in log(&of("a")) {
        assert_eq!(record["phase"], "joint");
        for scale in record["scales"].as_array().unwrap() {
            assert!(scale["image_hinge"].as_f64().unwrap() > 0.0);
            assert!(scale["position_hinge"].as_f64().unwrap() > 0.0);
            assert!(scale.get("contrast").is_none(), "one view has no contrast");
        }
    }
    let contrasted = train("c", &format!("--epochs 1 {JOINT} --set stage2.contrast_weight=0.5"));
    run(&dir, &contrasted);
    let record = &log(&of("c"))[0];
    assert!(record["scales"][0]["contrast"].as_f64().unwrap() > 0.0, "{record}");
    let output = run(&dir, "test --model a --data data");
    assert!(text(&output.stdout).contains("pixel AUROC"));
    let predicted = run(&dir, "predict --model a --out scores data/test/hole");
    assert!(text(&predicted.stderr).is_empty() || predicted.status.success());
}

#[test]
fn a_frozen_stage_2_changes_only_the_heads_and_resumes() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let of = |name: &str| dir.path().join(name);
    let frozen = "--epochs 2 --set anomalies.pseudo=rotation --set stage2.head=image \
                  --set stage2.training=frozen --set stage2.steps=12";
    run(&dir, &train("a", frozen));
    let phases: Vec<String> =
        log(&of("a")).iter().map(|r| r["phase"].as_str().unwrap().to_string()).collect();
    assert_eq!(phases, ["stage1", "stage1", "stage2"]);
    let before = bytes(&of("a"));
    run(&dir, &train("a", &format!("{frozen} --resume")));
    assert!(bytes(&of("a")) == before, "a finished run must end with the same bytes");
    // Without the steps of stage 2 all but the heads is the same.
    run(&dir, &train("b", &frozen.replace("steps=12", "steps=0")));
    let (with, without) = (tensors(&of("a")), tensors(&of("b")));
    for (name, values) in &with {
        let trained = name.starts_with("heads");
        let frozen = &without[name] == values;
        // The last layer's bias may move by nothing; everything else of the heads does.
        assert!(frozen != trained || name.ends_with("outer.bias"), "{name}");
    }
}

#[test]
fn labelled_anomalies_are_learned_and_missed_ones_taught() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let of = |name: &str| dir.path().join(name);
    let plain = "--epochs 1 --set anomalies.pseudo=none";
    run(&dir, &train("one_class", plain));
    assert!(!tensors(&of("one_class")).keys().any(|name| name.starts_with("heads")));
    let labelled = "--anomalies data/test/hole --anomalies data/test/stain \
                    --set stage2.training=frozen --set stage2.head=image --set stage2.steps=3";
    run(&dir, &train("labelled", &format!("{plain} {labelled}")));
    assert!(tensors(&of("labelled")).keys().any(|name| name.starts_with("heads3.image")));

    run(&dir, "synth --out more --size 32 --train-good 4 --test-good 1 --per-defect 10");
    let teach = "teach --model one_class --anomalies more/test/hole --steps 60 --json t.json";
    let output = run(&dir, &format!("{teach} --out taught"));
    let table = text(&output.stdout);
    assert!(table.contains("8 anomalies taught") && table.contains("before"), "{table}");
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("t.json")).unwrap()).unwrap();
    assert_eq!(json["kept_back"], 2);
    for when in ["before", "after"] {
        let auroc = json[when]["made"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&auroc), "{json}");
    }
    let (known, taught) = (tensors(&of("one_class")), tensors(&of("taught")));
    for (name, values) in &known {
        assert!(&taught[name] == values, "teaching changed {name}");
    }
    assert!(taught.len() > known.len(), "nothing was learned");
    assert!(refused(&dir, &format!("{teach} --out taught")).contains("holds a run already"));
    // A taught model can be taught more, and scores.
    run(&dir, "teach --model taught --anomalies more/test/stain --steps 2 --out again");
    run(&dir, "test --model again --data data");
    // Other normal images than it was trained on may be those that it was trained on, in another division.
    std::fs::copy(of("data/test/good/000.png"), of("data/train/good/new.png")).unwrap();
    let output = run(&dir, &format!("{teach} --out other"));
    assert!(text(&output.stderr).contains("there will be no verdicts"), "{output:?}");
    assert!(text(&run(&dir, "info other").stdout).contains(", 0 held-out images"));
    let output = run(&dir, &format!("{teach} --out unseen --calibrate data/test/good"));
    assert!(!text(&output.stderr).contains("there will be no verdicts"), "{output:?}");
    assert!(text(&output.stdout).contains("6 normal images kept back"), "{output:?}");
    std::fs::remove_file(of("data/train/good/new.png")).unwrap();
    std::fs::rename(of("data"), of("elsewhere")).unwrap();
    let message = refused(&dir, &format!("{teach} --out third"));
    assert!(message.contains("--normals"), "{message}");
    run(&dir, &format!("{teach} --out third --normals elsewhere"));
}

#[test]
fn masks_tell_where_labelled_anomalies_are() {
    if !has_adapter() {
        return;
    }
    let dir = folder_with("--size 32 --train-good 40 --test-good 10 --per-defect 10");
    run(&dir, "synth --out more --size 32 --train-good 4 --test-good 1 --per-defect 10 --seed 5");
    let train = "train --data data --out run --epochs 12 --set image.size=32 --set train.batch=16 \
                 --set train.least_steps=0 --set anomalies.pseudo=none --set stage2.head=position \
                 --anomalies more/test/hole";
    assert!(refused(&dir, train).contains("without a mask"));
    run(&dir, &format!("{train} --masks more/ground_truth/hole"));
    let unmarked = refused(&dir, "teach --model run --anomalies more/test/stain --out x");
    assert!(unmarked.contains("10 labelled anomalies without a mask"), "{unmarked}");
    run(&dir, "test --model run --data data --json m.json");
    let page = std::fs::read(dir.path().join("m.json")).unwrap();
    let metrics: serde_json::Value = serde_json::from_slice(&page).unwrap();
    // Untrained it is near one half.
    let holes = metrics["kinds"]["hole"]["pixel_auroc"].as_f64();
    assert!(holes.unwrap() > 0.85, "{metrics}");

    let told = |masks: &str| refused(&dir, &format!("{train} {masks}").replace("run", "other"));
    let told_twice = told("--anomalies more/test/stain --masks more/ground_truth/hole");
    assert!(told_twice.contains("--masks: 1 folders for 2 of --anomalies"), "{told_twice}");
    let of_others = told("--masks data/ground_truth");
    assert!(of_others.contains("a mask of no image"), "{of_others}");
    assert!(told("--masks data/train").contains("a mask of no image"));
}

#[test]
fn what_does_not_fit_is_refused() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let message = refused(&dir, &train("a", "--gamma 0.1"));
    assert!(message.contains("gamma = 0.1 asks for") && message.contains("holds 0"), "{message}");
    let message = refused(&dir, &train("a", "--set anomalies.share=1"));
    assert!(message.contains("anomalies.share = 1"), "{message}");
    let rotated = "--set anomalies.pseudo=rotation --set image.size=[16,32]";
    assert!(refused(&dir, &train("a", rotated)).contains("square"));
    assert!(SMALL.contains("image.size"));
}
