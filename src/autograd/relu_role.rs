//! How plans tell which launches can do a ReLU's work too.

use crate::gpu::{Kernel, Shader};
use crate::ops::{activation, add, batch_norm};

/// What a launch has to do with a ReLU, for plans that join the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReluRole {
    /// The ReLU: x, y.
    Forward,
    /// Its gradient: grad_y, y, grad_x.
    Backward,
    /// Can put a ReLU on what it writes, its last binding; where `normalises`, it is a batch norm of its first.
    Before {
        /// Whether it can be asked again by [`Self::After`].
        normalises: bool,
    },
    /// Reads the gradient of such a batch norm, its first binding, and that one's x, its second; can take the
    /// gradient of the ReLU instead.
    After,
}

impl ReluRole {
    /// The role of a kernel that has one.
    pub(super) fn of(kernel: &Kernel) -> Option<Self> {
        let is = |shaders: &[&'static Shader]| {
            shaders.iter().any(|shader| std::ptr::eq(kernel.shader, *shader))
        };
        let roles: [(&[&'static Shader], Self); 5] = [
            (&activation::RELUS, Self::Forward),
            (&activation::RELU_BACKWARDS, Self::Backward),
            (&add::FORWARDS, Self::Before { normalises: false }),
            (&batch_norm::FORWARDS, Self::Before { normalises: true }),
            (&batch_norm::BACKWARDS, Self::After),
        ];
        roles.into_iter().find(|(shaders, _)| is(shaders)).map(|(_, role)| role)
    }

    /// The kernel with a ReLU.
    pub(super) fn joined(kernel: &Kernel) -> Kernel {
        Kernel::with(kernel.shader, &[("RELU", 1)])
    }
}
