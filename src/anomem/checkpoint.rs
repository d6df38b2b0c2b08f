//! Models and training states as safetensors.
//!
//! `model.safetensors` holds what scoring needs: weights and running statistics under torchvision's
//! names and layouts (convolutions `[O, I, KH, KW]`), prototypes, inverse temperatures.
//! `training.safetensors` holds all that and the optimiser's velocities, so that one file, replaced
//! in one step, is a state from which training goes on. The header carries one entry, `anomem`: the
//! [`Facts`] as JSON.

use super::config::Config;
use super::model::{Calibration, Model};
use super::pretrained::Origin;
use crate::data::ChannelStats;
use crate::gpu::Gpu;
use crate::nn::Kind;
use crate::report::write_atomic;
use crate::tensor::VarId;
use crate::{Error, Result};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// Version of the layout described above.
const FORMAT: u32 = 1;

/// What a checkpoint says beside its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Version of the file's layout.
    pub format: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// The whole configuration, TOML.
    pub config: String,
    /// Mean of the training images' channels, pixel range 0 to 1.
    pub channel_mean: Vec<f64>,
    /// Standard deviation of the training images' channels.
    pub channel_std: Vec<f64>,
    /// One per scale; empty before the end of training.
    pub calibration: Vec<Calibration>,
    /// Heat at which a heat map's colours start and end.
    pub heat_range: [f32; 2],
    /// Scores of normal images that were not trained on; see [`crate::report::Judge`].
    #[serde(default)]
    pub normal_scores: Vec<f32>,
    /// AUROC on self-made anomalies, see [`Model::made_auroc`].
    #[serde(default)]
    pub made_auroc: Option<f64>,
    /// Where it stands.
    pub progress: TrainingProgress,
}

/// Where a training stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingProgress {
    /// Epochs done.
    pub epoch: usize,
    /// Optimiser steps done.
    pub step: u64,
    /// Whether a frozen stage 2 is done.
    #[serde(default)]
    pub stage2: bool,
    /// The adapter that computed it, and its driver.
    pub adapter: String,
    /// Fingerprint of the training images.
    pub data: String,
    /// That of the normal ones and of those held out. Empty where the heads were taught with others than the encoder.
    #[serde(default)]
    pub normals: String,
    /// The set as it was named.
    pub data_spec: String,
    /// Where the encoder's first weights came from, unless from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Which tensors to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// What scoring needs.
    Model,
    /// And what training needs to go on.
    Training,
    /// Encoder and memories, and of the heads those that the file holds.
    Known,
}

/// A tensor of a checkpoint.
pub(super) struct Entry {
    pub name: String,
    pub kind: Kind,
    pub variable: VarId,
}

impl Entry {
    /// The shape in files of what is `shape` on the GPU.
    pub(super) fn file_shape(&self, shape: &[usize]) -> Vec<usize> {
        match self.kind {
            Kind::Plain => shape.to_vec(),
            Kind::Convolution => vec![shape[3], shape[2], shape[0], shape[1]],
        }
    }

    /// The values of a file as they lie on the GPU, in the shape `shape`.
    pub(super) fn as_on_gpu(&self, values: Vec<f32>, shape: &[usize]) -> Vec<f32> {
        match self.kind {
            Kind::Plain => values,
            Kind::Convolution => from_file_order(&values, shape),
        }
    }
}

pub(super) fn entries(model: &Model, content: Content) -> Vec<Entry> {
    let entry = |name: &str, kind, variable| Entry { name: name.to_string(), kind, variable };
    let mut list = Vec::new();
    for p in &model.module.parameters {
        list.push(entry(&p.name, p.kind, p.value));
        if content == Content::Training {
            list.push(entry(&format!("{}.velocity", p.name), p.kind, p.velocity));
        }
    }
    for s in &model.module.statistics {
        list.push(entry(&s.name, Kind::Plain, s.running));
    }
    let loss_scale = model.loss_scale.filter(|_| content == Content::Training);
    list.extend(loss_scale.map(|state| entry("loss_scale", Kind::Plain, state)));
    for s in &model.scales {
        let name = model.store.variable(s.beta).name.clone();
        list.push(entry(&name, Kind::Plain, s.beta));
    }
    list
}

/// Writes a checkpoint; a reader never meets half of one.
///
/// # Errors
/// A fault of the GPU, or a file that cannot be written.
pub(super) fn save(
    path: &Path,
    gpu: &Gpu,
    model: &Model,
    progress: &TrainingProgress,
    content: Content,
) -> Result<()> {
    let facts = Facts {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_string(),
        config: model.config.to_toml()?,
        channel_mean: model.channel_stats.mean.clone(),
        channel_std: model.channel_stats.std.clone(),
        calibration: model.calibration.clone(),
        heat_range: model.heat_range,
        normal_scores: model.normal_scores.clone(),
        made_auroc: model.made_auroc,
        progress: progress.clone(),
    };
    let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    for e in entries(model, content) {
        let values: Vec<f32> = model.store.download(gpu, e.variable)?;
        let shape = &model.store.variable(e.variable).shape;
        let values = match e.kind {
            Kind::Plain => values,
            Kind::Convolution => to_file_order(&values, shape),
        };
        tensors.push((e.name.clone(), e.file_shape(shape), values));
    }
    let internal = |e: &dyn std::fmt::Display| Error::Internal(format!("checkpoint: {e}"));
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, shape, values)| {
            let bytes = bytemuck::cast_slice(values);
            Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?))
        })
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(|e| internal(&e))?;
    let facts = serde_json::to_string(&facts).map_err(|e| internal(&e))?;
    // One entry only: the crate writes a map, and several would come in any order.
    let header = HashMap::from([("anomem".to_string(), facts)]);
    let bytes = safetensors::serialize(views, Some(header)).map_err(|e| internal(&e))?;
    write_atomic(path, &bytes)
}

