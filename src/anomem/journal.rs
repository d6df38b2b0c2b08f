//! `log.jsonl`: one line per epoch.

use super::step::Phase;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What happened in an epoch, or in some steps of a frozen stage 2; means over the steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// What was trained.
    #[serde(default)]
    pub phase: Phase,
    /// Epochs done, from 1.
    pub epoch: usize,
    /// Steps of the phase done.
    pub step: u64,
    /// Learning rate of the last step.
    pub lr: f64,
    /// What was minimised: eq. 7, the heads' hinge (eqs. 11-12), or both.
    pub loss: f64,
    /// Each scale's part.
    pub scales: Vec<ScaleRecord>,
    /// Norm of the whole gradient.
    pub grad_norm: f64,
    /// Steps that were skipped because a gradient was not finite.
    pub non_finite_steps: usize,
    /// Training images per second, each seen in two views, or in one without contrast.
    pub images_per_second: f64,
    /// Seconds taken.
    pub seconds: f64,
    /// Those in which the host prepared and submitted steps, without waiting for the adapter; under `--profile`, which
    /// waits for each step, all of them.
    #[serde(default)]
    pub host_seconds: f64,
}

impl EpochRecord {
    /// Every number of the record under its name, but the step: `train/loss`, `train/stage3/entropy`,
    /// or `heads/...` for a frozen stage 2.
    ///
    /// # Errors
    /// None in practice: a record that is no JSON.
    pub fn scalars(&self) -> Result<Vec<(String, f64)>> {
        let record =
            serde_json::to_value(self).map_err(|e| Error::Internal(format!("log: {e}")))?;
        let group = if self.phase == Phase::Stage2 { "heads" } else { "train" };
        let mut list = Vec::new();
        let mut add = |prefix: &str, part: &serde_json::Value, not: &str| {
            let numbers = part.as_object().into_iter().flatten();
            let numbers = numbers.filter(|(name, _)| name.as_str() != not);
            list.extend(
                numbers.filter_map(|(name, v)| Some((format!("{prefix}/{name}"), v.as_f64()?))),
            );
        };
        add(group, &record, "step");
        for (scale, part) in
            self.scales.iter().zip(record["scales"].as_array().into_iter().flatten())
        {
            add(&format!("{group}/stage{}", scale.stage), part, "stage");
        }
        Ok(list)
    }
}

/// One scale in an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaleRecord {
    /// The encoder's stage.
    pub stage: usize,
    /// Stage 1, where it took part.
    #[serde(flatten)]
    pub contrast: Option<ContrastRecord>,
    /// Double hinge of the image head, eqs. 11-12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_hinge: Option<f64>,
    /// Double hinge of the position head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_hinge: Option<f64>,
    /// The memory, where it was trained.
    #[serde(flatten)]
    pub memory: Option<MemoryRecord>,
}

/// Stage 1 at one scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContrastRecord {
    /// L_CM, eqs. 4-5.
    pub contrast: f64,
    /// The contrastive loss of a network that knows nothing.
    pub chance: f64,
    /// The contrastive loss of a network that tells positions apart but not images, where there is
    /// such a loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_chance: Option<f64>,
    /// L_V, eq. 6, where a memory was trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<f64>,
    /// Variance of the retrieved vectors, summed over their components, at the epoch's last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieved_variance: Option<f64>,
}

/// The memory of one scale; of normal images alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryRecord {
    /// Mean entropy of the retrieval weights, 1 = uniform.
    pub entropy: f64,
    /// Share of the prototypes that were the first of some query, of any image.
    pub used: f64,
    /// Inverse temperature.
    pub beta: f64,
    /// Prototypes that started anew at the epoch's end.
    #[serde(default)]
    pub revived: usize,
}

/// Epochs that the loss may pass the position code's in without a word.
const PASSING: usize = 2;
/// How near it counts as there. Measured: trainings that stay there do so within 0.003.
const NEAR: f64 = 0.01;

