//! Training from weights of a file, with the encoder tuned or frozen.

use std::path::Path;

use safetensors::tensor::Dtype;

use crate::anomalies::{tensors, tensors_of};
use crate::text;
use crate::torchvision::{file, resnet};
use crate::training::{bytes, has_adapter, log, refused, run, surfaces, train};

/// Weights that fit the network of [`crate::training::SMALL`], in `weights.safetensors`.
fn write_weights(dir: &Path, kernel: usize) {
    let weights = resnet([2, 2, 2, 2], false, 8, kernel);
    let bytes = file(&weights, Dtype::F32, |v| v.to_le_bytes().to_vec());
    std::fs::write(dir.join("weights.safetensors"), bytes).unwrap();
}

const COLOUR: &str = "--init weights.safetensors --set image.channels=3";

#[test]
fn a_frozen_encoder_keeps_its_weights_while_memories_and_heads_learn() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    write_weights(dir.path(), 3);
    let loaded = tensors_of(&dir.path().join("weights.safetensors"));
    let heads = "--set anomalies.pseudo=damage --set stage2.head=both --set stage2.steps=4";
    let joint = "--set stage2.training=joint";
    for (name, more, phases, learned) in [
        ("one_class", String::new(), &["stage1", "stage1"][..], &["memory"][..]),
        ("heads", heads.into(), &["stage1", "stage1", "stage2"], &["memory", "heads"]),
        ("joint", format!("{heads} {joint}"), &["joint", "joint"], &["memory", "heads"]),
        ("centroids", format!("{heads} --set memory.kind=kmeans"), &["stage2"], &["heads"]),
    ] {
        let more = format!("{COLOUR} --set train.backbone=frozen {more}");
        let output = run(&dir, &train(name, &format!("{more} --epochs 2")));
        let told = text(&output.stderr);
        assert!(told.contains("init: 100 of 100 tensors from weights.safetensors\n"), "{told}");
        let of = |name: &str| tensors(&dir.path().join(name));
        run(&dir, &train("start", &format!("{more} --epochs 0 --set stage2.steps=0")));
        let (before, after) = (of("start"), of(name));
        std::fs::remove_dir_all(dir.path().join("start")).unwrap();
        let encoder: Vec<_> =
            after.iter().filter(|(tensor, _)| loaded.contains_key(*tensor)).collect();
        assert_eq!(encoder.len(), 100, "{name}");
        for (tensor, values) in encoder {
            assert!(&loaded[tensor] == values, "{name}: {tensor} changed");
        }
        for (tensor, values) in &after {
            let group = tensor.split(|c: char| c.is_ascii_digit()).next().unwrap();
            // The inverse temperature is fixed; the last layer's bias may move by nothing.
            if learned.contains(&group)
                && !tensor.ends_with("beta")
                && !tensor.ends_with("outer.bias")
            {
                assert!(&before[tensor] != values, "{name}: {tensor} did not learn");
            }
        }
        let log = log(&dir.path().join(name));
        let logged: Vec<&str> = log.iter().map(|r| r["phase"].as_str().unwrap()).collect();
        assert_eq!(logged, phases, "{name}");
    }
}

#[test]
fn a_tuned_encoder_starts_from_the_file_and_a_resumed_run_does_not_need_it() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    write_weights(dir.path(), 7);
    let stem = "left as initialised: conv1.weight (7x7 in the file, 3x3 here)";
    let untrained = run(&dir, &train("start", &format!("{COLOUR} --epochs 0")));
    assert!(text(&untrained.stderr).contains(stem));
    let loaded = tensors_of(&dir.path().join("weights.safetensors"));
    let of = |name: &str| tensors(&dir.path().join(name));
    let (start, name) = (of("start"), "layer3.1.conv2.weight");
    assert!(start[name] == loaded[name]);
    assert!(start["conv1.weight"] != loaded["conv1.weight"]);
    // These settle on the images before the first step.
    assert!(start["layer3.1.bn2.running_mean"] != loaded["layer3.1.bn2.running_mean"]);

    let line = train("run", &format!("{COLOUR} --epochs 1"));
    run(&dir, &line);
    assert!(of("run")[name] != loaded[name], "the encoder did not learn");
    assert!(text(&run(&dir, "info run").stdout).contains(stem));
    let json: serde_json::Value =
        serde_json::from_slice(&run(&dir, "info run --json").stdout).unwrap();
    let origin = &json["progress"]["origin"];
    let file = std::fs::read(dir.path().join("weights.safetensors")).unwrap();
    assert_eq!(origin["blake3"], blake3::hash(&file).to_hex().as_str());
    assert_eq!((&origin["loaded"], &origin["tensors"]), (&99.into(), &100.into()));

    let before = bytes(&dir.path().join("run"));
    std::fs::remove_file(dir.path().join("weights.safetensors")).unwrap();
    for init in ["weights.safetensors", "elsewhere/weights.safetensors"] {
        run(&dir, &format!("{} --resume", line.replace("weights.safetensors", init)));
        assert!(bytes(&dir.path().join("run")) == before, "a resumed run ends otherwise");
    }
    run(&dir, &format!("{} --resume", line.replace("--init weights.safetensors", "")));
    let other = format!("{} --resume", line.replace("weights.safetensors", "other.safetensors"));
    let message = refused(&dir, &other);
    assert!(message.contains("started from weights.safetensors, not from other"), "{message}");
    let message = refused(&dir, &train("new", COLOUR));
    assert!(message.contains("weights.safetensors: "), "{message}");
}

#[test]
fn what_cannot_go_with_a_frozen_encoder_is_said() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    write_weights(dir.path(), 7);
    let frozen = "--set train.backbone=frozen --epochs 0";
    let message = refused(&dir, &train("a", &format!("{frozen} --set loss.head=mlp")));
    assert!(message.contains("loss.head = \"mlp\""), "{message}");
    let message = refused(&dir, &train("a", &format!("{frozen} {COLOUR}")));
    assert!(message.contains("the file fits network.stem=imagenet"), "{message}");
    let random = text(&run(&dir, &train("a", frozen)).stderr);
    assert!(random.contains("warning: train.backbone = \"frozen\" without --init"), "{random}");
}
