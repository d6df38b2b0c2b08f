//! Trainings of another kind than the presets': centroids for a memory.

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
                  --set stage2.steps=12";
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
