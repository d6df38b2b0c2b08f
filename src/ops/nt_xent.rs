//! NT-Xent, the contrastive loss of two views, without its similarity matrix.
//!
//! Forward keeps one log-sum-exp per row, backward computes the similarities again, so memory is
//! O(n D). The simple kernels read the rows as given. The others read a packed copy, tiles of 64 rows
//! with the features outermost, padded with zeros: both factors of the Gram matrix in the order in
//! which a tile of it consumes them.

use super::groups_for;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Variant, params, shader};
use crate::{Error, Result};

static FORWARD: Shader = shader!("nt_xent", "forward", NtXent);
static BACKWARD: Shader = shader!("nt_xent", "backward", NtXent);
static PACK: Shader = shader!("nt_xent", "pack", NtXent);
static UNPACK: Shader = shader!("nt_xent", "unpack", NtXent);
static FORWARD_TILED: Shader = shader!("nt_xent", "forward_tiled", NtXent);
static BACKWARD_TILED: Shader = shader!("nt_xent", "backward_tiled", NtXent);
static FORWARD_SUBGROUP: Shader = shader!("nt_xent", "forward_subgroup", NtXent);
static BACKWARD_SUBGROUP: Shader = shader!("nt_xent", "backward_subgroup", NtXent);
static MEAN: Shader = shader!("nt_xent", "mean", Mean);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[
    &FORWARD,
    &BACKWARD,
    &PACK,
    &UNPACK,
    &FORWARD_TILED,
    &BACKWARD_TILED,
    &FORWARD_SUBGROUP,
    &BACKWARD_SUBGROUP,
    &MEAN,
];

/// The constants that the family restates, with every value.
pub const RESTATED: &[Restated] = &[(&MEAN, &[("REDUCE_SIZE", &[256])])];

params! {
    /// Params of every kernel but the mean.
    pub struct NtXent {
        pairs: u32,
        features: u32,
        padded_features: u32,
        groups: u32,
        image_rows: u32,
        tiles: u32,
        has_valid: u32,
        inverse_tau: f32,
        begin: u32,
        end: u32,
    }
}

params! {
    /// Params of the mean over the anchors.
    pub struct Mean { rows: u32, pairs: u32, has_valid: u32 }
}

/// Rows of a packed tile.
const TILE: usize = 64;

/// Mesa's software driver silently ends every loop once an invocation has gone through 65,535
/// iterations in all of its loops together. No kernel may come near.
const MAX_ITERATIONS: usize = 60_000;

/// Loop iterations of a launch: the columns are shared among as many launches as it takes. Far fewer
/// than [`MAX_ITERATIONS`], so that every launch is short and the watchdogs of GPUs stay quiet.
const ITERATIONS: usize = 8192;

/// Most rows of both views: what the mean's one workgroup can sum within [`MAX_ITERATIONS`].
const MAX_ROWS: usize = 1 << 23;

/// Most features: what the simple kernels can go through within [`MAX_ITERATIONS`].
const MAX_FEATURES: usize = 1 << 14;

/// Which rows an anchor is contrasted with, besides its pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negatives {
    /// Every other row of both views.
    Joint,
    /// The rows at the same position of every other image.
    PerPosition,
    /// Every row of other images.
    ExcludeImage,
}

/// Settings of the loss.
#[derive(Debug, Clone, Copy)]
pub struct NtXentOptions {
    /// Temperature, more than 0.
    pub tau: f32,
    /// Rows per image and view: row = image * positions + position.
    pub positions: usize,
    /// Which rows are contrasted.
    pub negatives: Negatives,
}

/// What a recorded loss reads, and how its kernels are launched.
#[derive(Clone, Copy)]
struct Problem {
    params: NtXent,
    a: Value,
    b: Value,
    /// Bound to `a` where there is none.
    valid: Value,
    fast: Option<Fast>,
}

/// The packed rows and the kernels that read them.
#[derive(Clone, Copy)]
struct Fast {
    /// Packed rows, `[groups, tiles, padded_features, 64]`.
    z: Value,
    /// Image of each packed row, `[groups, tiles, 64]`; all ones for padding and dropped rows.
    tag: Value,
    kernels: &'static Kernels,
}

/// A variant's kernels on packed rows.
struct Kernels {
    forward: &'static Shader,
    backward: &'static Shader,
    /// What the features are padded to a multiple of.
    multiple: u32,
    /// Loop iterations for a tile of columns and so many padded features, in either.
    forward_iterations: fn(usize) -> usize,
    backward_iterations: fn(usize) -> usize,
}

static TILED: Kernels = Kernels {
    forward: &FORWARD_TILED,
    backward: &BACKWARD_TILED,
    multiple: 32,
    forward_iterations: |d| 1 + d / 16 * 17,
    backward_iterations: |d| 2 * (1 + d / 16 * 17 + d / 32 * 11),
};

