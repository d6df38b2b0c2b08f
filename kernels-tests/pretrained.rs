//! Weights under torchvision's names: where each ends up, and what does not fit.

use crate::harness::torchvision::{Tensor, file, resnet};
use crate::harness::{fill, gpu};
use crate::stage1::taps_first;
use anomem::anomem::{Config, Model, Origin, Pretrained};
use anomem::autograd::{Element, Plan, PlanOptions, Tape};
use anomem::data::ChannelStats;
use anomem::gpu::Gpu;
use anomem::nn::{Kind, Mode};
use anomem::tensor::VarId;
use half::{bf16, f16};
use safetensors::tensor::Dtype;
use std::collections::BTreeMap;

/// A quarter of the width.
const WIDTH: usize = 16;
const BASIC18: [usize; 4] = [2, 2, 2, 2];
const BLOCKS50: [usize; 4] = [3, 4, 6, 3];

fn model(settings: &[&str], channels: usize) -> Model {
    let mut config = Config::preset("tiny").unwrap();
    let all = ["image.size=32", "memory.scales=[1, 4]", "memory.slots=[8, 8]", "memory.beta=16"];
    all.iter().chain(settings).for_each(|setting| config.set(setting).unwrap());
    let stats = ChannelStats { mean: vec![0.5; channels], std: vec![0.2; channels] };
    Model::declare(config, stats).unwrap()
}

fn f32_bytes(v: f32) -> Vec<u8> {
    v.to_le_bytes().to_vec()
}

fn give(bytes: &[u8], model: &mut Model) -> anomem::Result<Origin> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, bytes).unwrap();
    Pretrained::read(&path)?.give_to(model)
}

fn give_f32(tensors: &[Tensor], model: &mut Model) -> anomem::Result<Origin> {
    give(&file(tensors, Dtype::F32, f32_bytes), model)
}

/// Name, variable and layout of every parameter and statistic.
fn variables(model: &Model) -> Vec<(String, VarId, Kind)> {
    let module = &model.module;
    let parameters = module.parameters.iter().map(|p| (p.name.clone(), p.value, p.kind));
    let statistics = module.statistics.iter().map(|s| (s.name.clone(), s.running, Kind::Plain));
    parameters.chain(statistics).collect()
}

/// Records the encoder in evaluation, lets `weights` write into the allocated model, and returns the maps of fixed
/// images.
fn forward(gpu: &Gpu, model: &mut Model, weights: impl Fn(&Model)) -> Vec<Vec<f32>> {
    let channels = model.config.image.channels.unwrap();
    let slab = model.store.slab("test");
    let shape = [2, 32, 32, channels];
    let input = model.store.declare(slab, "input", &shape, Element::F32, false).unwrap();
    let mut tape = Tape::new(gpu.report().variant());
    let x = tape.variable(&model.store, input);
    let maps = model.maps(&mut tape, x, Mode::Evaluate).unwrap();
    maps.iter().for_each(|v| tape.keep(*v));
    model.allocate(gpu).unwrap();
    weights(model);
    let pixels = fill(shape.iter().product(), 5);
    model.store.upload(gpu, input, &pixels).unwrap();
    let plan = Plan::compile(gpu, &tape, &model.store, &PlanOptions::default()).unwrap();
    plan.run(gpu).unwrap();
    maps.iter().map(|v| plan.read(gpu, *v).unwrap()).collect()
}

