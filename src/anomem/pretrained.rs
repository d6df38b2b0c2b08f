//! Weights of a ResNet that was trained elsewhere, for the encoder to start from.

use super::checkpoint::{Content, Entry, entries};
use super::config::{Backbone, BackboneTraining, Config, Stem};
use super::model::Model;
use crate::nn::Initial;
use crate::{Error, Result};
use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};

/// Where an encoder's first weights came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the file, without its folder.
    pub file: String,
    /// BLAKE3 of the file's bytes, hexadecimal.
    pub blake3: String,
    /// Tensors of the encoder that start from the file.
    pub loaded: usize,
    /// Tensors of the encoder.
    pub tensors: usize,
    /// What became of tensors that do not start as they are in the file.
    pub notes: Vec<String>,
}

impl Origin {
    /// Whether it has the name of the file at `path`.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        self.file == file_name(path)
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} tensors from {}", self.loaded, self.tensors, self.file)?;
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

/// A safetensors file with the weights of torchvision's `resnet18`, `resnet34` or `resnet50`, or of timm's
/// networks of the same structure and names; F32, F16 or BF16. The classifier (`fc`) and stages after the last
/// memory scale are left out.
///
/// They fit `network.stem = "imagenet"` and `network.width = 1`; models of this program fit too.
///
/// **Normalisation.** Those networks learned on pixels minus ImageNet's mean (0.485, 0.456, 0.406) over its deviation
/// (0.229, 0.224, 0.225). Here every image has mean 0 and deviation 1 over all its channels
/// (`image.standardise = "per_image"`), or the training images' channels have (`"none"`): values of the same
/// range, but another brightness, contrast and tint. A tuned encoder makes up for it, since the running statistics
/// settle on the images before the first step. A frozen one does not: it sees every image in ImageNet's mean brightness
/// and contrast, and with `"none"` without the set's tint.
pub struct Pretrained {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Pretrained {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// A file that cannot be read or is no safetensors file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, e))?;
        let file = Self { path: path.to_path_buf(), bytes };
        file.tensors()?;
        Ok(file)
    }