static SUBGROUP: Kernels = Kernels {
    forward: &FORWARD_SUBGROUP,
    backward: &BACKWARD_SUBGROUP,
    multiple: 16,
    forward_iterations: |d| 257 + 4 * (17 + d),
    backward_iterations: |d| 65 + 4 * (17 + d) + d / 16 * 97,
};

/// NT-Xent (Chen et al. 2020, eq. 1; AnoMem eqs. 4-5) of `a: [n, D]` and `b: [n, D]`, whose rows of
/// equal index are pairs and of unit length. Similarity is the dot product over `tau`; every row
/// of both is an anchor; the result, `[1]`, is the mean over the anchors of the log-sum-exp over
/// the others that `options.negatives` allows, less the pair's similarity.
///
/// `valid: [n]` drops the pairs where it is 0, as anchors and as negatives; without a valid pair the
/// loss and its gradients are 0.
///
/// # Errors
/// Shapes that differ; rows that are no multiple of `positions`; a `tau` that is not above 0; more than
/// 2^23 rows of both views or 2^14 features.
pub fn nt_xent(
    tape: &mut Tape,
    a: Value,
    b: Value,
    options: &NtXentOptions,
    valid: Option<Value>,
) -> Result<Value> {
    let params = check(tape, a, b, options, valid)?;
    let mut problem = Problem { params, a, b, valid: valid.unwrap_or(a), fast: None };
    let kernels = match tape.variant() {
        Variant::Tiled | Variant::Cooperative => Some(&TILED),
        Variant::Subgroup { lanes: 8 } => Some(&SUBGROUP),
        Variant::Simple | Variant::Subgroup { .. } => None,
    };
    let features = tape.shape(a)[1];
    let fits =
        |k: &&Kernels| (k.backward_iterations)(features.next_multiple_of(32)) < MAX_ITERATIONS;
    if let Some(kernels) = kernels.filter(fits) {
        problem.fast = Some(pack(tape, &mut problem, kernels)?);
    }
    let (lse, term) = forward(tape, &problem)?;
    let loss = tape.temporary("nt_xent", &[1], Element::F32)?;
    let inverse_anchors = tape.temporary("nt_xent.inverse_anchors", &[1], Element::F32)?;
    let mean = Kernel::with(&MEAN, &[("REDUCE_SIZE", 256)]);
    let p = problem.params;
    let rows = tape.len(term) as u32;
    let launch = Dispatch::new(mean, &Mean { rows, pairs: p.pairs, has_valid: p.has_valid }, 1);
    tape.dispatch(launch.read(term).read(problem.valid).write(loss).write(inverse_anchors));
    tape.rule(loss, &[a, b], move |tape, grad_loss, _| {
        let (grad_a, grad_b) = backward(tape, &problem, grad_loss, lse, inverse_anchors)?;
        Ok(vec![Some(grad_a), Some(grad_b)])
    });
    Ok(loss)
}

fn check(
    tape: &Tape,
    a: Value,
    b: Value,
    options: &NtXentOptions,
    valid: Option<Value>,
) -> Result<NtXent> {
    let wrong = |message: String| Error::shape("nt_xent", message);
    let (shape, positions) = (tape.shape(a), options.positions);
    let &[pairs, features] = shape else {
        return Err(wrong(format!("a {shape:?}: expected [n, D]")));
    };
    if tape.shape(b) != shape {
        return Err(wrong(format!("a {shape:?}, b {:?}", tape.shape(b))));
    }
    if let Some(valid) = valid.map(|v| tape.shape(v)).filter(|v| *v != [pairs]) {
        return Err(wrong(format!("a {shape:?}, valid {valid:?}: expected [{pairs}]")));
    }
    if positions == 0 || pairs % positions != 0 {
        return Err(wrong(format!("a {shape:?}: rows are no multiple of {positions} positions")));
    }
    if !(options.tau > 0.0 && options.tau.recip().is_finite()) {
        return Err(wrong(format!("tau {}: expected more than 0", options.tau)));
    }
    // Packed rows are padded to a tile per group and to 32 features at most.
    let packed = 2 * pairs.next_multiple_of(TILE) * features.next_multiple_of(32);
    if 2 * pairs > MAX_ROWS || features > MAX_FEATURES || packed > u32::MAX as usize {
        return Err(wrong(format!(
            "a {shape:?}: more than {MAX_ROWS} rows of both views, {MAX_FEATURES} features or 2^32 values"
        )));
    }
    let (groups, image_rows) = match options.negatives {
        // Its own image is then the anchor and its pair.
        Negatives::Joint => (1, 1),
        Negatives::PerPosition => (positions, 1),
        Negatives::ExcludeImage => (1, positions),
    };
    Ok(NtXent {
        pairs: pairs as u32,
        features: features as u32,
        padded_features: features as u32,
        groups: groups as u32,
        image_rows: image_rows as u32,
        tiles: (2 * pairs / groups).div_ceil(TILE) as u32,
        begin: 0,
        end: 0,
        has_valid: u32::from(valid.is_some()),
        inverse_tau: options.tau.recip(),
    })
}

