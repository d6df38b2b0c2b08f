//! From images to metrics, `scores.csv` and heat maps, with a score so simple that it needs no GPU:
//! how far mean and spread of brightness in each 6 x 6 cell are from those of good cells.
//!
//!     cargo run --example 04_images_and_heat_maps [OUT]

use std::path::Path;

use anomem::Result;
use anomem::data::synth::{Family, SynthOptions, generate};
use anomem::data::{DataSpec, Dataset, DatasetOptions, LoadOptions, Pixels, load, load_masks};
use anomem::report::heatmap::{Example, Range, ScoreMap, sheet, write_png};
use anomem::report::{Evaluator, ScoreRow, ScoreTable, Truth};

const CELL: usize = 6;

fn main() -> Result<()> {
    let out = std::env::args().nth(1).unwrap_or_else(|| "example-out".to_owned());
    run(Path::new(&out))
}

/// Writes a set to `out/set`, and its scores and heat maps beside it.
pub(crate) fn run(out: &Path) -> Result<()> {
    let options = SynthOptions {
        family: Family::Mixed,
        train_good: 30,
        test_good: 12,
        per_defect: 6,
        ..SynthOptions::default()
    };
    let quiet = |_, _| {};
    generate(&out.join("set"), &options, true, &quiet)?;
    let set = Dataset::open(&DataSpec::folder(out.join("set")), &DatasetOptions::default())?;
    let form = LoadOptions::new(96, 96, 1);
    let train = load(&set.train, &form, &quiet)?.pixels;
    let test = load(&set.test, &form, &quiet)?.pixels;
    let masks = load_masks(&set.test, &form)?;

    let good: Vec<[f32; 2]> = (0..train.n).flat_map(|i| cells(&train, i)).collect();
    let usual = [0, 1].map(|k| mean_and_deviation(good.iter().map(|cell| cell[k])));
    let distance = |cell: &[f32; 2]| {
        let far = |k: usize| ((cell[k] - usual[k][0]) / usual[k][1]).abs();
        far(0).max(far(1))
    };
    let side = form.height / CELL;
    let values: Vec<Vec<f32>> =
        (0..test.n).map(|i| cells(&test, i).iter().map(distance).collect()).collect();
    let maps: Vec<ScoreMap<'_>> =
        values.iter().map(|map| ScoreMap::new(side, side, map)).collect::<Result<_>>()?;

    let mut evaluator = Evaluator::new();
    let mut table = ScoreTable { stages: vec![1], rows: Vec::new() };
    for (i, sample) in set.test.iter().enumerate() {
        let kind = sample.anomalous.then_some(sample.kind.as_str());
        let score = values[i].iter().copied().fold(0.0, f32::max);
        evaluator.add(kind, score)?;
        let map = maps[i].resized(96, 96);
        evaluator.add_map(kind, ScoreMap::new(96, 96, &map)?, masks.pixels.image(i))?;
        let truth = Some(Truth { anomalous: sample.anomalous, kind: sample.kind.clone() });
        let (path, scales) = (sample.name.clone(), vec![score]);
        table.rows.push(ScoreRow { path, score, scales, judgement: None, truth });
    }
    table.write(out.join("scores.csv"))?;
    std::fs::write(out.join("metrics.txt"), evaluator.finish().to_string())
        .map_err(|error| anomem::Error::file(out, error))?;

    let images: Vec<_> =
        set.test.iter().map(|sample| sample.decode(form.max_pixels)).collect::<Result<_>>()?;
    let truths: Vec<_> =
        set.test.iter().map(|sample| sample.decode_mask(form.max_pixels)).collect::<Result<_>>()?;
    let examples: Vec<_> = (0..test.n)
        .map(|i| Example { image: &images[i], map: maps[i], mask: truths[i].as_ref() })
        .collect();
    write_png(out.join("sheet.png"), &sheet(&examples, Range::of(maps), 160, 2)?)
}

/// Mean and deviation of brightness in every cell of image `index`, row by row.
fn cells(pixels: &Pixels, index: usize) -> Vec<[f32; 2]> {
    let image = pixels.image(index);
    let cell = |y: usize, x: usize| {
        let pixel = |k: usize| image[(y + k / CELL) * pixels.width + x + k % CELL];
        mean_and_deviation((0..CELL * CELL).map(|k| f32::from(pixel(k))))
    };
    let starts = |side: usize| (0..side).step_by(CELL);
    starts(pixels.height).flat_map(|y| starts(pixels.width).map(move |x| cell(y, x))).collect()
}

fn mean_and_deviation(values: impl Iterator<Item = f32> + Clone) -> [f32; 2] {
    let mean = |values: &mut dyn Iterator<Item = f32>| {
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), v| (sum + v, count + 1.0));
        sum / count
    };
    let middle = mean(&mut values.clone());
    [middle, mean(&mut values.map(|v| (v - middle).powi(2))).sqrt()]
}
