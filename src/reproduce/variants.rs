//! The settings that the grids over one-vs-all vary.

use super::request::{Protocol, Request};
use crate::anomem::Stage2Training;
use crate::{Error, Result};

/// One set of settings.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variant {
    /// Its name in tables; empty where a protocol has one variant only.
    pub name: String,
    /// Assignments on top of the configuration.
    pub settings: Vec<String>,
    /// Curves of the figure that it is a point of, each with its x.
    pub points: Vec<(String, f64)>,
}

/// The x axis of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    pub label: &'static str,
    /// Whether equal steps are equal factors.
    pub log: bool,
}

/// Prototypes per scale, after Fig. 3.
const SLOTS: [f64; 6] = [32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// Shares of a map's positions, after Fig. 4.
const RATIOS: [f64; 5] = [0.1, 0.2, 0.3, 0.6, 1.0];
/// lambda of a scale by that of the one before it.
const WEIGHTS: [f64; 5] = [0.5, 1.0, 2.0, 4.0, 8.0];

/// The variants of a protocol, each once, and the axis of their figure.
///
/// # Errors
/// Values that the setting cannot take.
pub(super) fn variants(request: &Request) -> Result<(Vec<Variant>, Option<Axis>)> {
    let (memory, loss) = (&request.config.memory, &request.config.loss);
    let values = |own: &[f64]| {
        if request.values.is_empty() { own.to_vec() } else { request.values.clone() }
    };
    let mut found = match request.protocol {
        Protocol::MemorySize => {
            let values = values(&SLOTS);
            if let Some(value) = values.iter().find(|v| v.fract() != 0.0 || **v < 2.0) {
                return Err(Error::Usage(format!(
                    "--values {value}: expected whole numbers from 2"
                )));
            }
            let base: Vec<f64> = memory.slots.iter().map(|slots| *slots as f64).collect();
            per_scale("memory.slots", &memory.scales, &base, &values, |v| format!("{v}"))
        }
        Protocol::SamplingRatio => {
            let (key, base) = ("loss.sampling_ratio", &loss.sampling_ratio);
            per_scale(key, &memory.scales, base, &values(&RATIOS), |v| format!("{v:?}"))
        }
        Protocol::ScaleWeights => {
            let weighted = |ratio: &f64| {
                let weights =
                    (0..memory.scales.len()).map(|k| format!("{:?}", ratio.powi(k as i32)));
                let list = weights.collect::<Vec<_>>().join(", ");
                Variant {
                    settings: vec![format!("loss.scale_weights=[{list}]")],
                    name: list,
                    points: vec![("one-vs-all".into(), *ratio)],
                }
            };
            values(&WEIGHTS).iter().map(weighted).collect()
        }
        Protocol::Ablation | Protocol::LinearEval => ablation(request)?,
        Protocol::OneVsAll | Protocol::Ood | Protocol::CrossType => {
            vec![Variant { name: String::new(), settings: Vec::new(), points: Vec::new() }]
        }
    };
    merge(&mut found);
    for variant in &found {
        let mut config = request.config.clone();
        variant.settings.iter().try_for_each(|assignment| config.set(assignment))?;
        config.validate()?;
    }
    let axis = match request.protocol {
        Protocol::MemorySize => Some(Axis { label: "prototypes of the scale", log: true }),
        Protocol::SamplingRatio => {
            Some(Axis { label: "share of the scale's positions", log: false })
        }
        Protocol::ScaleWeights => {
            Some(Axis { label: "weight of a scale by that of the one before it", log: true })
        }
        _ => None,
    };
    Ok((found, axis))
}

/// Each scale's entry of the list `key` in turn takes each of `values`, the others stay at `base`.
fn per_scale(
    key: &str,
    stages: &[usize],
    base: &[f64],
    values: &[f64],
    write: impl Fn(f64) -> String,
) -> Vec<Variant> {
    let of = |scale: usize, value: f64| {
        let entries = base.iter().enumerate();
        let entries = entries.map(|(k, own)| write(if k == scale { value } else { *own }));
        let list = entries.collect::<Vec<_>>().join(", ");
        Variant {
            settings: vec![format!("{key}=[{list}]")],
            name: list,
            points: vec![(format!("stage {}", stages[scale]), value)],
        }
    };
    (0..base.len())
        .flat_map(|k| values.iter().map(move |v| (k, *v)))
        .map(|(k, v)| of(k, v))
        .collect()
}

/// Table 4: one scale and all, first with centroids in the memory's place, then with a learned memory.
///
/// Centroids are found after stage 1, so that no row may train stage 2 together with it: rows differ in the
/// memory and the scales alone. A linear evaluation, which scores nothing, trains on every image.
fn ablation(request: &Request) -> Result<Vec<Variant>> {
    let (memory, loss) = (&request.config.memory, &request.config.loss);
    let [.., stage] = memory.scales[..] else { return Ok(Vec::new()) };
    let scales = memory.scales.len();
    if scales < 2 {
        return Err(Error::Usage(format!(
            "memory.scales = {:?}: {} leaves scales out, expected two or more",
            memory.scales, request.protocol
        )));
    }
    let last = scales - 1;
    let mut one = vec![
        format!("memory.scales=[{stage}]"),
        format!("memory.slots=[{}]", memory.slots[last]),
        format!("loss.sampling_ratio=[{:?}]", loss.sampling_ratio[last]),
        "loss.scale_weights=[1.0]".into(),
    ];
    if let Some(cells) = request.config.stage2.grid.get(last) {
        one.push(format!("stage2.grid=[{cells}]"));
    }
    let all = if scales == 2 { "two scales".into() } else { format!("{scales} scales") };
    let mut common = Vec::new();
    if request.protocol == Protocol::LinearEval {
        common.push("score.held_out=0.0".to_owned());
    }
    if request.config.stage2.training == Stage2Training::Joint {
        common.push("stage2.training=frozen".to_owned());
    }
    let centroids = ["memory.kind=kmeans", "memory.revive=false"].map(str::to_owned).to_vec();
    let learned = Vec::new();
    let mut rows = Vec::new();
    for (memory, settings) in [("no memory, ", centroids), ("", learned)] {
        for (name, scales) in [("one scale", &one), (&all, &Vec::new())] {
            let settings = [scales, &settings, &common].into_iter().flatten().cloned().collect();
            let name = format!("{memory}{name}");
            rows.push(Variant { name, settings, points: Vec::new() });
        }
    }
    Ok(rows)
}

/// Makes variants of the same settings one, so that each is trained once.
fn merge(variants: &mut Vec<Variant>) {
    let mut merged: Vec<Variant> = Vec::new();
    for variant in variants.drain(..) {
        match merged.iter_mut().find(|known| known.settings == variant.settings) {
            Some(known) => {
                let new = variant.points.into_iter().filter(|p| !known.points.contains(p));
                let new: Vec<_> = new.collect();
                known.points.extend(new);
            }
            None => merged.push(variant),
        }
    }
    *variants = merged;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::plan::testing::request;

    #[test]
    fn memory_sizes_share_the_configured_one() {
        let mut request = request(Protocol::MemorySize);
        request.config.set("memory.slots=[64, 32]").unwrap();
        request.values = vec![16.0, 32.0, 64.0];
        let (variants, axis) = variants(&request).unwrap();
        let names: Vec<&str> = variants.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["16, 32", "32, 32", "64, 32", "64, 16", "64, 64"]);
        assert_eq!(variants[2].settings, ["memory.slots=[64, 32]"]);
        assert_eq!(variants[2].points, [("stage 3".into(), 64.0), ("stage 4".into(), 32.0)]);
        assert!(axis.unwrap().log);
        for values in [vec![16.5], vec![-4.0], vec![f64::NAN], vec![1e9]] {
            request.values = values;
            assert!(super::variants(&request).is_err());
        }
    }

    #[test]
    fn ratios_weights_and_ablation() {
        let settings = |request: &Request| -> Vec<Vec<String>> {
            variants(request).unwrap().0.into_iter().map(|v| v.settings).collect()
        };
        let mut ratios = request(Protocol::SamplingRatio);
        ratios.values = vec![0.5];
        let expected =
            ["[0.5, 1.0]", "[0.3, 0.5]"].map(|list| vec![format!("loss.sampling_ratio={list}")]);
        assert_eq!(settings(&ratios), expected);
        ratios.values = vec![1.5];
        assert!(variants(&ratios).unwrap_err().to_string().contains("1.5"));

        let mut weights = request(Protocol::ScaleWeights);
        weights.values = vec![4.0];
        assert_eq!(settings(&weights), [["loss.scale_weights=[1.0, 4.0]"]]);

        let mut rows = request(Protocol::Ablation);
        let names: Vec<_> = variants(&rows).unwrap().0.into_iter().map(|v| v.name).collect();
        let learned = ["one scale", "two scales"];
        assert_eq!(names[..2], learned.map(|name| format!("no memory, {name}")));
        assert_eq!(names[2..], learned);
        let [none_one, none_two, one, two] = &settings(&rows)[..] else { panic!("four rows") };
        assert_eq!(one[..2], ["memory.scales=[4]", "memory.slots=[16]"]);
        assert!(two.is_empty());
        assert_eq!(*none_two, ["memory.kind=kmeans", "memory.revive=false"]);
        assert_eq!(*none_one, [&one[..], none_two].concat());
        // Rows with heads trained along stage 1 beside rows without would differ in more than the memory.
        let mut joint = rows.clone();
        joint.config.set("stage2.training=joint").unwrap();
        let all = settings(&joint);
        assert!(all.iter().all(|of| of.last().unwrap() == "stage2.training=frozen"), "{all:?}");
        let one = one.clone();
        one.iter().for_each(|assignment| rows.config.set(assignment).unwrap());
        assert!(variants(&rows).unwrap_err().to_string().contains("memory.scales = [4]"));
    }
}