#[test]
fn a_forward_pass_is_that_of_the_same_weights_set_directly() {
    let Some(gpu) = gpu(false) else { return };
    for (blocks, bottleneck, settings, tensors) in [
        (BASIC18, false, vec!["network.stem=imagenet"], 100),
        (BASIC18, false, vec!["network.stem=s2", "memory.scales=[1, 3]"], 75),
        (BLOCKS50, true, vec!["network.stem=imagenet", "network.backbone=resnet50"], 265),
    ] {
        let kernel = if settings[0].ends_with("imagenet") { 7 } else { 3 };
        let weights = resnet(blocks, bottleneck, WIDTH, kernel);
        let mut loaded = model(&settings, 3);
        let origin = give_f32(&weights, &mut loaded).unwrap();
        let text = format!("{tensors} of {tensors} tensors from weights.safetensors");
        assert_eq!(origin.to_string(), text);
        let got = forward(gpu, &mut loaded, |_| {});

        let by_name: BTreeMap<_, _> = weights.iter().map(|t| (t.0.as_str(), &t.2)).collect();
        let mut direct = model(&settings, 3);
        let want = forward(gpu, &mut direct, |direct| {
            let mut written = 0;
            for (name, variable, kind) in variables(direct) {
                let Some(values) = by_name.get(name.as_str()) else { continue };
                let values = match kind {
                    Kind::Plain => (*values).clone(),
                    Kind::Convolution => taps_first(values, &direct.store.variable(variable).shape),
                };
                direct.store.upload(gpu, variable, &values).unwrap();
                written += 1;
            }
            assert_eq!(written, tensors);
        });
        assert!(got == want, "{settings:?}");
        let random = forward(gpu, &mut model(&settings, 3), |_| {});
        assert!(got != random && got.iter().flatten().all(|v| v.is_finite()), "{settings:?}");
        assert!(got[1].iter().any(|v| *v > 0.1), "{settings:?}: the maps are empty");
    }
}

#[test]
fn half_precision_is_widened() {
    let Some(gpu) = gpu(false) else { return };
    let weights = resnet(BASIC18, false, WIDTH, 3);
    for (dtype, encode, round) in [
        (
            Dtype::F16,
            (|v| f16::from_f32(v).to_le_bytes().to_vec()) as fn(f32) -> Vec<u8>,
            (|v| f16::from_f32(v).to_f32()) as fn(f32) -> f32,
        ),
        (Dtype::BF16, |v| bf16::from_f32(v).to_le_bytes().to_vec(), |v| bf16::from_f32(v).to_f32()),
    ] {
        let mut loaded = model(&[], 3);
        give(&file(&weights, dtype, encode), &mut loaded).unwrap();
        loaded.allocate(gpu).unwrap();
        let wanted: BTreeMap<&str, Vec<f32>> = weights
            .iter()
            .map(|(name, _, values)| (name.as_str(), values.iter().map(|v| round(*v)).collect()))
            .collect();
        let mut compared = 0;
        for (name, variable, kind) in variables(&loaded) {
            if kind == Kind::Plain && wanted.contains_key(name.as_str()) {
                let got: Vec<f32> = loaded.store.download(gpu, variable).unwrap();
                assert!(got == wanted[name.as_str()], "{dtype:?} {name}");
                compared += 1;
            }
        }
        assert_eq!(compared, 80, "values of 20 norms");
    }
    let bytes = file(&weights, Dtype::F64, |v| f64::from(v).to_le_bytes().to_vec());
    let message = give(&bytes, &mut model(&[], 3)).unwrap_err().to_string();
    assert!(message.contains("conv1.weight is F64, expected F32, F16 or BF16"), "{message}");
}

