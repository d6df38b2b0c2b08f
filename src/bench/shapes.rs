//! The shapes that are measured: layers of the networks that users train, and the method's own operations.

use super::{Limit, sized};
use crate::gpu::AdapterClass;
use crate::ops::hopfield::Gradient;

/// A convolution of square images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Convolution {
    pub network: &'static str,
    pub images: usize,
    /// Height and width.
    pub size: usize,
    pub channels: usize,
    pub out: usize,
    pub kernel: usize,
    pub stride: usize,
}

/// An operation on one shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Case {
    Convolution(Convolution),
    /// Square matrices.
    Product {
        size: usize,
    },
    /// Rows of both views together.
    NtXent {
        rows: usize,
        features: usize,
    },
    Hopfield {
        queries: usize,
        slots: usize,
        features: usize,
    },
    /// In training mode.
    BatchNorm {
        rows: usize,
        channels: usize,
    },
    Relu {
        len: usize,
    },
    Add {
        len: usize,
    },
    /// Two views of square RGB images.
    Augment {
        images: usize,
        size: usize,
    },
    Sgd {
        len: usize,
    },
}

/// Steps of a retrieval, as in training.
pub(super) const RETRIEVAL_STEPS: usize = 3;

/// Layers of a network with their images' size, channels, channels out, kernel and stride.
pub(super) type Layers = &'static [[usize; 5]];

/// ResNet-18 with the CIFAR stem on 32 x 32.
const RESNET18_32: Layers = &[
    [32, 3, 64, 3, 1],
    [32, 64, 64, 3, 1],
    [32, 64, 128, 3, 2],
    [32, 64, 128, 1, 2],
    [16, 128, 128, 3, 1],
    [16, 128, 256, 3, 2],
    [8, 256, 256, 3, 1],
    [8, 256, 512, 3, 2],
    [4, 512, 512, 3, 1],
];
/// What ResNet-50 adds.
const RESNET50_32: Layers = &[
    [32, 64, 256, 1, 1],
    [32, 256, 64, 1, 1],
    [16, 512, 128, 1, 1],
    [8, 1024, 256, 1, 1],
    [4, 2048, 512, 1, 1],
];
/// Both on 224 x 224.
pub(super) const RESNET_224: Layers = &[
    [224, 3, 64, 7, 2],
    [56, 64, 64, 3, 1],
    [56, 64, 256, 1, 1],
    [28, 128, 128, 3, 1],
    [14, 256, 256, 3, 1],
    [7, 512, 512, 3, 1],
];
/// ResNet-18 of a quarter of the width, as in `tiny`, on 64 x 64.
pub(super) const TINY_64: Layers = &[
    [64, 1, 16, 3, 2],
    [32, 16, 16, 3, 1],
    [32, 16, 32, 3, 2],
    [16, 32, 32, 3, 1],
    [8, 64, 64, 3, 1],
    [4, 128, 128, 3, 1],
];

/// Every case, at sizes that an adapter of this class runs in a fraction of a second.
pub(super) fn all(class: AdapterClass) -> Vec<Case> {
    let layers = [
        ("resnet18 32px", sized(class, 32, 256), RESNET18_32),
        ("resnet50 32px", sized(class, 16, 256), RESNET50_32),
        ("resnet 224px", sized(class, 2, 64), RESNET_224),
        ("tiny 64px", sized(class, 32, 256), TINY_64),
    ];
    let mut cases = Vec::new();
    for (network, images, layers) in layers {
        cases.extend(layers.iter().map(|[size, channels, out, kernel, stride]| {
            Case::Convolution(Convolution {
                network,
                images,
                size: *size,
                channels: *channels,
                out: *out,
                kernel: *kernel,
                stride: *stride,
            })
        }));
    }
    let products = sized(class, &[256, 512, 1024][..], &[512, 1024, 2048, 4096, 8192]);
    cases.extend(products.iter().map(|size| Case::Product { size: *size }));
    let losses =
        sized(class, &[[640, 64], [2432, 128]][..], &[[2432, 128], [9728, 256], [38_912, 256]]);
    cases.extend(
        losses.iter().map(|[rows, features]| Case::NtXent { rows: *rows, features: *features }),
    );
    let retrievals = sized(
        class,
        &[[2048, 256, 64], [8192, 128, 128]][..],
        &[[32_768, 512, 256], [8192, 256, 512], [131_072, 512, 1024]],
    );
    cases.extend(retrievals.iter().map(|[queries, slots, features]| Case::Hopfield {
        queries: *queries,
        slots: *slots,
        features: *features,
    }));
    // The first stage of ResNet-18 on 32 x 32.
    let rows = sized(class, 32, 256) * 32 * 32;
    cases.extend([
        Case::BatchNorm { rows, channels: 64 },
        Case::Relu { len: rows * 64 },
        Case::Add { len: rows * 64 },
        Case::Augment { images: sized(class, 64, 512), size: 32 },
        Case::Augment { images: sized(class, 4, 64), size: 224 },
        // As many as ResNet-18 has parameters.
        Case::Sgd { len: 11_173_952 },
    ]);
    cases
}

