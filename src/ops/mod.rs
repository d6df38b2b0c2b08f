//! One file per family of kernels: Params, shape guards, forward, gradient rule.

pub mod activation;
pub mod add;
pub mod batch_norm;
pub mod pool;

use crate::gpu::{Shader, Variant, params};

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

/// Invocations that share a row of `len` elements in kernels that import `lanes`: their `LANES`.
///
/// A workgroup where rows are long enough to feed one; a single invocation on software drivers,
/// where barriers cost more than they save.
fn group_lanes(variant: Variant, len: usize) -> u32 {
    match variant {
        Variant::Tiled if len as u64 >= WG => WG as u32,
        _ => 1,
    }
}

/// Every shader of every family, for the contract tests.
pub fn shaders() -> Vec<&'static Shader> {
    [
        activation::SHADERS, //
        add::SHADERS,
        batch_norm::SHADERS,
        pool::SHADERS,
    ]
    .concat()
}
