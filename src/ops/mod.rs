//! One file per family of kernels: Params, shape guards, forward, gradient rule.

pub mod activation;
pub mod add;
pub mod affine;
pub mod augment;
pub mod barlow;
pub mod batch_norm;
pub mod bounds;
pub mod conv2d;
pub mod cosine;
pub mod cross_entropy;
pub mod damage;
pub mod deviation;
pub mod finite;
pub mod flip;
pub mod gather;
pub mod gaussian;
pub mod hinge;
pub mod hopfield;
pub mod kmeans;
pub mod loss_scale;
pub mod matmul;
pub mod nearest;
pub mod normalize;
pub mod nt_xent;
pub mod optimizer;
pub mod pool;
pub mod reduce;
pub mod resize;
pub mod rotation;
pub mod rows;
pub mod select;
pub mod softmax;
pub mod variance;

use crate::Result;
use crate::autograd::Dispatch;
use crate::gpu::{Kernel, Restated, Shader, Variant, params};

params! {
    /// Params of an elementwise kernel; the length counts elements, or vectors of four.
    pub struct Elementwise { len: u32 }
}

/// The constant by which a kernel does a ReLU's work too; its values.
const RELU_OR_NOT: &[(&str, &[u32])] = &[("RELU", &[0, 1])];

/// Invocations per workgroup of elementwise kernels.
const WG: u64 = 64;

/// Loop iterations that an invocation may run in total, over all its loops, nested or one after the
/// other. Mesa's llvmpipe and lavapipe end every loop after 65,535, without a word
/// (`LP_MAX_TGSI_LOOP_ITERATIONS`), and count the leaving of a loop too; longer walks are cut or refused.
const LOOP_LIMIT: usize = 60_000;

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
    Dispatch::new(kernel, &Elementwise { len: items as u32 }, groups_for(items)).flops(len as u64)
}

/// A launch of a kernel that imports `lanes`, for `rows` rows of `len` elements, each visited
/// `passes` times.
///
/// A row takes a workgroup where it is long enough to feed one, but on software drivers, where
/// barriers cost more than they save, a single invocation as long as that may loop so often.
fn launch_rows(
    shader: &'static Shader,
    params: &impl bytemuck::NoUninit,
    variant: Variant,
    [rows, len, passes]: [usize; 3],
) -> Dispatch {
    let lanes = match variant {
        Variant::Tiled if len as u64 >= WG => WG,
        _ if len * passes > LOOP_LIMIT => WG,
        _ => 1,
    };
    let kernel = Kernel::with(shader, &[("LANES", lanes as u32)]);
    Dispatch::new(kernel, params, groups_for(rows * lanes as usize))
}

/// Every shader of every family, for the contract tests.
pub fn shaders() -> Vec<&'static Shader> {
    [
        activation::SHADERS, //
        add::SHADERS,
        affine::SHADERS,
        augment::SHADERS,
        barlow::SHADERS,
        batch_norm::SHADERS,
        bounds::SHADERS,
        &conv2d::shaders(),
        cosine::SHADERS,
        cross_entropy::SHADERS,
        damage::SHADERS,
        deviation::SHADERS,
        finite::SHADERS,
        flip::SHADERS,
        gather::SHADERS,
        gaussian::SHADERS,
        hinge::SHADERS,
        hopfield::SHADERS,
        kmeans::SHADERS,
        loss_scale::SHADERS,
        matmul::SHADERS,
        nearest::SHADERS,
        normalize::SHADERS,
        nt_xent::SHADERS,
        optimizer::SHADERS,
        pool::SHADERS,
        reduce::SHADERS,
        resize::SHADERS,
        rotation::SHADERS,
        rows::SHADERS,
        select::SHADERS,
        softmax::SHADERS,
        variance::SHADERS,
    ]
    .concat()
}

/// The shaders whose constants a family restates, with the values used.
fn restated() -> Vec<Restated> {
    // What `launch_rows` gives every shader that imports `lanes`.
    const ROWS: &[(&str, &[u32])] = &[("LANES", &[1, WG as u32])];
    let by_rows = shaders().into_iter().filter(|s| s.imports("lanes")).map(|s| (s, ROWS));
    let by_family = [
        add::RESTATED,
        augment::RESTATED,
        batch_norm::RESTATED,
        &conv2d::restated(),
        damage::RESTATED,
        finite::RESTATED,
        hinge::RESTATED,
        hopfield::RESTATED,
        nt_xent::RESTATED,
        reduce::RESTATED,
        rows::RESTATED,
    ];
    by_rows.chain(by_family.concat()).collect()
}

/// Every kernel: each shader as its file says, then with the constants that its family restates; then those of them
/// that can have bindings in half precision, with all of these so.
///
/// # Errors
/// A shader whose directives do not fit.
pub fn kernels() -> Result<Vec<Kernel>> {
    let as_files_say = shaders().into_iter().map(Kernel::new);
    let mut kernels: Vec<Kernel> =
        as_files_say.chain(restated().into_iter().flat_map(Kernel::all_of)).collect();
    for i in 0..kernels.len() {
        let half = kernels[i].shader.half()?;
        if half != 0 {
            kernels.push(kernels[i].clone().halved(half));
        }
    }
    Ok(kernels)
}
