//! The rate of false alarms that verdicts promise, against the one that comes about on images which
//! neither training nor calibration has seen.

use anomem::report::{Judge, ScoreTable};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::training::{SMALL, has_adapter, run, surfaces};

const SPLITS: u64 = 12;
const CALIBRATION: usize = 150;

#[test]
fn the_promised_rate_of_false_alarms_comes_about() {
    if !has_adapter() {
        return;
    }
    let dir = surfaces();
    run(&dir, &format!("train --data data --out run --epochs 2 {SMALL}"));
    // The first 40 are those trained on; a greater set of the same seed only goes on.
    run(&dir, "synth --out more --size 32 --train-good 400 --test-good 0 --per-defect 0");
    run(&dir, "predict --model run --out judged more/train/good");
    let table = ScoreTable::read(dir.path().join("judged/scores.csv")).unwrap();
    let mut unseen: Vec<f32> = table.rows.iter().skip(40).map(|row| row.score).collect();
    assert_eq!(unseen.len(), 360);
    for rate in [0.1, 0.05, 0.01] {
        let mut achieved = Vec::new();
        for split in 0..SPLITS {
            unseen.shuffle(&mut ChaCha8Rng::seed_from_u64(split));
            let (calibration, fresh) = unseen.split_at(CALIBRATION);
            let judge = Judge::new(calibration, rate);
            let alarms = fresh.iter().filter(|score| judge.judge(**score).anomalous).count();
            achieved.push(alarms as f64 / fresh.len() as f64);
        }
        let mean = achieved.iter().sum::<f64>() / achieved.len() as f64;
        let worst = achieved.iter().copied().fold(0.0, f64::max);
        println!("asked {rate}: mean of {SPLITS} splits {mean:.4}, worst {worst:.4}");
        // Four standard deviations of the mean over splits, and the step of a rank below.
        let fresh = (unseen.len() - CALIBRATION) as f64;
        let spread = rate * (1.0 - rate) * (1.0 / CALIBRATION as f64 + 1.0 / fresh);
        let slack = 4.0 * (spread / SPLITS as f64).sqrt();
        assert!(mean <= rate + slack, "asked {rate}, got {mean}");
        assert!(mean >= rate - 1.0 / (1 + CALIBRATION) as f64 - slack, "asked {rate}, got {mean}");
    }
}
