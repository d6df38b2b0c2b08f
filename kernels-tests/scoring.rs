//! Scoring as a whole: what must hold of any network, here one of random weights.

use crate::harness::gpu;
use anomem::anomem::{Config, Model, Score, Scorer};
use anomem::data::ChannelStats;
use anomem::gpu::Gpu;

const HEIGHT: usize = 24;
const WIDTH: usize = 40;

/// Scores of two images by an untrained `tiny` network, in one batch.
fn scores(gpu: &Gpu, settings: &[&str], bytes: &[u8]) -> Vec<Score> {
    let mut config = Config::preset("tiny").unwrap();
    let size = format!("image.size=[{HEIGHT}, {WIDTH}]");
    for setting in [&[size.as_str(), "score.batch=2"], settings].concat() {
        config.set(setting).unwrap();
    }
    let stats = ChannelStats { mean: vec![0.5], std: vec![0.25] };
    let mut model = Model::declare(config, stats).unwrap();
    model.allocate(gpu).unwrap();
    let scorer = Scorer::new(gpu, &mut model, "scoring").unwrap();
    scorer.score(gpu, &model, bytes).unwrap()
}

/// Two images without any symmetry.
fn images() -> Vec<u8> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..2 * HEIGHT * WIDTH).map(|i| next() / 2 + (i % WIDTH) as u8 * 3).collect()
}

/// Every image `[H, W]` of `values` flipped.
fn flipped<T: Copy>(values: &[T], [rows, columns]: [bool; 2]) -> Vec<T> {
    let image = |values: &[T]| {
        let mut lines: Vec<Vec<T>> = values.chunks(WIDTH).map(<[T]>::to_vec).collect();
        if rows {
            lines.reverse();
        }
        if columns {
            lines.iter_mut().for_each(|line| line.reverse());
        }
        lines.concat()
    };
    values.chunks(HEIGHT * WIDTH).flat_map(image).collect()
}

const ROWS: [bool; 2] = [true, false];
const COLUMNS: [bool; 2] = [false, true];
const BOTH: [bool; 2] = [true, true];

#[test]
fn flips_are_averaged_where_they_belong() {
    let Some(gpu) = gpu(false) else { return };
    let bytes = images();
    let near = |a: f32, b: f32| (a - b).abs() <= 1e-4 * (1.0 + a.abs());
    // With heads, and by the deviation alone.
    for head in ["stage2.head=both", "stage2.head=none"] {
        for (flips, axes) in
            [("horizontal", &[COLUMNS][..]), ("both", &[COLUMNS, ROWS, BOTH]), ("none", &[])]
        {
            let of = |flips: &str, bytes: &[u8]| {
                scores(gpu, &[head, &format!("score.flips={flips}")], bytes)
            };
            let got = of(flips, &bytes);
            let mut want = of("none", &bytes);
            for one in axes {
                for (sum, more) in want.iter_mut().zip(of("none", &flipped(&bytes, *one))) {
                    assert!(!near(sum.score, more.score), "{head}: a flip changes nothing");
                    sum.score += more.score;
                    let heat = flipped(&more.heat, *one);
                    sum.heat.iter_mut().zip(heat).for_each(|(sum, more)| *sum += more);
                }
            }
            let share = 1.0 / (1 + axes.len()) as f32;
            for (got, want) in got.iter().zip(want) {
                let context = format!("{head}, {flips}: {} {}", got.score, want.score * share);
                assert!(near(got.score, want.score * share), "{context}");
                let mut heat = got.heat.iter().zip(want.heat);
                assert!(heat.all(|(got, want)| near(*got, want * share)), "{context}: heat");
            }
        }
    }
}

#[test]
fn an_image_alone_scores_the_same_bits() {
    let Some(gpu) = gpu(false) else { return };
    let bytes = images();
    let both = scores(gpu, &[], &bytes);
    let alone: Vec<Score> = bytes
        .chunks(HEIGHT * WIDTH)
        .flat_map(|image| scores(gpu, &["score.batch=1"], image))
        .collect();
    assert!(
        both == alone,
        "{} {}, {} {}",
        both[0].score,
        both[1].score,
        alone[0].score,
        alone[1].score
    );
}
