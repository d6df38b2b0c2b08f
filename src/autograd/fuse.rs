//! Fusing: a launch does the work of a ReLU or a sum that alone reads its result, so that one pass over memory is saved.
//!
//! ```text
//! batch norm, y -> ReLU, z         becomes   batch norm with ReLU, z
//! sum, y -> ReLU, z                          sum with ReLU, z
//! batch norm, y -> y + skip, z               batch norm with sum, z
//! dL/dz, z -> ReLU', dL/dy -> batch norm'    dL/dz -> batch norm' with ReLU', of a batch norm that was fused
//! ```
//! Results are the same bits as far as a driver rounds alike in two kernels: nothing is computed in another way. (With
//! maps in half precision a ReLU's gradient passes where its value was too small to be stored.)

use super::role::{Role, with_relu, with_sum};
use super::tape::{Dispatch, Place, Tape, Value};
use std::collections::HashMap;

/// Which launches write and read a value's memory, by number.
#[derive(Default)]
struct Uses {
    writers: Vec<usize>,
    readers: Vec<usize>,
}

/// A tape's launches while they are joined.
struct Fusing<'a> {
    tape: &'a Tape,
    launches: Vec<Option<Dispatch>>,
    uses: HashMap<Value, Uses>,
}

/// The launches `live` of `tape`, with every ReLU and every sum joined to what it follows, where that is possible.
pub(super) fn fused(tape: &Tape, live: &[&Dispatch]) -> Vec<Dispatch> {
    let launches = live.iter().map(|d| Some((*d).clone())).collect();
    let mut fusing = Fusing { tape, launches, uses: uses(tape, live) };
    let of = |wanted| (0..live.len()).filter(move |i| Role::of(&live[*i].kernel) == Some(wanted));
    of(Role::Relu).for_each(|i| fusing.join_relu(i));
    of(Role::Sum).for_each(|i| fusing.join_sum(i));
    of(Role::ReluBackward).for_each(|i| fusing.join_relu_backward(i));
    fusing.launches.into_iter().flatten().collect()
}

fn uses(tape: &Tape, live: &[&Dispatch]) -> HashMap<Value, Uses> {
    let mut uses: HashMap<Value, Uses> = HashMap::new();
    for (i, d) in live.iter().enumerate() {
        for (v, write) in &d.bindings {
            let of = uses.entry(tape.root(*v)).or_default();
            if *write { of.writers.push(i) } else { of.readers.push(i) }
        }
    }
    uses
}

impl Fusing<'_> {
    /// The only launch that writes `v`, a temporary that is not kept.
    fn writer(&self, v: Value) -> Option<usize> {
        let root = self.tape.root(v);
        let kept = self.tape.kept.iter().any(|k| self.tape.root(*k) == root);
        if kept || self.tape.info(root).place != Place::Temporary {
            return None;
        }
        match self.uses[&root].writers[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    fn readers(&self, v: Value) -> &[usize] {
        &self.uses[&self.tape.root(v)].readers
    }

    fn binding(&self, launch: usize, binding: usize) -> Option<Value> {
        Some(self.tape.root(self.launches[launch].as_ref()?.bindings.get(binding)?.0))
    }

    fn role(&self, launch: usize) -> Option<Role> {
        Role::of(&self.launches[launch].as_ref()?.kernel)
    }

    /// Joins the ReLU `relu` to the launch that writes its input, if nothing else reads that.
    fn join_relu(&mut self, relu: usize) {
        let (Some(y), Some(z)) = (self.binding(relu, 0), self.binding(relu, 1)) else { return };
        let Some(before) = self.writer(y).filter(|_| self.readers(y) == [relu]) else { return };
        // What outlives the step may be read in between.
        if self.tape.info(z).place != Place::Temporary
            || !matches!(self.role(before), Some(Role::Sum | Role::Norm))
        {
            return;
        }
        let Some(launch) = &mut self.launches[before] else { return };
        launch.kernel = with_relu(&launch.kernel);
        if let Some(last) = launch.bindings.last_mut() {
            last.0 = z;
        }
        self.launches[relu] = None;
        if let Some(uses) = self.uses.get_mut(&z) {
            uses.writers = vec![before];
        }
    }

    /// Joins a batch norm to the sum `sum` that alone reads its result, in the sum's place: what is added may be
    /// computed after the batch norm.
    fn join_sum(&mut self, sum: usize) {
        for side in [0, 1] {
            let Some(y) = self.binding(sum, side) else { return };
            let Some(norm) = self.writer(y).filter(|_| self.readers(y) == [sum]) else { continue };
            let (Some(before), Some(after)) = (&self.launches[norm], &self.launches[sum]) else {
                continue;
            };
            let Some(kernel) = with_sum(&before.kernel, &after.kernel) else { continue };
            let (_, inputs) = before.bindings.split_last().unwrap_or((&(y, true), &[]));
            let roots: Vec<Value> = inputs.iter().map(|(v, _)| self.tape.root(*v)).collect();
            let changes = |v| self.uses[v].writers.iter().any(|w| (norm..sum).contains(w));
            if roots.iter().any(changes) {
                continue;
            }
            let bindings = [inputs, &[after.bindings[1 - side], after.bindings[2]]].concat();
            let flops = before.flops + after.flops;
            self.launches[sum] = Some(Dispatch { kernel, bindings, flops, ..before.clone() });
            self.launches[norm] = None;
            for root in roots {
                let readers = self.uses.get_mut(&root).map(|uses| &mut uses.readers);
                readers.into_iter().flatten().filter(|i| **i == norm).for_each(|i| *i = sum);
            }
            return;
        }
    }

    /// Joins the gradient `relu` of a ReLU to the launches that read its result, if they are those of a batch norm
    /// that was joined to the ReLU and knows the sign of its result from its own input.
    fn join_relu_backward(&mut self, relu: usize) {
        let at = |binding| self.binding(relu, binding);
        let (Some(grad_z), Some(z), Some(grad_y)) = (at(0), at(1), at(2)) else { return };
        let mut writers = self.uses[&z].writers.iter().copied();
        let norm = writers.find(|i| self.role(*i) == Some(Role::Norm));
        let (Some(norm), Some(_)) = (norm, self.writer(grad_y)) else { return };
        let x = self.binding(norm, 0);
        let after = self.readers(grad_y).to_vec();
        let fits = |i: &usize| {
            self.role(*i) == Some(Role::NormBackward)
                && self.binding(*i, 0) == Some(grad_y)
                && self.binding(*i, 1) == x
        };
        if !after.iter().all(fits) {
            return;
        }
        for i in after {
            let Some(launch) = &mut self.launches[i] else { continue };
            launch.kernel = with_relu(&launch.kernel);
            launch.bindings[0].0 = grad_z;
        }
        self.launches[relu] = None;
    }
}