/// Plain words for a loss of scale `index` that stays where a mere code of the position leads to,
/// when the last of `records` is the first to show it.
///
/// Zero padding tells a network where in the image it looks. With negatives from all positions that
/// alone brings the loss down to ln(2B - 1), a plateau that some trainings never leave.
pub(super) fn position_plateau(records: &[EpochRecord], index: usize) -> Option<String> {
    let there = |r: &EpochRecord| {
        let of_stage1 = r.scales[index].contrast.as_ref();
        of_stage1.is_some_and(|s| s.position_chance.is_some_and(|c| (s.contrast - c).abs() < NEAR))
    };
    let staying = records.iter().rev().take_while(|r| there(r)).count();
    let last = &records.last()?.scales[index];
    let contrast = last.contrast.as_ref()?.contrast;
    (staying == PASSING + 1).then(|| {
        format!(
            "stage {} tells positions of an image apart, not images: its contrastive loss stays at \
             {:.2} = ln(2 * batch - 1), where a code of the position alone leads to; another seed, or \
             loss.negatives = \"per_position\", may get it away",
            last.stage, contrast
        )
    })
}

impl ScaleRecord {
    /// Plain words for a memory that no longer tells features apart.
    pub fn warning(&self) -> Option<String> {
        let stage = self.stage;
        let MemoryRecord { entropy, used, beta, .. } = self.memory.as_ref()?;
        if *entropy > 0.97 {
            Some(format!(
                "the memory of stage {stage} is dead: all prototypes are recalled alike (entropy \
                 {entropy:.3} of 1), so every feature is recalled as their mean; \
                 memory.beta = {beta:.3} is too low for these features"
            ))
        } else if *used < 0.015 {
            Some(format!(
                "the memory of stage {stage} is dead: {:.1} % of its prototypes are ever recalled \
                 (entropy {entropy:.3}); memory.beta = {beta:.3} may be too high for these \
                 features, or memory.normalise = \"none\" lets one long prototype win",
                100.0 * used
            ))
        } else if *entropy < 0.002 {
            Some(format!(
                "the memory of stage {stage} is dead: every feature recalls its single nearest \
                 prototype (entropy {entropy:.4} of 1), so nothing is associated; memory.beta = \
                 {beta:.3} is too high for these features"
            ))
        } else {
            None
        }
    }
}

/// The log of a run folder.
pub struct Journal(PathBuf);

impl Journal {
    /// The log at `path`, cut back to the first `epochs` epochs, which a resumed run keeps; a frozen
    /// stage 2 starts anew.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn open(path: &Path, epochs: usize) -> Result<Self> {
        let old = if epochs > 0 { Self::read(path)? } else { Vec::new() };
        let mut text = String::new();
        let kept = |r: &&EpochRecord| r.phase != Phase::Stage2 && r.epoch <= epochs;
        for record in old.iter().filter(kept) {
            text += &line(record)?;
        }
        crate::report::write_atomic(path, text.as_bytes())?;
        Ok(Self(path.to_path_buf()))
    }

    /// Appends an epoch.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&self, record: &EpochRecord) -> Result<()> {
        let line = line(record)?;
        let write = || OpenOptions::new().append(true).open(&self.0)?.write_all(line.as_bytes());
        write().map_err(|e| Error::file(&self.0, e))
    }

    /// All epochs of a log. A last line cut short by a killed run is left out.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(path: &Path) -> Result<Vec<EpochRecord>> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        Ok(text.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
    }
}

