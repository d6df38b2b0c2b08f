//! Weights as torchvision's ResNets name and lay them out, listed from its structure.

use safetensors::tensor::{Dtype, TensorView};

/// Name, shape and values of a tensor.
pub type Tensor = (String, Vec<usize>, Vec<f32>);

/// All tensors of a network whose first stage has `width` channels: `blocks` per stage, bottlenecks or basic ones, a
/// first convolution of `kernel` x `kernel`, a classifier. Every value differs from its neighbours.
pub fn resnet(blocks: [usize; 4], bottleneck: bool, width: usize, kernel: usize) -> Vec<Tensor> {
    let mut list = Vec::new();
    let mut add = |name: String, shape: &[usize], start: f32, spread: f32| {
        let len: usize = shape.iter().product();
        let seed = list.len() * 7;
        let value = |i: usize| start + spread * ((i + seed) as f32 * 12.9898).sin();
        list.push((name, shape.to_vec(), (0..len).map(value).collect()));
    };
    let mut layer = |conv: &str, norm: &str, [output, input, k]: [usize; 3]| {
        let spread = (4.0 / (output * k * k) as f32).sqrt();
        add(format!("{conv}.weight"), &[output, input, k, k], 0.0, spread);
        for (suffix, start, spread) in [
            ("weight", 1.0, 0.3),
            ("bias", 0.1, 0.2),
            ("running_mean", 0.0, 0.2),
            ("running_var", 1.0, 0.5),
        ] {
            add(format!("{norm}.{suffix}"), &[output], start, spread);
        }
    };
    layer("conv1", "bn1", [width, 3, kernel]);
    let expansion = if bottleneck { 4 } else { 1 };
    let mut input = width;
    for stage in 1..=4 {
        let inner = width << (stage - 1);
        for block in 0..blocks[stage - 1] {
            let name = |what: &str| format!("layer{stage}.{block}.{what}");
            let shapes = if bottleneck {
                vec![[inner, input, 1], [inner, inner, 3], [4 * inner, inner, 1]]
            } else {
                vec![[inner, input, 3], [inner, inner, 3]]
            };
            for (i, shape) in shapes.into_iter().enumerate() {
                layer(&name(&format!("conv{}", i + 1)), &name(&format!("bn{}", i + 1)), shape);
            }
            if input != expansion * inner || (stage > 1 && block == 0) {
                let shape = [expansion * inner, input, 1];
                layer(&name("downsample.0"), &name("downsample.1"), shape);
            }
            input = expansion * inner;
        }
    }
    add("fc.weight".into(), &[10, input], 0.0, 0.1);
    add("fc.bias".into(), &[10], 0.0, 0.1);
    list
}

/// A safetensors file of `tensors` in the type `dtype`, whose bytes `encode` gives, with a count of batches as PyTorch
/// saves it.
pub fn file(tensors: &[Tensor], dtype: Dtype, encode: impl Fn(f32) -> Vec<u8>) -> Vec<u8> {
    let data: Vec<Vec<u8>> =
        tensors.iter().map(|t| t.2.iter().flat_map(|v| encode(*v)).collect()).collect();
    let batches = 7_i64.to_le_bytes();
    let count = TensorView::new(Dtype::I64, vec![], &batches).unwrap();
    let views = tensors.iter().zip(&data).map(|((name, shape, _), bytes)| {
        (name.clone(), TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    let all = views.chain([("bn1.num_batches_tracked".to_string(), count)]);
    safetensors::serialize(all, None).unwrap()
}