impl Convolution {
    /// As PyTorch's networks pad.
    pub(super) fn padding(&self) -> usize {
        self.kernel / 2
    }

    /// Rows and columns of the result.
    pub(super) fn out_size(&self) -> usize {
        (self.size + 2 * self.padding() - self.kernel) / self.stride + 1
    }
}

impl Case {
    /// Operation and shape.
    pub(super) fn name(&self) -> String {
        match *self {
            Self::Convolution(c) => {
                let Convolution { network, size, channels, out, kernel, stride, .. } = c;
                let stride = if stride > 1 { format!(" s{stride}") } else { String::new() };
                format!("conv {network}: {kernel}x{kernel} {size}x{size} {channels}-{out}{stride}")
            }
            Self::Product { size } => format!("product {size}x{size}x{size}"),
            Self::NtXent { rows, features } => format!("nt_xent {rows} rows of {features}"),
            Self::Hopfield { queries, slots, features } => {
                format!("hopfield {queries} of {features}, {slots} slots")
            }
            Self::BatchNorm { rows, channels } => format!("batch_norm {rows} rows of {channels}"),
            Self::Relu { len } => format!("relu {len}"),
            Self::Add { len } => format!("add {len}"),
            Self::Augment { images, size } => format!("augment {images} images of {size}x{size}"),
            Self::Sgd { len } => format!("sgd {len}"),
        }
    }

    /// What can be computed of it.
    pub(super) fn passes(&self) -> &'static [&'static str] {
        match self {
            Self::Convolution(c) if c.size > 32 && c.channels < 4 => &["y", "grad_w"],
            Self::Convolution(_) => &["y", "grad_x", "grad_w"],
            Self::Product { .. } | Self::Add { .. } => &["y"],
            Self::NtXent { .. } => &["loss", "with gradients"],
            Self::Hopfield { .. } => &["y", "unrolled", "implicit"],
            Self::BatchNorm { .. } | Self::Relu { .. } => &["y", "with gradients"],
            Self::Augment { .. } => &["views"],
            Self::Sgd { .. } => &["step"],
        }
    }

    /// Operations, or the bytes that must be moved whatever the kernel, of a pass of the definition.
    pub(super) fn work(&self, pass: &str) -> (f64, Limit) {
        let flops = |n: usize| (2.0 * n as f64, Limit::Arithmetic);
        let floats = |n: usize| (4.0 * n as f64, Limit::Memory);
        let back = pass != "y";
        match *self {
            Self::Convolution(c) => {
                flops(c.images * c.out_size().pow(2) * c.channels * c.out * c.kernel.pow(2))
            }
            Self::Product { size } => flops(size.pow(3)),
            // The similarities; each side's gradient is a product as large.
            Self::NtXent { rows, features } => {
                flops(rows * rows * features * if pass == "loss" { 1 } else { 3 })
            }
            // Two products per step; five for each that is walked back.
            Self::Hopfield { queries, slots, features } => {
                let products = if back { 7 } else { 2 } * RETRIEVAL_STEPS;
                flops(queries * slots * features * products)
            }
            // x and y; back y's gradient, x again and its gradient.
            Self::BatchNorm { rows, channels } => {
                floats(rows * channels * if back { 5 } else { 2 })
            }
            Self::Relu { len } => floats(len * if back { 5 } else { 2 }),
            Self::Add { len } => floats(len * 3),
            // Bytes in, two views of floats out.
            Self::Augment { images, size } => {
                let values = images * size * size * 3;
                ((values + 8 * values) as f64, Limit::Memory)
            }
            // Parameter and velocity read and written, gradient read.
            Self::Sgd { len } => floats(len * 5),
        }
    }
}

/// How the gradient of a retrieval is found in a pass; none in the first.
pub(super) fn gradient_of(pass: &str) -> Option<Gradient> {
    match pass {
        "unrolled" => Some(Gradient::Unrolled),
        "implicit" => Some(Gradient::Implicit { terms: RETRIEVAL_STEPS }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_distinct_and_work_is_counted() {
        for class in [AdapterClass::Software, AdapterClass::Discrete] {
            let cases = all(class);
            let names: HashSet<String> = cases.iter().map(Case::name).collect();
            assert_eq!(names.len(), cases.len());
            for case in &cases {
                assert!(case.passes().iter().all(|pass| case.work(pass).0 > 0.0), "{case:?}");
            }
        }
    }

    #[test]
    fn work_by_hand() {
        let c = Convolution {
            network: "hand",
            images: 2,
            size: 5,
            channels: 3,
            out: 4,
            kernel: 3,
            stride: 2,
        };
        assert_eq!(c.out_size(), 3);
        let (flops, limit) = Case::Convolution(c).work("grad_w");
        assert_eq!((flops, limit), (2.0 * 2.0 * 9.0 * 12.0 * 9.0, Limit::Arithmetic));
        assert_eq!(Case::Sgd { len: 10 }.work("step"), (200.0, Limit::Memory));
        let recall = Case::Hopfield { queries: 2, slots: 3, features: 4 };
        assert_eq!(recall.work("y").0, 2.0 * 24.0 * 6.0);
        assert_eq!(recall.work("implicit").0, 2.0 * 24.0 * 21.0);
    }
}
