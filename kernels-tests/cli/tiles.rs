//! Images larger than the network sees, in tiles; smoothed heat maps; event files for TensorBoard.

use crate::text;
use crate::training::{SMALL, folder_with, has_adapter, refused, run};

#[test]
fn large_images_are_learned_and_judged_in_tiles() {
    if !has_adapter() {
        return;
    }
    let dir = folder_with("--size 128 --train-good 30 --test-good 4 --per-defect 1");
    let train =
        |out: &str, more: &str| format!("train --data data --out {out} {SMALL} --epochs 1 {more}");
    // 128 pixels in tiles of 64 that share 16 or more: 3 to a side.
    let said = text(&run(&dir, &train("run", "--tile 64 --overlap 16")).stderr);
    assert!(said.contains("243 training tiles, 3 images to calibrate on"), "{said}");
    let told = text(&run(&dir, "info run").stdout);
    assert!(told.contains("16 x 16 x 1, from tiles of 64 x 64 that share 16 pixels"), "{told}");
    assert!(told.contains("3 held-out images"), "{told}");

    let page = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let figures = |line: &str| -> serde_json::Value {
        run(&dir, &format!("test --model run --data data --json m.json {line}"));
        serde_json::from_str(&page("m.json")).unwrap()
    };
    let plain = figures("--baseline");
    assert_eq!((&plain["n_normal"], &plain["n_anomalous"]), (&4.into(), &4.into()));
    for key in ["image_auroc", "pixel_auroc", "aupro"] {
        assert!(plain[key].as_f64().is_some_and(|v| (0.0..=1.0).contains(&v)), "{key}: {plain}");
    }
    assert!(page("run/report.html").contains("tiles of 64 × 64 pixels"));
    let smooth = figures("--smooth 1.5");
    assert_eq!(plain["image_auroc"], smooth["image_auroc"], "smoothing changes no image's score");
    assert!(plain["pixel_auroc"] != smooth["pixel_auroc"]);
    assert!(
        refused(&dir, "test --model run --data data --smooth=-1").contains("score.smooth = -1")
    );

    // A tile alone scores as it does within the image, of which it is the greatest or not.
    let photo = image::open(dir.path().join("data/test/good/000.png")).unwrap();
    std::fs::create_dir(dir.path().join("parts")).unwrap();
    for (index, (x, y)) in (0..9).map(|i| (i % 3 * 32, i / 3 * 32)).enumerate() {
        photo.crop_imm(x, y, 64, 64).save(dir.path().join(format!("parts/{index}.png"))).unwrap();
    }
    run(&dir, "predict --model run data/test/good/000.png --out whole --heatmaps");
    run(&dir, "predict --model run parts --out tiles");
    let scores = |name: &str| -> Vec<f32> {
        let table = page(name);
        let rows = table.lines().skip(1).map(|row| row.split(',').nth(1).unwrap());
        rows.map(|score| score.parse().unwrap()).collect()
    };
    let (whole, tiles) = (scores("whole/scores.csv"), scores("tiles/scores.csv"));
    assert_eq!((whole.len(), tiles.len()), (1, 9));
    let greatest = tiles.iter().copied().fold(f32::MIN, f32::max);
    assert!((whole[0] - greatest).abs() <= 1e-4 * greatest.abs().max(1.0), "{whole:?} {tiles:?}");
    let drawn = dir.path().join("whole/heatmaps/data/test/good/000.png.png");
    let drawn = image::open(&drawn).unwrap_or_else(|e| panic!("{}: {e}", drawn.display()));
    assert_eq!((drawn.width(), drawn.height()), (128, 128));

    assert!(refused(&dir, &train("x", "--overlap 8")).contains("--overlap: there are no tiles"));
    let wide = refused(&dir, &train("x", "--tile 64 --overlap 40"));
    assert!(
        wide.contains("image.overlap = 40: expected at most half of image.tile (64)"),
        "{wide}"
    );
    let told = refused(&dir, &train("x", "--tile 64 --anomalies data/test/hole"));
    assert!(told.contains("000.png: an anomaly to learn from that is cut into 9 tiles"), "{told}");
    // With a mask the tiles that show it are learned, and no other: where at least a quarter of a pixel of
    // the 16 that are seen of 64 is marked.
    let mask = image::open(dir.path().join("data/ground_truth/hole/000_mask.png")).unwrap();
    let mask = mask.to_luma8();
    let marked = |x: u32, y: u32| {
        (0..16).filter(|k| mask.get_pixel(x + k % 4, y + k / 4).0[0] > 127).count() >= 4
    };
    let shows = |i: u32| (0..256).any(|k| marked(i % 3 * 32 + k % 16 * 4, i / 3 * 32 + k / 16 * 4));
    let shown = (0..9).filter(|i| shows(*i));
    let masked = "--anomalies data/test/hole --masks data/ground_truth/hole --set stage2.steps=2";
    let said =
        text(&run(&dir, &train("masked", &format!("--tile 64 --overlap 16 {masked}"))).stderr);
    let told = format!("training tiles and {} labelled anomalies", shown.count());
    assert!(said.contains(&told), "{told}: {said}");
    // A model of tiles is taught like any other.
    let teach = "teach --model run --out taught --steps 2 --anomalies data/test/hole";
    assert!(refused(&dir, teach).contains("cut into 9 tiles"));
    run(&dir, &format!("{teach} --masks data/ground_truth/hole"));
    run(&dir, "test --model taught --data data");
}

#[test]
fn epochs_are_written_for_tensorboard() {
    if !has_adapter() {
        return;
    }
    let dir = folder_with("--size 32 --train-good 20 --test-good 2 --per-defect 1");
    let train = |out: &str, more: &str| {
        format!("train --data data --out {out} {SMALL} --epochs 3 --tensorboard events {more}")
    };
    run(&dir, &train("run", ""));
    let sizes = || {
        let files = std::fs::read_dir(dir.path().join("events")).unwrap();
        let mut sizes: Vec<u64> = files.map(|f| f.unwrap().metadata().unwrap().len()).collect();
        sizes.sort_unstable();
        sizes
    };
    let first = sizes();
    assert!(first.len() == 1 && first[0] > 3 * 100, "{first:?}");
    assert!(refused(&dir, &train("other", "")).contains("events: holds event files already"));
    // All epochs are done: another file, of nothing but its version.
    run(&dir, &train("run", "--resume"));
    assert_eq!(sizes(), [40, first[0]]);
}