/// `[KH, KW, I, O]` to `[O, I, KH, KW]`.
fn to_file_order(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let (taps, input, output) = (shape[0] * shape[1], shape[2], shape[3]);
    let mut out = Vec::with_capacity(values.len());
    for o in 0..output {
        for i in 0..input {
            out.extend((0..taps).map(|tap| values[(tap * input + i) * output + o]));
        }
    }
    out
}

/// `[O, I, KH, KW]` to the `[KH, KW, I, O]` of `shape`.
fn from_file_order(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let (taps, input, output) = (shape[0] * shape[1], shape[2], shape[3]);
    let mut out = Vec::with_capacity(values.len());
    for tap in 0..taps {
        for i in 0..input {
            out.extend((0..output).map(|o| values[(o * input + i) * taps + tap]));
        }
    }
    out
}

/// A checkpoint in memory.
pub struct Checkpoint {
    bytes: Vec<u8>,
    path: std::path::PathBuf,
    /// What it says of itself.
    pub facts: Facts,
}

impl Checkpoint {
    /// Reads a file and its facts.
    ///
    /// # Errors
    /// A file that cannot be read, is no safetensors file, was not written by this program, or by a
    /// later version of it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        let (_, header) = SafeTensors::read_metadata(&bytes)
            .map_err(|e| Error::file(path, format!("not a safetensors file: {e}")))?;
        let facts =
            header.metadata().as_ref().and_then(|m| m.get("anomem")).ok_or_else(|| {
                Error::file(path, "not a model of this program: no `anomem` entry")
            })?;
        let facts: Facts = serde_json::from_str(facts)
            .map_err(|e| Error::file(path, format!("its `anomem` entry cannot be read: {e}")))?;
        if facts.format > FORMAT {
            let message = format!("format {}, this program reads up to {FORMAT}", facts.format);
            return Err(Error::file(path, message));
        }
        Ok(Self { bytes, path: path.to_path_buf(), facts })
    }

    /// The configuration it was made with.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn config(&self) -> Result<Config> {
        Config::from_toml(&self.facts.config).map_err(|e| Error::file(&self.path, e))
    }

    /// Mean and deviation of the training images' channels.
    #[must_use]
    pub fn channel_stats(&self) -> ChannelStats {
        ChannelStats { mean: self.facts.channel_mean.clone(), std: self.facts.channel_std.clone() }
    }

    /// The model for scoring.
    ///
    /// # Errors
    /// A configuration that cannot be used, those of [`Self::restore`], no memory.
    pub fn load(&self, gpu: &Gpu) -> Result<Model> {
        let mut model = self.declare()?;
        // Without initial values: the file has all.
        model.store.allocate(gpu)?;
        self.restore(gpu, &model, Content::Model)?;
        Ok(model)
    }

    /// Declares the model that fits this checkpoint; [`Self::restore`] fills it.
    ///
    /// # Errors
    /// A configuration that cannot be used.
    pub fn declare(&self) -> Result<Model> {
        let mut model = Model::declare(self.config()?, self.channel_stats())?;
        model.calibration.clone_from(&self.facts.calibration);
        model.heat_range = self.facts.heat_range;
        model.normal_scores.clone_from(&self.facts.normal_scores);
        model.made_auroc = self.facts.made_auroc;
        Ok(model)
    }

    /// Writes the tensors into an allocated model.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape or type, by name.
    pub fn restore(&self, gpu: &Gpu, model: &Model, content: Content) -> Result<()> {
        let wrong = |message: String| Error::file(&self.path, message);
        let tensors = SafeTensors::deserialize(&self.bytes).map_err(|e| wrong(e.to_string()))?;
        for e in entries(model, content) {
            let shape = &model.store.variable(e.variable).shape;
            let expected = e.file_shape(shape);
            let view = match tensors.tensor(&e.name) {
                Ok(view) => view,
                Err(_) if content == Content::Known && e.name.starts_with("heads") => continue,
                Err(_) => return Err(wrong(format!("tensor {} is missing", e.name))),
            };
            if view.shape() != expected || view.dtype() != Dtype::F32 {
                let (found, dtype) = (view.shape(), view.dtype());
                return Err(wrong(format!(
                    "tensor {} is {dtype:?} {found:?}, expected F32 {expected:?}",
                    e.name
                )));
            }
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            model.store.upload(gpu, e.variable, &e.as_on_gpu(values, shape))?;
        }
        Ok(())
    }

    /// Names, types and shapes of all tensors, by name.
    ///
    /// # Errors
    /// A damaged file.
    pub fn tensors(&self) -> Result<Vec<(String, String, Vec<usize>)>> {
        let tensors =
            SafeTensors::deserialize(&self.bytes).map_err(|e| Error::file(&self.path, e))?;
        let mut list: Vec<_> = tensors
            .iter()
            .map(|(name, t)| (name.to_string(), format!("{:?}", t.dtype()), t.shape().to_vec()))
            .collect();
        list.sort();
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_order_is_torchvisions_and_back() {
        let shape = [2, 3, 4, 5];
        let values: Vec<f32> = (0..120).map(|v| v as f32).collect();
        let file = to_file_order(&values, &shape);
        // [O, I, KH, KW] at (4, 2, 1, 0) is [KH, KW, I, O] at (1, 0, 2, 4).
        let at_file = ((4 * 4 + 2) * 2 + 1) * 3;
        let at_gpu = (3 * 4 + 2) * 5 + 4;
        assert_eq!(file[at_file], values[at_gpu]);
        assert_eq!(from_file_order(&file, &shape), values);
    }
}
