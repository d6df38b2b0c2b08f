//! The kernels that take a block of queries through all steps in one dispatch: tiles in workgroup memory
//! for GPUs, broadcasts within a subgroup for software drivers. Both leave the same parts for the patterns'
//! gradient.

use super::{Backward, Forward, Operands, Pack, RECORD, Sizes, SumSplits};
use crate::Result;
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Variant, shader};
use crate::ops::groups_for;

pub(super) static PACK: Shader = shader!("hopfield", "pack", Pack);
pub(super) static FORWARD_SUBGROUP: Shader = shader!("hopfield", "forward_subgroup", Forward);
pub(super) static BACKWARD_SUBGROUP: Shader = shader!("hopfield", "backward_subgroup", Backward);
pub(super) static BACKWARD_PATTERNS_SUBGROUP: Shader =
    shader!("hopfield", "backward_patterns_subgroup", Backward);
pub(super) static FORWARD_TILED: Shader = shader!("hopfield", "forward_tiled", Forward);
pub(super) static BACKWARD_TILED: Shader = shader!("hopfield", "backward_tiled", Backward);
pub(super) static BACKWARD_PATTERNS_TILED: Shader =
    shader!("hopfield", "backward_patterns_tiled", Backward);
pub(super) static SUM_SPLITS: Shader = shader!("hopfield", "sum_splits", SumSplits);

/// Lanes of a subgroup, and quads of queries that it takes: as many.
const LANES_AND_QUADS: &[(&str, &[u32])] = &[("LANES", &[4, 8]), ("QUADS", &[4, 8])];

/// The constants that are restated, with every value.
pub(super) const RESTATED: &[Restated] = &[
    (&PACK, &[("LANES", &[4, 8])]),
    (&FORWARD_SUBGROUP, LANES_AND_QUADS),
    (&BACKWARD_SUBGROUP, LANES_AND_QUADS),
    (&BACKWARD_PATTERNS_SUBGROUP, LANES_AND_QUADS),
    (&FORWARD_TILED, &[("WG", &[64, 128, 256])]),
    (&BACKWARD_TILED, &[("WG", &[64, 128, 256])]),
];

/// Loop iterations that one invocation may make on a software driver. lavapipe ends all loops of an
/// invocation after 65,535 together, without a word (`LP_MAX_TGSI_LOOP_ITERATIONS`).
const ITERATIONS: usize = 60_000;

/// Elements of the forward scratch, 64 MiB.
const SCRATCH: usize = 1 << 24;

/// What takes a block of queries.
#[derive(Clone, Copy)]
enum Unit {
    /// A workgroup of this size.
    Workgroup(u32),
    /// A subgroup of as many lanes; the patterns are packed for it, and both their sizes padded.
    Subgroup(u32),
}

/// A set of kernels, and how the work is cut for it.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    forward: &'static Shader,
    backward: &'static Shader,
    patterns: &'static Shader,
    unit: Unit,
    /// Queries of a block.
    block: usize,
    /// Queries of one forward dispatch: bounds the scratch memory.
    in_flight: usize,
    /// Elements of a backward chunk.
    chunk: usize,
    /// Steps of one dispatch.
    steps: usize,
    slots_padded: usize,
    features_padded: usize,
    /// Workgroups of the patterns' gradient, for one share of the rows; and the shares.
    tiles: usize,
    splits: usize,
}

/// The kernels that a variant has for these sizes.
pub(super) fn choose(variant: Variant, s: &Sizes) -> Option<Kernels> {
    match variant {
        Variant::Simple => None,
        Variant::Tiled | Variant::Cooperative => Some(tiled(s)),
        Variant::Subgroup { lanes } => subgroup(lanes as usize, s),
    }
}

fn tiled(s: &Sizes) -> Kernels {
    let widest = s.slots.max(s.features);
    let tiles = s.slots.div_ceil(64) * s.features.div_ceil(64);
    Kernels {
        forward: &FORWARD_TILED,
        backward: &BACKWARD_TILED,
        patterns: &BACKWARD_PATTERNS_TILED,
        unit: Unit::Workgroup(widest.next_power_of_two().clamp(64, 256) as u32),
        block: 32,
        in_flight: 8192,
        // 64 MiB.
        chunk: 1 << 24,
        steps: s.options.steps.max(s.backward_steps()),
        slots_padded: s.slots,
        features_padded: s.features,
        tiles,
        // Enough workgroups for a large GPU, whatever the sizes.
        splits: (512 / tiles).clamp(1, 16),
    }
}

