//! The kernels that take a block of queries through all steps in one dispatch: software drivers with
//! subgroups.

use super::{Operands, RECORD, Sizes};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, Variant, params, shader};
use crate::ops::groups_for;

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
        accumulate: u32
    }
}

pub(super) static PACK: Shader = shader!("hopfield", "pack", Pack);
pub(super) static FORWARD_SUBGROUP: Shader = shader!("hopfield", "forward_subgroup", Forward);
pub(super) static BACKWARD_SUBGROUP: Shader = shader!("hopfield", "backward_subgroup", Backward);
pub(super) static BACKWARD_PATTERNS_SUBGROUP: Shader =
    shader!("hopfield", "backward_patterns_subgroup", Backward);

/// Loop iterations that one invocation may make. lavapipe ends all loops of an invocation after 65,535
/// together, without a word (`LP_MAX_TGSI_LOOP_ITERATIONS`).
const ITERATIONS: usize = 60_000;
/// Queries of one forward dispatch: bounds the scratch memory.
const IN_FLIGHT: usize = 2048;
/// Elements of a backward chunk, 8 MiB: the patterns' gradient reads it once per tile, from the cache.
const CHUNK: usize = 1 << 21;
/// Queries of a block.
const BLOCK: usize = 8;

/// A family of kernels with its sizes.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    lanes: usize,
    slots_padded: usize,
    features_padded: usize,
    /// Steps of one dispatch.
    steps: usize,
}

/// The blocked kernels that this variant has for these sizes.
pub(super) fn choose(variant: Variant, s: &Sizes) -> Option<Kernels> {
    let Variant::Subgroup { lanes } = variant else { return None };
    let lanes = lanes as usize;
    let tile = 8 * lanes;
    let (m, d) = (s.slots.div_ceil(tile), s.features.div_ceil(tile));
    // An upper bound of the backward kernel's loops per step, with every loop of the source counted.
    let per_step = 30 * m * d + 70 * m + 400 * d + 128;
    let steps = (ITERATIONS / per_step).min(s.options.steps);
    let (slots_padded, features_padded) = (m * tile, d * tile);
    (steps > 0).then_some(Kernels { lanes, slots_padded, features_padded, steps })
}

impl Kernels {
    fn kernel(&self, shader: &'static Shader) -> Kernel {
        Kernel::with(shader, &[("LANES", self.lanes as u32)])
    }

    /// Ranges of steps, each for one dispatch.
    fn ranges(&self, steps: usize) -> impl DoubleEndedIterator<Item = (usize, usize)> + use<> {
        let each = self.steps;
        (0..steps.div_ceil(each)).map(move |i| (i * each, ((i + 1) * each).min(steps)))
    }

    /// Rows of one backward chunk and their number of chunks: equal ones, whole blocks.
    fn chunks(&self, s: &Sizes) -> (usize, usize) {
        let per_row = s.options.steps * 2 * (self.slots_padded + self.features_padded);
        let most = (CHUNK / per_row).min((1 << 16) / s.options.steps).max(BLOCK);
        let count = s.rows.div_ceil(most / BLOCK * BLOCK);
        let rows = s.rows.div_ceil(count).next_multiple_of(BLOCK);
        (rows, s.rows.div_ceil(rows))
    }
}