    fn tensors(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| {
            let how = "safetensors.torch.save_file(model.state_dict(), FILE)";
            self.wrong(format!("not a safetensors file ({e}); expected one as {how} writes it"))
        })
    }

    fn wrong(&self, message: String) -> Error {
        Error::file(&self.path, message)
    }

    /// Lets the encoder of `model`, which is not [allocated](Model::allocate) yet, start from these weights.
    ///
    /// A first convolution of another size stays as it is, unless the encoder is frozen; for grey images it becomes the
    /// sum over its three channels, which answers to a grey image as the original does to the same in three channels.
    ///
    /// # Errors
    /// Tensors of the encoder that the file lacks or has in another shape or type, weights that are not
    /// finite, or tensors for which the encoder has no place, each by name.
    pub fn give_to(&self, model: &mut Model) -> Result<Origin> {
        let tensors = self.tensors()?;
        let encoder: Vec<Entry> = entries(model, Content::Model)
            .into_iter()
            .filter(|e| stage_of(&e.name).is_some())
            .collect();
        self.check_names(&tensors, &encoder, &model.config)?;
        let (mut loaded, mut notes) = (0, Vec::new());
        for e in &encoder {
            let shape = model.store.variable(e.variable).shape.clone();
            let (values, note) =
                self.fitted(&tensors, &e.name, &e.file_shape(&shape), &model.config)?;
            notes.extend(note);
            if let Some(values) = values {
                let values = e.as_on_gpu(values, &shape);
                model.module.start_from(e.variable, Initial::Values(values))?;
                loaded += 1;
            }
        }
        Ok(Origin {
            file: file_name(&self.path),
            blake3: blake3::hash(&self.bytes).to_hex().to_string(),
            loaded,
            tensors: encoder.len(),
            notes,
        })
    }

    /// The values that tensor `name` of shape `expected` starts from, none where it stays as initialised, and
    /// what there is to say of it.
    fn fitted(
        &self,
        tensors: &SafeTensors<'_>,
        name: &str,
        expected: &[usize],
        config: &Config,
    ) -> Result<(Option<Vec<f32>>, Option<String>)> {
        let view = tensors.tensor(name).map_err(|e| self.wrong(e.to_string()))?;
        let wrong = |what: String| self.wrong(format!("tensor {name} {what}"));
        let values = values_of(&view)
            .ok_or_else(|| wrong(format!("is {:?}, expected F32, F16 or BF16", view.dtype())))?;
        if values.iter().any(|v| !v.is_finite()) {
            return Err(wrong("holds values that are not finite".into()));
        }
        if view.shape() == expected {
            return Ok((Some(values), None));
        }
        if let ("conv1.weight", &[o, i, h, w], &[to, ti, th, tw]) = (name, view.shape(), expected)
            && o == to
        {
            if [h, w] != [th, tw] {
                let sizes = format!("{h}x{w} in the file, {th}x{tw} here");
                if config.train.backbone == BackboneTraining::Frozen {
                    let advice = advice(tensors, config);
                    return Err(wrong(format!(
                        "({sizes}) would stay random with train.backbone = \"frozen\"{advice}"
                    )));
                }
                return Ok((None, Some(format!("left as initialised: {name} ({sizes})"))));
            }
            if [i, ti] == [3, 1] {
                let note = format!("{name} summed over its 3 channels for grey images");
                return Ok((Some(sum_of_channels(&values, h * w)), Some(note)));
            }
        }
        let advice = advice(tensors, config);
        Err(wrong(format!("is {:?}, expected {expected:?}{advice}", view.shape())))
    }

    /// Refuses a file that lacks tensors of the encoder, or has more in one of its stages.
    fn check_names(
        &self,
        tensors: &SafeTensors<'_>,
        encoder: &[Entry],
        config: &Config,
    ) -> Result<()> {
        let last = encoder.iter().filter_map(|e| stage_of(&e.name)).max().unwrap_or(0);
        let is_ours = |name: &str| encoder.iter().any(|e| e.name == name);
        let missing: Vec<&str> = encoder
            .iter()
            .map(|e| e.name.as_str())
            .filter(|name| tensors.tensor(name).is_err())
            .collect();
        let mut more: Vec<&str> = tensors
            .names()
            .into_iter()
            .filter(|name| stage_of(name).is_some_and(|stage| stage <= last) && !is_ours(name))
            .collect();
        more.sort_unstable();
        for (names, what) in
            [(missing, "of the encoder are missing"), (more, "have no place in the encoder")]
        {
            if !names.is_empty() {
                let first = names[..names.len().min(3)].join(", ");
                let rest = if names.len() > 3 { ", ..." } else { "" };
                return Err(self.wrong(format!(
                    "{} tensors {what}: {first}{rest}{}",
                    names.len(),
                    advice(tensors, config)
                )));
            }
        }
        Ok(())
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The stage that a tensor of torchvision's name belongs to, 0 for the stem; this program's encoder has
/// the same names. None for what is no part of it: classifiers, memories, heads, PyTorch's counts of batches.
fn stage_of(name: &str) -> Option<usize> {
    let (module, tensor) = name.split_once('.')?;
    match module {
        _ if tensor.ends_with("num_batches_tracked") => None,
        "conv1" | "bn1" => Some(0),
        _ => module.strip_prefix("layer")?.parse().ok(),
    }
}

/// The settings that the file asks for and `config` has otherwise, as far as its tensors show them.
fn advice(tensors: &SafeTensors<'_>, config: &Config) -> String {
    let has = |name: &str| tensors.tensor(name).is_ok();
    let stem = tensors.tensor("conv1.weight").map(|t| t.shape().to_vec()).unwrap_or_default();
    let &[output, channels, kernel, _] = &stem[..] else {
        return "; expected torchvision's names: conv1.weight, layer1.0.conv1.weight, ...".into();
    };
    let (backbone, word) = match (has("layer1.0.conv3.weight"), has("layer1.2.conv1.weight")) {
        (true, _) => (Backbone::Resnet50, "resnet50"),
        (false, true) => (Backbone::Resnet34, "resnet34"),
        (false, false) => (Backbone::Resnet18, "resnet18"),
    };
    let width = output as f64 / 64.0;
    let is_imagenet = config.network.stem == Stem::Imagenet;
    let wanted: Vec<String> = [
        (backbone != config.network.backbone).then(|| format!("network.backbone={word}")),
        (width != config.network.width).then(|| format!("network.width={width}")),
        (kernel == 7 && !is_imagenet).then(|| "network.stem=imagenet".into()),
        (kernel == 3 && is_imagenet).then(|| "network.stem=cifar or network.stem=s2".into()),
        (channels == 1 && config.image.channels != Some(1)).then(|| "image.channels=1".into()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if wanted.is_empty() {
        return "; this is no resnet18, resnet34 or resnet50 of the configured size".into();
    }
    format!("; the file fits {}", wanted.join(", "))
}

/// The tensor's values; none if it is of another type.
fn values_of(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::F32 => bytemuck::pod_collect_to_vec(bytes),
        Dtype::F16 => {
            bytemuck::pod_collect_to_vec::<_, f16>(bytes).iter().map(|v| v.to_f32()).collect()
        }
        Dtype::BF16 => {
            bytemuck::pod_collect_to_vec::<_, bf16>(bytes).iter().map(|v| v.to_f32()).collect()
        }
        _ => return None,
    })
}

/// `[O, 3, KH, KW]` to `[O, 1, KH, KW]`, of `taps` = KH * KW.
fn sum_of_channels(values: &[f32], taps: usize) -> Vec<f32> {
    let of_output = |kernel: &[f32]| -> Vec<f32> {
        (0..taps).map(|tap| kernel.iter().skip(tap).step_by(taps).sum()).collect()
    };
    values.chunks(3 * taps).flat_map(of_output).collect()
}
