//! Modern Hopfield retrieval (Ramsauer et al. 2021, eq. 5; AnoMem, arXiv 2211.09041, eq. 1), iterated.

mod blocked;
mod simple;

use super::groups_for;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `report`.
    pub struct Report { rows: u32, record: u32 }
}

params! {
    /// Params of `usage`.
    pub struct Usage { rows: u32, slots: u32 }
}

params! {
    /// Params of the simple kernels.
    pub struct Step {
        rows: u32, slots: u32, features: u32, step: u32, record: u32, flag: u32, tolerance: f32
    }
}

params! {
    /// Params of `pack`.
    pub struct Pack { slots: u32, features: u32, slots_padded: u32, features_padded: u32 }
}

params! {
    /// Params of the forward kernels.
    pub struct Forward {
        rows: u32, first: u32, slots: u32, features: u32, slots_padded: u32, features_padded: u32,
        begin: u32, end: u32, renormalise: u32, save: u32, record: u32, tolerance: f32
    }
}

params! {
    /// Params of the backward kernels.
    pub struct Backward {
        rows: u32, first: u32, blocks: u32, slots: u32, features: u32, slots_padded: u32,
        features_padded: u32, begin: u32, end: u32, steps: u32, renormalise: u32, record: u32,
        accumulate: u32, splits: u32, implicit: u32
    }
}

params! {
    /// Params of `sum_splits`.
    pub struct SumSplits { length: u32, splits: u32 }
}

static REPORT: Shader = shader!("hopfield", "report", Report);

static USAGE: Shader = shader!("hopfield", "usage", Usage);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[
    &REPORT,
    &USAGE,
    &simple::TO_SLOTS,
    &simple::TO_FEATURES,
    &simple::WEIGH,
    &simple::ADVANCE,
    &simple::BACKWARD_LENGTH,
    &simple::BACKWARD_WEIGHTS,
    &simple::BACKWARD_INPUT,
    &simple::BACKWARD_PATTERNS,
    &blocked::PACK,
    &blocked::FORWARD_SUBGROUP,
    &blocked::BACKWARD_SUBGROUP,
    &blocked::BACKWARD_PATTERNS_SUBGROUP,
    &blocked::FORWARD_TILED,
    &blocked::BACKWARD_TILED,
    &blocked::BACKWARD_PATTERNS_TILED,
    &blocked::SUM_SPLITS,
];

/// The constants that the family restates, with every value.
pub const RESTATED: &[Restated] = blocked::RESTATED;

/// Words of a record before the lengths: slot, steps, entropy, stopped.
const RECORD: usize = 4;

/// How the gradient of a retrieval is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gradient {
    /// Back through every step taken, to query and patterns.
    Unrolled,
    /// To the patterns alone, at the fixed point xi = f(xi, W) (Bai, Kolter, Koltun 2019, theorem 1):
    /// (df/dW)ᵀ (I - Jᵀ)⁻¹ g with J = df/dxi, the inverse as its Neumann series I + Jᵀ + (Jᵀ)² + .. .
    /// A query only chooses the fixed point and gets no gradient: the encoder before it learns nothing
    /// through the retrieval. It helps where many steps are to be taken: neither memory nor time of the
    /// backward pass grows with them. The last iterate is taken for the fixed point, of queries that did not
    /// converge in `steps` too: there the series may diverge, and every term more amplifies.
    Implicit {
        /// Terms of the series. The error falls as the spectral radius of J to this power, which is below 1
        /// where the iteration converges. 1: only the last step's gradient, with its input held fixed.
        terms: usize,
    },
}

/// How a retrieval is iterated.
#[derive(Debug, Clone, Copy)]
pub struct HopfieldOptions {
    /// Steps at most, per query.
    pub steps: usize,
    /// A query stops with the first step that changes none of its coordinates by more than this; that step
    /// counts. 0: it never stops early.
    pub tolerance: f32,
    /// Put every iterate to unit length.
    pub renormalise: bool,
    /// How the gradient is found.
    pub gradient: Gradient,
}

/// What a retrieval gives, per query.
#[derive(Debug, Clone, Copy)]
pub struct Retrieval {
    /// The last iterate, `[R, D]`. The only one with a gradient.
    pub retrieved: Value,
    /// u32 `[R]`: the slot with the largest weight in the last step taken, the first of equal ones.
    pub slot: Value,
    /// f32 `[R]`: entropy of those weights in units of ln M, 0 to 1; 0 for a single slot.
    pub entropy: Value,
    /// u32 `[R]`: steps taken, 1 to `steps`.
    pub steps: Value,
}

/// Sizes and options of one retrieval.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    slots: usize,
    features: usize,
    options: HopfieldOptions,
}