#[test]
fn a_stem_of_another_size_stays_and_grey_images_sum_its_channels() {
    let Some(gpu) = gpu(false) else { return };
    let first = |model: &mut Model| -> Vec<f32> {
        model.allocate(gpu).unwrap();
        let conv1 = model.module.parameters.iter().find(|p| p.name == "conv1.weight").unwrap();
        model.store.download(gpu, conv1.value).unwrap()
    };
    let mut kept = model(&[], 3);
    let origin = give_f32(&resnet(BASIC18, false, WIDTH, 7), &mut kept).unwrap();
    assert_eq!(
        origin.to_string(),
        "99 of 100 tensors from weights.safetensors; left as initialised: conv1.weight (7x7 in the file, 3x3 here)"
    );
    assert!(first(&mut kept) == first(&mut model(&[], 3)), "a stem that does not fit changed");
    let mut frozen = model(&["train.backbone=frozen"], 3);
    let error = give_f32(&resnet(BASIC18, false, WIDTH, 7), &mut frozen).unwrap_err().to_string();
    assert!(error.contains("would stay random"), "{error}");
    assert!(error.ends_with("the file fits network.stem=imagenet"), "{error}");

    let weights = resnet(BASIC18, false, WIDTH, 3);
    let mut grey = model(&[], 1);
    let origin = give_f32(&weights, &mut grey).unwrap();
    assert_eq!((origin.loaded, origin.tensors), (100, 100));
    assert!(origin.notes[0].contains("summed over its 3 channels"), "{origin}");
    let got = first(&mut grey);
    // [KH, KW, 1, O] of the sum over I of [O, I, KH, KW].
    for o in 0..WIDTH {
        for tap in 0..9 {
            let want: f32 = (0..3).map(|i| weights[0].2[(o * 3 + i) * 9 + tap]).sum();
            assert!((got[tap * WIDTH + o] - want).abs() < 1e-6, "output {o}, tap {tap}");
        }
    }
}

#[test]
fn what_does_not_fit_is_named_with_the_setting_that_would() {
    let message = |weights: &[Tensor], settings: &[&str]| {
        give_f32(weights, &mut model(settings, 3)).unwrap_err().to_string()
    };
    let fits = resnet(BASIC18, false, WIDTH, 3);
    let without = |names: &[&str]| -> Vec<Tensor> {
        fits.iter().filter(|t| !names.contains(&t.0.as_str())).cloned().collect()
    };
    give_f32(&without(&["fc.weight", "fc.bias"]), &mut model(&[], 3)).unwrap();
    for (weights, settings, parts) in [
        (
            resnet(BASIC18, false, 64, 3),
            &[][..],
            &[
                "tensor conv1.weight is [64, 3, 3, 3], expected [16, 3, 3, 3]",
                "fits network.width=1",
            ][..],
        ),
        (
            resnet(BLOCKS50, true, WIDTH, 7),
            &[],
            &[
                "have no place",
                "layer1.0.bn3.bias",
                "network.backbone=resnet50, network.stem=imagenet",
            ],
        ),
        (
            resnet(BASIC18, false, WIDTH, 3),
            &["network.backbone=resnet34"],
            &[
                "80 tensors of the encoder are missing: layer1.2.conv1.weight, ",
                ", ...",
                "resnet18",
            ],
        ),
        (
            resnet([3, 4, 6, 3], false, WIDTH, 3),
            &[],
            &["80 tensors have no place", "fits network.backbone=resnet34"],
        ),
        (
            resnet([3, 4, 23, 3], true, WIDTH, 3),
            &["network.backbone=resnet50"],
            &["have no place", "no resnet18, resnet34 or resnet50 of the configured size"],
        ),
        (
            without(&["bn1.running_var", "layer2.0.downsample.0.weight"]),
            &[],
            &[
                "2 tensors of the encoder are missing: layer2.0.downsample.0.weight, bn1.running_var;",
            ],
        ),
        (without(&["conv1.weight"]), &[], &["missing: conv1.weight", "torchvision's names"]),
    ] {
        let message = message(&weights, settings);
        assert!(parts.iter().all(|part| message.contains(part)), "{settings:?}: {message}");
    }
    let mut infinite = fits.clone();
    infinite[7].2[3] = f32::INFINITY;
    let told = message(&infinite, &[]);
    assert!(
        told.contains(&format!("{} holds values that are not finite", infinite[7].0)),
        "{told}"
    );
    let bytes = file(&fits, Dtype::F32, f32_bytes);
    let told = give(&bytes[..bytes.len() - 1], &mut model(&[], 3)).unwrap_err().to_string();
    assert!(told.contains("weights.safetensors: not a safetensors file"), "{told}");
}