/// Records the retrieval: the last iterate and the record.
pub(super) fn record(tape: &mut Tape, o: Operands, s: Sizes, k: Kernels) -> Result<(Value, Value)> {
    let save = tape.needs_grad(o.query) || tape.needs_grad(o.patterns);
    let (steps, saved) = (s.options.steps, if save { s.options.steps } else { 0 });
    let packed = pack(tape, o.patterns, &s, &k)?;
    let words = [s.rows, RECORD + saved];
    let record = tape.temporary("hopfield.record", &words, Element::U32)?;
    let retrieved = tape.temporary("hopfield", &[s.rows, s.features], Element::F32)?;
    // Without a gradient nothing is written there.
    let shape: &[usize] = if save { &[steps, s.rows, s.features] } else { &[1] };
    let iterates = tape.temporary("hopfield.iterates", shape, Element::F32)?;
    let in_flight = s.rows.min(IN_FLIGHT).next_multiple_of(BLOCK);
    let columns = k.slots_padded + 2 * k.features_padded;
    let scratch = tape.temporary("hopfield.scratch", &[in_flight, columns], Element::F32)?;
    for first in (0..s.rows).step_by(in_flight) {
        for (begin, end) in k.ranges(steps) {
            let params = Forward {
                rows: s.rows as u32,
                first: first as u32,
                slots: s.slots as u32,
                features: s.features as u32,
                slots_padded: k.slots_padded as u32,
                features_padded: k.features_padded as u32,
                begin: begin as u32,
                end: end as u32,
                renormalise: u32::from(s.options.renormalise),
                save: u32::from(save),
                record: words[1] as u32,
                tolerance: s.options.tolerance,
            };
            let blocks = in_flight.min(s.rows - first).div_ceil(BLOCK) as u64;
            let launch = Dispatch::new(k.kernel(&FORWARD_SUBGROUP), &params, blocks);
            let launch = launch.read(o.query).read(packed).read(o.beta);
            tape.dispatch(launch.write(scratch).write(iterates).write(record).write(retrieved));
        }
    }
    let saved = Saved { packed, iterates, record };
    tape.rule(retrieved, &[o.query, o.patterns], move |tape, grad, needs| {
        backward(tape, o, s, k, saved, grad, needs[1])
    });
    Ok((retrieved, record))
}

fn pack(tape: &mut Tape, patterns: Value, s: &Sizes, k: &Kernels) -> Result<Value> {
    let shape = [2, k.slots_padded * k.features_padded];
    let packed = tape.temporary("hopfield.packed", &shape, Element::F32)?;
    let params = Pack {
        slots: s.slots as u32,
        features: s.features as u32,
        slots_padded: k.slots_padded as u32,
        features_padded: k.features_padded as u32,
    };
    let launch = Dispatch::new(k.kernel(&PACK), &params, groups_for(shape[0] * shape[1]));
    tape.dispatch(launch.read(patterns).write(packed));
    Ok(packed)
}

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Copy)]
struct Saved {
    packed: Value,
    iterates: Value,
    record: Value,
}

fn backward(
    tape: &mut Tape,
    o: Operands,
    s: Sizes,
    k: Kernels,
    saved: Saved,
    grad: Value,
    to_patterns: bool,
) -> Result<Vec<Option<Value>>> {
    let steps = s.options.steps;
    let grad_query = tape.temporary("hopfield.grad_query", &[s.rows, s.features], Element::F32)?;
    let shape = [s.slots, s.features];
    let grad_patterns = tape.temporary("hopfield.grad_patterns", &shape, Element::F32)?;
    let (rows, chunks) = k.chunks(&s);
    let columns = steps * 2 * (k.slots_padded + k.features_padded) + k.features_padded;
    let chunk = tape.temporary("hopfield.chunk", &[rows, columns], Element::F32)?;
    for c in 0..chunks {
        let blocks = (s.rows - c * rows).min(rows).div_ceil(BLOCK);
        let params = |(begin, end): (usize, usize)| Backward {
            rows: s.rows as u32,
            first: (c * rows) as u32,
            blocks: blocks as u32,
            slots: s.slots as u32,
            features: s.features as u32,
            slots_padded: k.slots_padded as u32,
            features_padded: k.features_padded as u32,
            begin: begin as u32,
            end: end as u32,
            steps: steps as u32,
            renormalise: u32::from(s.options.renormalise),
            record: (RECORD + steps) as u32,
            accumulate: u32::from(c > 0),
        };
        for range in k.ranges(steps).rev() {
            let kernel = k.kernel(&BACKWARD_SUBGROUP);
            let launch = Dispatch::new(kernel, &params(range), blocks as u64);
            let launch = launch.read(grad).read(o.query).read(saved.packed).read(o.beta);
            let launch = launch.read(saved.iterates).read(saved.record);
            tape.dispatch(launch.write(chunk).write(grad_query));
        }
        if to_patterns {
            let kernel = k.kernel(&BACKWARD_PATTERNS_SUBGROUP);
            let tiles = s.slots.div_ceil(k.lanes) * k.features_padded / (8 * k.lanes);
            let launch = Dispatch::new(kernel, &params((0, steps)), tiles as u64);
            tape.dispatch(launch.read(chunk).write(grad_patterns));
        }
    }
    Ok(vec![Some(grad_query), to_patterns.then_some(grad_patterns)])
}