fn pack(tape: &mut Tape, problem: &mut Problem, kernels: &'static Kernels) -> Result<Fast> {
    let p = &mut problem.params;
    p.padded_features = p.features.next_multiple_of(kernels.multiple);
    let (tiles, padded) = ((p.groups * p.tiles) as usize, p.padded_features as usize);
    let z = tape.temporary("nt_xent.packed", &[tiles, padded, TILE], Element::F32)?;
    let tag = tape.temporary("nt_xent.tag", &[tiles, TILE], Element::U32)?;
    let launch = Dispatch::new(Kernel::new(&PACK), p, groups_for(tiles * padded * TILE));
    let launch = launch.read(problem.a).read(problem.b).read(problem.valid);
    tape.dispatch(launch.write(z).write(tag));
    Ok(Fast { z, tag, kernels })
}

/// Params of the launches that together take all columns of a group, `per_column` iterations each.
fn ranges(params: NtXent, columns: u32, per_column: usize) -> impl Iterator<Item = NtXent> {
    let step = (ITERATIONS / per_column).max(1);
    (0..columns).step_by(step).map(move |begin| {
        let end = columns.min(begin.saturating_add(step as u32));
        NtXent { begin, end, ..params }
    })
}

/// The log-sum-exp and the loss of each row, packed or as given.
fn forward(tape: &mut Tape, problem: &Problem) -> Result<(Value, Value)> {
    let p = problem.params;
    let rows = match problem.fast {
        Some(_) => (p.groups * p.tiles) as usize * TILE,
        None => 2 * p.pairs as usize,
    };
    let lse = tape.temporary("nt_xent.lse", &[rows], Element::F32)?;
    let term = tape.temporary("nt_xent.term", &[rows], Element::F32)?;
    if let Some(Fast { z, tag, kernels }) = problem.fast {
        let per_tile = (kernels.forward_iterations)(p.padded_features as usize);
        for params in ranges(p, p.tiles, per_tile) {
            let launch = Dispatch::new(Kernel::new(kernels.forward), &params, (rows / TILE) as u64);
            let launch = launch.read(z).read(z).read(tag).read(tag);
            tape.dispatch(launch.write(lse).write(term));
        }
    } else {
        for params in ranges(p, 2 * p.pairs / p.groups, 1 + p.features as usize) {
            let launch = Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(rows));
            let launch = launch.read(problem.a).read(problem.b).read(problem.valid);
            tape.dispatch(launch.write(lse).write(term));
        }
    }
    Ok((lse, term))
}

fn backward(
    tape: &mut Tape,
    problem: &Problem,
    grad_loss: Value,
    lse: Value,
    inverse_anchors: Value,
) -> Result<(Value, Value)> {
    let p = problem.params;
    let shape = tape.shape(problem.a).to_vec();
    let grad_a = tape.temporary("nt_xent.grad_a", &shape, Element::F32)?;
    let grad_b = tape.temporary("nt_xent.grad_b", &shape, Element::F32)?;
    let Some(Fast { z, tag, kernels }) = problem.fast else {
        for params in ranges(p, 2 * p.pairs / p.groups, 1 + 2 * p.features as usize) {
            let launch = Dispatch::new(Kernel::new(&BACKWARD), &params, groups_for(tape.len(lse)))
                .read(grad_loss)
                .read(problem.a)
                .read(problem.b)
                .read(problem.valid)
                .read(lse)
                .read(inverse_anchors);
            tape.dispatch(launch.write(grad_a).write(grad_b));
        }
        return Ok((grad_a, grad_b));
    };
    let packed = tape.shape(z).to_vec();
    let grad_z = tape.temporary("nt_xent.grad_packed", &packed, Element::F32)?;
    let per_tile = (kernels.backward_iterations)(p.padded_features as usize);
    for params in ranges(p, p.tiles, per_tile) {
        let launch = Dispatch::new(Kernel::new(kernels.backward), &params, packed[0] as u64);
        let launch = launch.read(z).read(z).read(tag).read(tag).read(lse).read(lse);
        tape.dispatch(launch.write(grad_z));
    }
    let launch = Dispatch::new(Kernel::new(&UNPACK), &p, 2 * groups_for(tape.len(problem.a)));
    let launch = launch.read(grad_loss).read(grad_z).read(inverse_anchors);
    tape.dispatch(launch.write(grad_a).write(grad_b));
    Ok((grad_a, grad_b))
}