impl Sizes {
    /// Lengths in a record that a backward pass reads.
    fn lengths(&self) -> usize {
        match self.options.gradient {
            Gradient::Unrolled => self.options.steps,
            Gradient::Implicit { .. } => 1,
        }
    }

    /// Steps that the backward pass walks.
    fn backward_steps(&self) -> usize {
        match self.options.gradient {
            Gradient::Unrolled => self.options.steps,
            Gradient::Implicit { terms } => terms,
        }
    }

    /// Whether a gradient is to be found at all.
    fn wants_grad(&self, tape: &Tape, o: Operands) -> bool {
        tape.needs_grad(o.patterns) || (tape.needs_grad(o.query) && !self.implicit())
    }

    fn implicit(&self) -> bool {
        self.options.gradient != Gradient::Unrolled
    }
}

/// The operands.
#[derive(Clone, Copy)]
struct Operands {
    query: Value,
    patterns: Value,
    beta: Value,
}

/// Retrieves from memory: xi <- softmax(beta xi Wᵀ) W, at most `options.steps` times.
///
/// `query` `[R, D]`, `patterns` W `[M, D]`, `beta` f32 `[1]`, all f32. The gradient goes to query and patterns,
/// or to the patterns alone ([`Gradient`]); beta gets none.
///
/// Memory beside the outputs: while an unrolled gradient is wanted the iterates, steps × R × D, in one
/// tensor that must fit a binding, and for an implicit one nothing; while the kernels run at most 64 MiB
/// (and a copy or two of the patterns), whatever R is. With the simple kernels R × (M + 2 D) forward and some
/// 2 R × (M + D) backward.
///
/// # Errors
/// Other shapes; no step; an implicit gradient without a term; a tolerance that is negative or not a number;
/// for the simple kernels more than 21,000 slots or features, or 63,000 queries with a gradient.
pub fn hopfield(
    tape: &mut Tape,
    query: Value,
    patterns: Value,
    beta: Value,
    options: &HopfieldOptions,
) -> Result<Retrieval> {
    let s = sizes(tape, Operands { query, patterns, beta }, options)?;
    let operands = Operands { query, patterns, beta };
    let (retrieved, record) = match blocked::choose(tape.variant(), &s) {
        Some(kernels) => blocked::record(tape, operands, s, kernels)?,
        None => simple::record(tape, operands, s)?,
    };
    report(tape, s.rows, retrieved, record)
}

fn sizes(tape: &Tape, o: Operands, options: &HopfieldOptions) -> Result<Sizes> {
    let [query, patterns, beta] = [o.query, o.patterns, o.beta].map(|v| tape.shape(v));
    let fits = match (query, patterns) {
        (&[rows, features], &[slots, same]) if features == same && beta == [1] => {
            Some(Sizes { rows, slots, features, options: *options })
        }
        _ => None,
    };
    let usable = options.steps > 0
        && options.tolerance >= 0.0
        && options.gradient != Gradient::Implicit { terms: 0 };
    fits.filter(|_| usable).ok_or_else(|| {
        let message = format!(
            "query {query:?}, patterns {patterns:?}, beta {beta:?}, {} steps, tolerance {}, gradient \
             {:?}: expected [R, D], [M, D], [1], at least one step, a tolerance >= 0, at least one term",
            options.steps, options.tolerance, options.gradient
        );
        Error::shape("hopfield", message)
    })
}

/// Splits the record into the outputs that have none of the retrieval's bindings.
fn report(tape: &mut Tape, rows: usize, retrieved: Value, record: Value) -> Result<Retrieval> {
    let slot = tape.temporary("hopfield.slot", &[rows], Element::U32)?;
    let entropy = tape.temporary("hopfield.entropy", &[rows], Element::F32)?;
    let steps = tape.temporary("hopfield.steps", &[rows], Element::U32)?;
    let params = Report { rows: rows as u32, record: (tape.len(record) / rows) as u32 };
    let launch = Dispatch::new(Kernel::new(&REPORT), &params, groups_for(rows));
    tape.dispatch(launch.read(record).write(slot).write(entropy).write(steps));
    Ok(Retrieval { retrieved, slot, entropy, steps })
}

/// Sets `used` u32 `[M]`, a variable, to 1 at every slot of `slot` u32 `[R]`; the rest stays.
///
/// # Errors
/// None beyond the tape's own.
pub fn mark_used(tape: &mut Tape, slot: Value, used: Value) -> Result<()> {
    let params = Usage { rows: tape.len(slot) as u32, slots: tape.len(used) as u32 };
    let launch = Dispatch::new(Kernel::new(&USAGE), &params, groups_for(tape.len(slot)));
    tape.dispatch(launch.read(slot).write(used));
    Ok(())
}