fn subgroup(lanes: usize, s: &Sizes) -> Option<Kernels> {
    let tile = 8 * lanes;
    let (m, d) = (s.slots.div_ceil(tile), s.features.div_ceil(tile));
    let tiles = m * 2 * d;
    // An upper bound of the backward kernel's loops per step, every loop of the source counted.
    let per_step = 30 * m * d + 25 * lanes * m + 50 * lanes * d + 128;
    let steps = ITERATIONS / per_step;
    (steps > 0).then_some(Kernels {
        forward: &FORWARD_SUBGROUP,
        backward: &BACKWARD_SUBGROUP,
        patterns: &BACKWARD_PATTERNS_SUBGROUP,
        unit: Unit::Subgroup(lanes as u32),
        block: 4 * lanes,
        in_flight: 2048,
        // 8 MiB: the patterns' gradient reads it once per tile, best from a cache.
        chunk: 1 << 21,
        steps,
        slots_padded: m * tile,
        features_padded: d * tile,
        tiles,
        // Enough workgroups for a processor of many cores.
        splits: (32 / tiles).clamp(1, 4),
    })
}

impl Kernels {
    fn kernel(&self, shader: &'static Shader) -> Kernel {
        match self.unit {
            Unit::Workgroup(size) => Kernel::with(shader, &[("WG", size)]),
            Unit::Subgroup(lanes) => Kernel::with(shader, &[("LANES", lanes), ("QUADS", lanes)]),
        }
    }

    /// The kernel of the patterns' gradient; its workgroups are of one size.
    fn patterns_kernel(&self) -> Kernel {
        match self.unit {
            Unit::Workgroup(_) => Kernel::new(self.patterns),
            Unit::Subgroup(_) => self.kernel(self.patterns),
        }
    }

    /// Ranges of steps, each for one dispatch.
    fn ranges(&self, steps: usize) -> impl DoubleEndedIterator<Item = (usize, usize)> + use<> {
        let each = self.steps;
        (0..steps.div_ceil(each)).map(move |i| (i * each, ((i + 1) * each).min(steps)))
    }

    /// Elements per row of a backward chunk.
    fn chunk_columns(&self, s: &Sizes) -> usize {
        let parts = 2 * (self.slots_padded + self.features_padded);
        s.backward_steps() * parts + self.features_padded
    }

    /// Elements per row of the forward scratch, and the rows of one dispatch, whole blocks.
    fn scratch(&self, s: &Sizes) -> (usize, usize) {
        let columns = self.slots_padded + 2 * self.features_padded;
        let most = self.in_flight.min(SCRATCH / columns) / self.block * self.block;
        (columns, s.rows.next_multiple_of(self.block).min(most.max(self.block)))
    }

    /// Rows of one backward chunk, whole blocks. All chunks but the last have as many.
    fn chunk_rows(&self, s: &Sizes) -> usize {
        let per_row = self.chunk_columns(s);
        // The second bound keeps the loop over a chunk's blocks within ITERATIONS.
        let most = (self.chunk / per_row).min((1 << 16) / s.backward_steps()).max(self.block);
        let count = s.rows.div_ceil(most / self.block * self.block);
        s.rows.div_ceil(count).next_multiple_of(self.block)
    }

    fn pack(&self, tape: &mut Tape, patterns: Value, s: &Sizes) -> Result<Value> {
        let Unit::Subgroup(lanes) = self.unit else { return Ok(patterns) };
        let shape = [2, self.slots_padded * self.features_padded];
        let packed = tape.temporary("hopfield.packed", &shape, Element::F32)?;
        let params = Pack {
            slots: s.slots as u32,
            features: s.features as u32,
            slots_padded: self.slots_padded as u32,
            features_padded: self.features_padded as u32,
        };
        let kernel = Kernel::with(&PACK, &[("LANES", lanes)]);
        let launch = Dispatch::new(kernel, &params, groups_for(shape[0] * shape[1]));
        tape.dispatch(launch.read(patterns).write(packed));
        Ok(packed)
    }
}

