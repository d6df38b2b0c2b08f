//! How plans tell what a launch computes, where they may join it to others or run it again.

use crate::gpu::{Kernel, Shader};
use crate::ops::{activation, add, batch_norm};

/// What a launch computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A ReLU: x, y.
    Relu,
    /// Its gradient: grad_y, y, grad_x.
    ReluBackward,
    /// a + b: a, b, sum; with a ReLU on the sum, if told so.
    Sum,
    /// A batch norm of x: x, four vectors, y; with a ReLU on y, if told so.
    Norm,
    /// A batch norm and the sum behind it: x, four vectors, what is added, sum.
    Residual,
    /// Reads the gradient of a batch norm's y, its first binding, and x, its second; can take the gradient of the ReLU
    /// on y instead.
    NormBackward,
}

impl Role {
    /// The role of a kernel that has one.
    pub(super) fn of(kernel: &Kernel) -> Option<Self> {
        let is = |shaders: &[&'static Shader]| {
            shaders.iter().any(|shader| std::ptr::eq(kernel.shader, *shader))
        };
        let roles: [(&[&'static Shader], Self); 6] = [
            (&activation::RELUS, Self::Relu),
            (&activation::RELU_BACKWARDS, Self::ReluBackward),
            (&add::FORWARDS, Self::Sum),
            (&batch_norm::FORWARDS, Self::Norm),
            (&batch_norm::RESIDUALS.map(|(_, residual)| residual), Self::Residual),
            (&batch_norm::BACKWARDS, Self::NormBackward),
        ];
        roles.into_iter().find(|(shaders, _)| is(shaders)).map(|(_, role)| role)
    }
}

/// The kernel with a ReLU.
pub(super) fn with_relu(kernel: &Kernel) -> Kernel {
    Kernel::with(kernel.shader, &[("RELU", 1)])
}

/// The kernel of a batch norm whose result `sum` adds to something; none where that result went through a ReLU.
pub(super) fn with_sum(norm: &Kernel, sum: &Kernel) -> Option<Kernel> {
    let (_, residual) =
        batch_norm::RESIDUALS.into_iter().find(|(of, _)| std::ptr::eq(norm.shader, *of))?;
    norm.consts.is_empty().then(|| Kernel::with(residual, &sum.consts))
}
