//! The simple kernels: one invocation per element or row, a few dispatches per step. The oracle of the
//! others, and what a software driver without subgroups runs.

use super::{Gradient, Operands, RECORD, Sizes, Step};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, shader};
use crate::ops::groups_for;
use crate::{Error, Result};

pub(super) static TO_SLOTS: Shader = shader!("hopfield", "to_slots", Step);
pub(super) static TO_FEATURES: Shader = shader!("hopfield", "to_features", Step);
pub(super) static WEIGH: Shader = shader!("hopfield", "weigh", Step);
pub(super) static ADVANCE: Shader = shader!("hopfield", "advance", Step);
pub(super) static BACKWARD_LENGTH: Shader = shader!("hopfield", "backward_length", Step);
pub(super) static BACKWARD_WEIGHTS: Shader = shader!("hopfield", "backward_weights", Step);
pub(super) static BACKWARD_INPUT: Shader = shader!("hopfield", "backward_input", Step);
pub(super) static BACKWARD_PATTERNS: Shader = shader!("hopfield", "backward_patterns", Step);

/// Most terms that one invocation may sum. lavapipe ends all loops of an invocation after 65,535 iterations
/// together, without a word (`LP_MAX_TGSI_LOOP_ITERATIONS`); `weigh` goes over a row three times.
const TERMS: usize = 21_000;

impl Sizes {
    fn step(&self, t: usize, flag: bool) -> Step {
        Step {
            rows: self.rows as u32,
            slots: self.slots as u32,
            features: self.features as u32,
            step: t as u32,
            record: (RECORD + self.lengths()) as u32,
            flag: u32::from(flag),
            tolerance: self.options.tolerance,
        }
    }

    fn launch(
        &self,
        shader: &'static Shader,
        t: usize,
        flag: bool,
        invocations: usize,
    ) -> Dispatch {
        Dispatch::new(Kernel::new(shader), &self.step(t, flag), groups_for(invocations))
    }
}

/// One step's tensors that the backward pass starts from.
#[derive(Clone, Copy)]
struct Taken {
    /// Where it stands in the record.
    at: usize,
    input: Value,
    output: Value,
}

/// Records the retrieval: the last iterate and the record.
pub(super) fn record(tape: &mut Tape, o: Operands, s: Sizes) -> Result<(Value, Value)> {
    let wants_grad = s.wants_grad(tape, o);
    let terms = s.slots.max(s.features).max(if wants_grad { s.rows.div_ceil(3) } else { 0 });
    if terms > TERMS {
        return Err(Error::Limit {
            what: format!("hopfield with query [{}, {}]", s.rows, s.features),
            wanted: format!("patterns [{}, {}]", s.slots, s.features),
            limit: "the simple kernel".into(),
            allowed: format!("{TERMS} slots or features, {} queries with a gradient", 3 * TERMS),
        });
    }
    let words = [s.rows, RECORD + s.lengths()];
    let record = tape.temporary("hopfield.record", &words, Element::U32)?;
    let mut steps = Vec::with_capacity(s.options.steps);
    let mut x = o.query;
    for t in 0..s.options.steps {
        let weights = weights(tape, o, s, t, x, Some(record))?;
        let sum = tape.temporary("hopfield.sum", &[s.rows, s.features], Element::F32)?;
        let launch = s.launch(&TO_FEATURES, t, false, s.rows * s.features);
        tape.dispatch(launch.read(weights).read(o.patterns).write(sum));
        let next = tape.temporary("hopfield.iterate", &[s.rows, s.features], Element::F32)?;
        let launch = s.launch(&ADVANCE, t, s.options.renormalise, s.rows);
        tape.dispatch(launch.read(x).read(sum).write(next).write(record));
        steps.push(Taken { at: t, input: x, output: next });
        x = next;
    }
    if let Gradient::Implicit { terms } = s.options.gradient {
        let steps = vec![Taken { at: 0, input: x, output: x }; terms];
        tape.rule(x, &[o.patterns], move |tape, grad, _| {
            Ok(vec![backward(tape, o, s, &steps, record, grad, true)?[1]])
        });
    } else {
        tape.rule(x, &[o.query, o.patterns], move |tape, grad, needs| {
            backward(tape, o, s, &steps, record, grad, needs[1])
        });
    }
    Ok((x, record))
}

/// softmax(beta x Wᵀ), `[R, M]`; with the slot and entropy of queries on their way in the record.
fn weights(
    tape: &mut Tape,
    o: Operands,
    s: Sizes,
    t: usize,
    x: Value,
    record: Option<Value>,
) -> Result<Value> {
    let shape = [s.rows, s.slots];
    let scores = tape.temporary("hopfield.scores", &shape, Element::F32)?;
    let weights = tape.temporary("hopfield.weights", &shape, Element::F32)?;
    let launch = s.launch(&TO_SLOTS, t, true, s.rows * s.slots);
    tape.dispatch(launch.read(x).read(o.patterns).read(o.beta).write(scores));
    let words = [s.rows, RECORD + s.lengths()];
    let to = match record {
        Some(record) => record,
        None => tape.temporary("hopfield.no_record", &words, Element::U32)?,
    };
    let launch = s.launch(&WEIGH, t, record.is_some(), s.rows);
    tape.dispatch(launch.read(scores).write(weights).write(to));
    Ok(weights)
}

fn backward(
    tape: &mut Tape,
    o: Operands,
    s: Sizes,
    steps: &[Taken],
    record: Value,
    grad: Value,
    to_patterns: bool,
) -> Result<Vec<Option<Value>>> {
    let (by_slot, by_feature) = ([s.rows, s.slots], [s.rows, s.features]);
    let shape = [s.slots, s.features];
    let grad_patterns = tape.temporary("hopfield.grad_patterns", &shape, Element::F32)?;
    let mut grad = grad;
    for (i, step) in steps.iter().enumerate().rev() {
        let t = step.at;
        let mut grad_sum = grad;
        if s.options.renormalise {
            grad_sum = tape.temporary("hopfield.grad_sum", &by_feature, Element::F32)?;
            let launch = s.launch(&BACKWARD_LENGTH, t, false, s.rows);
            tape.dispatch(launch.read(grad).read(step.output).read(record).write(grad_sum));
        }
        let weights = weights(tape, o, s, t, step.input, None)?;
        let grad_weights = tape.temporary("hopfield.grad_weights", &by_slot, Element::F32)?;
        let launch = s.launch(&TO_SLOTS, t, false, s.rows * s.slots);
        tape.dispatch(launch.read(grad_sum).read(o.patterns).read(o.beta).write(grad_weights));
        let grad_scores = tape.temporary("hopfield.grad_scores", &by_slot, Element::F32)?;
        let launch = s.launch(&BACKWARD_WEIGHTS, t, false, s.rows).read(grad_weights).read(o.beta);
        tape.dispatch(launch.read(record).write(weights).write(grad_scores));
        let grad_x = tape.temporary("hopfield.grad_x", &by_feature, Element::F32)?;
        let launch = s.launch(&BACKWARD_INPUT, t, false, s.rows * s.features).read(grad_scores);
        tape.dispatch(launch.read(o.patterns).read(grad).read(record).write(grad_x));
        if to_patterns {
            let more = i + 1 < steps.len();
            let launch = s.launch(&BACKWARD_PATTERNS, t, more, s.slots * s.features);
            let launch = launch.read(weights).read(grad_sum).read(grad_scores).read(step.input);
            tape.dispatch(launch.write(grad_patterns));
        }
        grad = grad_x;
    }
    Ok(vec![Some(grad), to_patterns.then_some(grad_patterns)])
}