/// Records the retrieval: the last iterate and the record.
pub(super) fn record(tape: &mut Tape, o: Operands, s: Sizes, k: Kernels) -> Result<(Value, Value)> {
    let wants_grad = s.wants_grad(tape, o);
    let save = wants_grad && !s.implicit();
    let lengths = if wants_grad { s.lengths() } else { 0 };
    let steps = s.options.steps;
    let packed = k.pack(tape, o.patterns, &s)?;
    let words = [s.rows, RECORD + lengths];
    let record = tape.temporary("hopfield.record", &words, Element::U32)?;
    let retrieved = tape.temporary("hopfield", &[s.rows, s.features], Element::F32)?;
    // Without an unrolled gradient nothing is written there.
    let shape: &[usize] = if save { &[steps, s.rows, s.features] } else { &[1] };
    let iterates = tape.temporary("hopfield.iterates", shape, Element::F32)?;
    let (columns, in_flight) = k.scratch(&s);
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
            let blocks = in_flight.min(s.rows - first).div_ceil(k.block) as u64;
            let launch = Dispatch::new(k.kernel(k.forward), &params, blocks);
            let launch = launch.read(o.query).read(packed).read(o.beta);
            tape.dispatch(launch.write(scratch).write(iterates).write(record).write(retrieved));
        }
    }
    if s.implicit() {
        let saved = Saved { packed, iterates: retrieved, record };
        tape.rule(retrieved, &[o.patterns], move |tape, grad, _| {
            Ok(vec![backward(tape, o, s, k, saved, grad, true)?[1]])
        });
    } else {
        let saved = Saved { packed, iterates, record };
        tape.rule(retrieved, &[o.query, o.patterns], move |tape, grad, needs| {
            backward(tape, o, s, k, saved, grad, needs[1])
        });
    }
    Ok((retrieved, record))
}

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Copy)]
struct Saved {
    packed: Value,
    /// `[steps, R, D]`; for an implicit gradient the last alone.
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
    let steps = s.backward_steps();
    // Nothing is written there for an implicit gradient.
    let shape: &[usize] = if s.implicit() { &[1] } else { &[s.rows, s.features] };
    let grad_query = tape.temporary("hopfield.grad_query", shape, Element::F32)?;
    let shape = [k.splits, s.slots, s.features];
    let partials = tape.temporary("hopfield.grad_patterns", &shape, Element::F32)?;
    let rows = k.chunk_rows(&s);
    let columns = k.chunk_columns(&s);
    let chunk = tape.temporary("hopfield.chunk", &[rows, columns], Element::F32)?;
    for first in (0..s.rows).step_by(rows) {
        let blocks = (s.rows - first).min(rows).div_ceil(k.block);
        let params = |(begin, end): (usize, usize)| Backward {
            rows: s.rows as u32,
            first: first as u32,
            blocks: blocks as u32,
            slots: s.slots as u32,
            features: s.features as u32,
            slots_padded: k.slots_padded as u32,
            features_padded: k.features_padded as u32,
            begin: begin as u32,
            end: end as u32,
            steps: steps as u32,
            renormalise: u32::from(s.options.renormalise),
            record: (RECORD + s.lengths()) as u32,
            accumulate: u32::from(first > 0),
            splits: k.splits as u32,
            implicit: u32::from(s.implicit()),
        };
        for range in k.ranges(steps).rev() {
            let launch = Dispatch::new(k.kernel(k.backward), &params(range), blocks as u64);
            let launch = launch.read(grad).read(o.query).read(saved.packed).read(o.beta);
            let launch = launch.read(saved.iterates).read(saved.record);
            tape.dispatch(launch.write(chunk).write(grad_query));
        }
        if to_patterns {
            let groups = (k.tiles * k.splits) as u64;
            let launch = Dispatch::new(k.patterns_kernel(), &params((0, steps)), groups);
            tape.dispatch(launch.read(chunk).write(partials));
        }
    }
    if !to_patterns {
        return Ok(vec![Some(grad_query), None]);
    }
    let shape = [s.slots, s.features];
    if k.splits == 1 {
        return Ok(vec![Some(grad_query), Some(tape.reshape(partials, &shape)?)]);
    }
    let grad_patterns = tape.temporary("hopfield.grad_patterns", &shape, Element::F32)?;
    let length = s.slots * s.features;
    let params = SumSplits { length: length as u32, splits: k.splits as u32 };
    let launch = Dispatch::new(Kernel::new(&SUM_SPLITS), &params, groups_for(length));
    tape.dispatch(launch.read(partials).write(grad_patterns));
    Ok(vec![Some(grad_query), Some(grad_patterns)])
}

#[cfg(test)]
mod tests {
    use super::super::{Gradient, HopfieldOptions};
    use super::*;

    #[test]
    fn subgroups_take_the_widest_memory_of_the_presets() {
        let gradient = Gradient::Unrolled;
        let options = HopfieldOptions { steps: 16, tolerance: 0.0, renormalise: false, gradient };
        // ResNet-50's last map.
        let s = Sizes { rows: 64, slots: 256, features: 2048, options };
        for lanes in [4, 8] {
            let kernels = choose(Variant::Subgroup { lanes }, &s);
            assert!(kernels.is_some_and(|k| k.steps >= 1), "{lanes} lanes");
        }
    }
}
