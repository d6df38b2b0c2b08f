//! One file per family of kernels: Params, shape guards, forward, gradient rule.

pub mod activation;
pub mod add;
pub mod gather;
pub mod hopfield;

use crate::gpu::{Shader, params};

params! {
    /// Params of an elementwise kernel.
    pub struct Elementwise { len: u32 }
}

/// Invocations per workgroup of elementwise kernels.
const WG: u64 = 64;

/// Workgroups for one invocation per element.
fn groups_for(len: usize) -> u64 {
    (len as u64).div_ceil(WG)
}

/// Every shader of every family, for the contract tests.
pub fn shaders() -> Vec<&'static Shader> {
    [
        activation::SHADERS, //
        add::SHADERS,
        gather::SHADERS,
        hopfield::SHADERS,
    ]
    .concat()
}