fn line(record: &EpochRecord) -> Result<String> {
    let text = serde_json::to_string(record);
    text.map(|t| t + "\n").map_err(|e| Error::Internal(format!("log: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(contrast: f64, entropy: f64, used: f64) -> ScaleRecord {
        ScaleRecord {
            stage: 3,
            contrast: Some(ContrastRecord {
                contrast,
                chance: 6.24,
                position_chance: Some(127_f64.ln()),
                variance: Some(0.05),
                retrieved_variance: Some(0.5),
            }),
            image_hinge: None,
            position_hinge: None,
            memory: Some(MemoryRecord { entropy, used, beta: 2.0, revived: 0 }),
        }
    }

    #[test]
    fn a_loss_that_stays_at_the_position_code_is_told_once() {
        let told = |contrasts: &[f64]| {
            let record = |contrast| EpochRecord {
                phase: Phase::Stage1,
                epoch: 1,
                step: 46,
                lr: 0.1,
                loss: contrast,
                scales: vec![scale(contrast, 0.5, 0.1)],
                grad_norm: 0.05,
                non_finite_steps: 0,
                images_per_second: 100.0,
                seconds: 20.0,
                host_seconds: 0.01,
            };
            let records: Vec<_> = contrasts.iter().map(|c| record(*c)).collect();
            (1..=records.len())
                .map(|n| position_plateau(&records[..n], 0).is_some())
                .collect::<Vec<_>>()
        };
        // CIFAR-10 dogs, two trainings: one stayed, one passed by.
        let stayed = told(&[5.189, 4.847, 4.846, 4.846, 4.846, 4.845]);
        assert_eq!(stayed, [false, false, false, true, false, false]);
        assert_eq!(told(&[5.151, 4.787, 4.682, 4.493]), [false; 4]);
        assert_eq!(told(&[5.15, 4.848, 4.84, 4.706, 4.6]), [false; 5]);
    }

    #[test]
    fn lines_say_only_what_took_part() {
        let mut record = scale(4.0, 0.3, 0.2);
        let text = serde_json::to_string(&record).unwrap();
        assert!(
            text.contains("\"contrast\":4.0,\"chance\":6.24") && !text.contains("hinge"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<ScaleRecord>(&text).unwrap(), record);
        (record.contrast, record.memory, record.image_hinge) = (None, None, Some(0.5));
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(text, r#"{"stage":3,"image_hinge":0.5}"#);
        assert_eq!(serde_json::from_str::<ScaleRecord>(&text).unwrap(), record);
    }

    #[test]
    fn scalars_name_every_number() {
        let record = EpochRecord {
            phase: Phase::Stage1,
            epoch: 2,
            step: 46,
            lr: 0.1,
            loss: 4.5,
            scales: vec![scale(4.0, 0.5, 0.1)],
            grad_norm: 0.05,
            non_finite_steps: 0,
            images_per_second: 100.0,
            seconds: 20.0,
            host_seconds: 0.01,
        };
        let list = record.scalars().unwrap();
        let of = |name: &str| list.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        // Eight of the epoch, five of stage 1, four of its memory.
        assert_eq!(list.len(), 8 + 5 + 4, "{list:?}");
        assert_eq!(of("train/loss"), Some(4.5));
        assert_eq!(of("train/epoch"), Some(2.0));
        assert_eq!(of("train/stage3/entropy"), Some(0.5));
        let heads = EpochRecord { phase: Phase::Stage2, ..record };
        assert!(heads.scalars().unwrap().iter().all(|(name, _)| name.starts_with("heads/")));
    }

    #[test]
    fn dead_memories_are_told_from_living_ones() {
        let record = |entropy, used| scale(4.0, entropy, used);
        // Measured on CIFAR-10: unit vectors with beta 2, raw features with beta 2, beta 16 at work.
        for (entropy, used) in [(1.0, 0.004), (0.0, 0.1), (0.3, 0.004)] {
            let warning = record(entropy, used).warning().unwrap_or_default();
            assert!(warning.contains("stage 3 is dead"), "{entropy} {used}: {warning}");
        }
        for (entropy, used) in [(0.27, 0.12), (0.05, 0.17), (0.9, 0.3), (0.01, 0.07)] {
            assert_eq!(record(entropy, used).warning(), None);
        }
    }
}
