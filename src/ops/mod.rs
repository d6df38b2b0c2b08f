//! One file per family of kernels: Params, shape guards, forward, gradient rule.

pub mod activation;
pub mod add;
pub mod cosine;
pub mod finite;
pub mod optimizer;
pub mod reduce;
pub mod softmax;
pub mod variance;

use crate::autograd::Dispatch;
use crate::gpu::{Kernel, Shader, params};

params! {
    /// Params of an elementwise kernel; the length counts elements, or vectors of four.
    pub struct Elementwise { len: u32 }
}

/// Invocations per workgroup of elementwise kernels.
const WG: u64 = 64;

/// Loop iterations that an invocation may run in total, over all its loops, nested or one after the
/// other. Mesa's llvmpipe and lavapipe end every loop after 65,535, without a word
/// (`LP_MAX_TGSI_LOOP_ITERATIONS`), and count the leaving of a loop too; longer walks are cut or refused.
const LOOP_LIMIT: usize = 65_000;

/// Workgroups for one invocation per element.
fn groups_for(len: usize) -> u64 {
    (len as u64).div_ceil(WG)
}

/// The vector form of an elementwise kernel where `len` is a multiple of 4, else the scalar form,
/// and how many items it walks.
fn scalar_or_vec4(scalar: &'static Shader, vec4: &'static Shader, len: usize) -> (Kernel, usize) {
    let (shader, items) = if len.is_multiple_of(4) { (vec4, len / 4) } else { (scalar, len) };
    (Kernel::new(shader), items)
}

/// Launches an elementwise kernel over `len` elements.
fn elementwise(scalar: &'static Shader, vec4: &'static Shader, len: usize) -> Dispatch {
    let (kernel, items) = scalar_or_vec4(scalar, vec4, len);
    Dispatch::new(kernel, &Elementwise { len: items as u32 }, groups_for(items))
}

/// Every shader of every family, for the contract tests.
pub fn shaders() -> Vec<&'static Shader> {
    [
        activation::SHADERS, //
        add::SHADERS,
        cosine::SHADERS,
        finite::SHADERS,
        optimizer::SHADERS,
        reduce::SHADERS,
        softmax::SHADERS,
        variance::SHADERS,
    ]
    .concat()
}
