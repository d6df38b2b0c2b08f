//! Trainings of another kind than the presets': centroids for a memory, Barlow Twins for the loss.

use std::time::{Duration, Instant};

use crate::text;
use crate::training::{bytes, has_adapter, log, refused, run, started, surfaces, train};

#[test]
fn centroids_are_a_memory_after_the_training() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let of = |name: &str| dir.path().join(name);
    let kmeans = "--epochs 3 --set memory.kind=kmeans --set anomalies.pseudo=damage \
                  --set stage2.training=frozen --set stage2.steps=12";
    let output = run(&dir, &train("a", kmeans));
    assert!(text(&output.stderr).contains("centroids of"), "{}", text(&output.stderr));
    run(&dir, &train("b", kmeans));
    assert!(bytes(&of("a")) == bytes(&of("b")), "two runs of one seed differ");
    for record in log(&of("a")) {
        for scale in record["scales"].as_array().unwrap() {
            let stage2 = record["phase"] == "stage2";
            assert_eq!(scale.get("contrast").is_some(), !stage2, "{scale}");
            for absent in ["variance", "retrieved_variance", "entropy", "used"] {
                assert!(scale.get(absent).is_none(), "{scale}");
            }
        }
    }
    // Killed in stage 2 or shortly before, after the first state with centroids or the last without.
    let killed = train("killed", kmeans);
    let mut child = started(&dir, &killed);
    let begin = Instant::now();
    while !of("killed").join("training.safetensors").exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no state was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    run(&dir, &format!("{killed} --resume"));
    assert!(bytes(&of("a")) == bytes(&of("killed")), "a resumed run ends otherwise");

    let output = run(&dir, "test --model a --data data");
    assert!(text(&output.stdout).contains("pixel AUROC"));
    let joint = train("joint", "--set memory.kind=kmeans --set stage2.training=joint");
    assert!(refused(&dir, &joint).contains("memory.kind = \"kmeans\""));
}

#[test]
fn barlow_twins_trains() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let of = |name: &str| dir.path().join(name);
    let barlow = "--epochs 8 --set loss.kind=barlow_twins --set train.lr=0.01";
    run(&dir, &train("a", barlow));
    let losses: Vec<f64> =
        log(&of("a")).iter().map(|r| r["scales"][1]["contrast"].as_f64().unwrap()).collect();
    // Stage 4 of a network of an eighth of the width: 64 components.
    assert_eq!(log(&of("a"))[0]["scales"][1]["chance"], 64.0);
    assert!(losses[7] < losses[0], "{losses:?}");
    assert!(log(&of("a")).iter().all(|r| r["non_finite_steps"] == 0));
    // Positions that are matched leave out some pairs; with centroids there is no memory in the way.
    let more = "--set loss.positions=matched --set memory.kind=kmeans --set stage2.training=frozen";
    run(&dir, &train("b", &format!("{barlow} {more}")));
    run(&dir, &train("c", &format!("{barlow} {more}")));
    assert!(bytes(&of("b")) == bytes(&of("c")), "two runs of one seed differ");
    assert!(log(&of("b"))[7]["scales"][1]["contrast"].as_f64().unwrap() < 64.0);
}

#[test]
fn memories_learn_at_the_fixed_point_too() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    let of = |name: &str| dir.path().join(name);
    let implicit = "--epochs 3 --set memory.gradient=implicit";
    run(&dir, &train("a", implicit));
    run(&dir, &train("b", implicit));
    run(&dir, &train("unrolled", "--epochs 3"));
    assert!(bytes(&of("a")) == bytes(&of("b")), "two runs of one seed differ");
    assert!(bytes(&of("a")) != bytes(&of("unrolled")), "the setting changed nothing");
    assert!(log(&of("a")).iter().all(|r| r["non_finite_steps"] == 0));
    run(&dir, "test --model a --data data");
}
