//! Recording: values, dispatches and gradient rules. Nothing here touches a GPU.

use crate::gpu::{Kernel, KernelChoice, Tuning, Variant};
use crate::ops;
pub use crate::tensor::Element;
use crate::tensor::{Store, VarId};
use crate::{Error, Result};
use std::collections::{HashMap, HashSet};

/// A tensor on the tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Lives in an arena from its first to its last use.
    Temporary,
    /// Lives in the store.
    Variable(VarId),
    /// The same memory as another value, under another shape.
    Alias(Value),
}

#[derive(Clone)]
pub(super) struct ValueInfo {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) element: Element,
    pub(super) place: Place,
    needs_grad: bool,
}

/// One kernel launch: bindings in the shader's order, storage first, Params last.
#[derive(Clone)]
pub struct Dispatch {
    pub(super) kernel: Kernel,
    pub(super) bindings: Vec<(Value, bool)>,
    pub(super) params: Vec<u8>,
    pub(super) groups: u64,
    pub(super) flops: u64,
    /// It ran before in the step: what it writes was given up since.
    pub(super) again: bool,
}

impl Dispatch {
    /// A launch of `groups` workgroups.
    pub fn new(kernel: Kernel, params: &impl bytemuck::NoUninit, groups: u64) -> Self {
        let params = bytemuck::bytes_of(params).to_vec();
        Self { kernel, bindings: Vec::new(), params, groups, flops: 0, again: false }
    }

    /// Declares the launch's floating point operations, a multiply-add counting two, for profiles.
    #[must_use]
    pub fn flops(mut self, flops: u64) -> Self {
        self.flops = flops;
        self
    }

    /// The next binding is read.
    #[must_use]
    pub fn read(mut self, value: Value) -> Self {
        self.bindings.push((value, false));
        self
    }

    /// The next binding is written, or read and written.
    #[must_use]
    pub fn write(mut self, value: Value) -> Self {
        self.bindings.push((value, true));
        self
    }
}

/// Records the gradients of a rule's inputs, given those of its outputs (`None` for an output that
/// the loss does not depend on); `None` where an input needs none.
type Rule = Box<dyn FnOnce(&mut Tape, &[Option<Value>], &[bool]) -> Result<Vec<Option<Value>>>>;

struct Node {
    outputs: Vec<Value>,
    inputs: Vec<Value>,
    rule: Rule,
}

/// The gradient of each trainable variable that the loss depends on.
#[derive(Debug, Default)]
pub struct Gradients(HashMap<VarId, Value>);

impl Gradients {
    /// The gradient of a variable, shaped as the variable.
    pub fn get(&self, variable: VarId) -> Option<Value> {
        self.0.get(&variable).copied()
    }
}

/// The record of one step.
pub struct Tape {
    variant: Variant,
    tuning: Tuning,
    pub(super) values: Vec<ValueInfo>,
    pub(super) dispatches: Vec<Dispatch>,
    pub(super) kept: Vec<Value>,
    nodes: Vec<Node>,
    variables: HashMap<VarId, Value>,
    frozen: HashSet<VarId>,
    forward_only: bool,
    rerun_parts: usize,
}

impl Tape {
    /// An empty tape, for adapters that run the given kernels: [`AdapterReport::kernels`](crate::gpu::AdapterReport::kernels).
    pub fn new(kernels: impl Into<KernelChoice>) -> Self {
        let KernelChoice { variant, tuning } = kernels.into();
        Self {
            variant,
            tuning,
            values: Vec::new(),
            dispatches: Vec::new(),
            kept: Vec::new(),
            nodes: Vec::new(),
            variables: HashMap::new(),
            frozen: HashSet::new(),
            forward_only: false,
            rerun_parts: 0,
        }
    }

    /// An empty tape for what is never walked back: every variable is a constant, so that no operation
    /// keeps anything for its gradient.
    pub fn forward_only(kernels: impl Into<KernelChoice>) -> Self {
        Self { forward_only: true, ..Self::new(kernels) }
    }

    /// From now on the results of the first `parts` [parts](Self::part) of a network are kept for the backward pass, what
    /// lies within them is not: less memory for running them once more (Chen et al. 2016, arXiv 1604.06174).
    pub fn recompute(&mut self, parts: usize) {
        self.rerun_parts = parts;
    }

    /// Which of a family's kernels to record: never [`Variant::Cooperative`], which is
    /// [another](Self::convolutions) for convolutions alone.
    pub fn variant(&self) -> Variant {
        match self.variant {
            Variant::Cooperative => Variant::Tiled,
            other => other,
        }
    }

    /// Which kernels convolutions record.
    pub fn convolutions(&self) -> Variant {
        self.variant
    }

    /// Puts other kernels with the same bindings in place of those recorded, where `other` gives one: a
    /// test's own.
    pub fn replace_kernels(&mut self, other: impl Fn(&Kernel) -> Option<Kernel>) {
        for launch in &mut self.dispatches {
            if let Some(kernel) = other(&launch.kernel) {
                launch.kernel = kernel;
            }
        }
    }

    /// From which sizes on.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// Takes a trainable variable that is not on the tape yet for a constant: no gradient reaches it.
    pub fn freeze(&mut self, id: VarId) {
        self.frozen.insert(id);
    }

    /// The value of a variable of the store.
    pub fn variable(&mut self, store: &Store, id: VarId) -> Value {
        if let Some(v) = self.variables.get(&id) {
            return *v;
        }
        let v = store.variable(id);
        let value = self.push(ValueInfo {
            name: v.name.clone(),
            shape: v.shape.clone(),
            element: v.element,
            place: Place::Variable(id),
            needs_grad: v.trainable && !self.forward_only && !self.frozen.contains(&id),
        });
        self.variables.insert(id, value);
        value
    }

    /// A new temporary, to be written by exactly one operation.
    ///
    /// # Errors
    /// A dimension of 0.
    pub fn temporary(&mut self, name: &str, shape: &[usize], element: Element) -> Result<Value> {
        if shape.contains(&0) {
            return Err(Error::shape(
                name,
                format!("shape {shape:?}: every dimension must be at least 1"),
            ));
        }
        Ok(self.push(ValueInfo {
            name: name.to_string(),
            shape: shape.to_vec(),
            element,
            place: Place::Temporary,
            needs_grad: false,
        }))
    }

    fn push(&mut self, info: ValueInfo) -> Value {
        self.values.push(info);
        Value(self.values.len() - 1)
    }

    pub(super) fn info(&self, v: Value) -> &ValueInfo {
        &self.values[v.0]
    }

    /// The value whose memory `v` uses.
    pub(super) fn root(&self, mut v: Value) -> Value {
        while let Place::Alias(of) = self.info(v).place {
            v = of;
        }
        v
    }

    /// Shape, outermost dimension first.
    pub fn shape(&self, v: Value) -> &[usize] {
        &self.info(v).shape
    }

    /// Number of elements.
    pub fn len(&self, v: Value) -> usize {
        self.shape(v).iter().product()
    }

    /// Whether a gradient of this value would reach a parameter.
    pub fn needs_grad(&self, v: Value) -> bool {
        self.info(v).needs_grad
    }

    /// The same memory under another shape of equal length.
    ///
    /// # Errors
    /// Shapes of different length.
    pub fn reshape(&mut self, v: Value, shape: &[usize]) -> Result<Value> {
        let old = self.shape(v).to_vec();
        if old.iter().product::<usize>() != shape.iter().product::<usize>() {
            return Err(Error::shape("reshape", format!("{old:?} into {shape:?}")));
        }
        let info = self.info(v);
        let (name, element) = (info.name.clone(), info.element);
        let place = Place::Alias(v);
        let out =
            self.push(ValueInfo { name, shape: shape.to_vec(), element, place, needs_grad: false });
        self.rule(out, &[v], move |tape, g, _| Ok(vec![Some(tape.reshape(g, &old)?)]));
        Ok(out)
    }

    /// Appends a launch.
    pub fn dispatch(&mut self, dispatch: Dispatch) {
        self.dispatches.push(dispatch);
    }

    /// Says how the gradient of `output` becomes gradients of `inputs`. The rule is told which
    /// inputs need one.
    pub fn rule(
        &mut self,
        output: Value,
        inputs: &[Value],
        rule: impl FnOnce(&mut Self, Value, &[bool]) -> Result<Vec<Option<Value>>> + 'static,
    ) {
        self.rule_of_many(&[output], inputs, |tape, grads, needs| match grads {
            [Some(grad)] => rule(tape, *grad, needs),
            _ => Ok(vec![None; needs.len()]),
        });
    }

    /// [`Self::rule`] for an operation with several outputs, not all of which the loss need depend
    /// on.
    pub fn rule_of_many(
        &mut self,
        outputs: &[Value],
        inputs: &[Value],
        rule: impl FnOnce(&mut Self, &[Option<Value>], &[bool]) -> Result<Vec<Option<Value>>> + 'static,
    ) {
        if inputs.iter().any(|v| self.needs_grad(*v)) {
            outputs.iter().for_each(|v| self.values[v.0].needs_grad = true);
            let (outputs, inputs) = (outputs.to_vec(), inputs.to_vec());
            self.nodes.push(Node { outputs, inputs, rule: Box::new(rule) });
        }
    }

    /// Records part `index` of a network, counted from 0, which turns `x` into one value. It is [run again](Self::rerun)
    /// for the backward pass where the tape is to [recompute](Self::recompute) it.
    ///
    /// # Errors
    /// Those of `record`.
    pub fn part(
        &mut self,
        index: usize,
        x: Value,
        record: impl FnOnce(&mut Self, Value) -> Result<Value>,
    ) -> Result<Value> {
        if index >= self.rerun_parts {
            return record(self, x);
        }
        Ok(self.rerun(|tape| Ok(vec![record(tape, x)?]))?[0])
    }

    /// Records what leads to some values, of which only they are kept for the backward pass, which runs the launches
    /// again before it needs what lies within: on the values that the rules know, while the first run has values of
    /// its own, which end with it. A variable that is written is written twice, the same.
    ///
    /// # Errors
    /// Those of `record`.
    pub fn rerun(
        &mut self,
        record: impl FnOnce(&mut Self) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let first_value = self.values.len();
        let (first_launch, first_node) = (self.dispatches.len(), self.nodes.len());
        let results = record(self)?;
        if self.nodes.len() == first_node {
            return Ok(results);
        }
        let again = self.dispatches.split_off(first_launch);
        let nodes = self.nodes.split_off(first_node);
        let mut own = HashMap::new();
        for i in first_value..self.values.len() {
            let info = self.values[i].clone();
            let place = match info.place {
                Place::Variable(_) => continue,
                Place::Temporary => Place::Temporary,
                Place::Alias(of) => Place::Alias(own.get(&of).copied().unwrap_or(of)),
            };
            own.insert(Value(i), self.push(ValueInfo { place, needs_grad: false, ..info }));
        }
        let of_first_run = |v: Value| own.get(&v).copied().unwrap_or(v);
        for mut launch in again.iter().cloned() {
            launch.bindings.iter_mut().for_each(|(v, _)| *v = of_first_run(*v));
            self.dispatches.push(launch);
        }
        let mut inputs = Vec::new();
        for input in nodes.iter().flat_map(|node| &node.inputs) {
            if !own.contains_key(input) && self.needs_grad(*input) && !inputs.contains(input) {
                inputs.push(*input);
            }
        }
        let of_inputs = inputs.clone();
        let kept: Vec<Value> = results.iter().map(|v| of_first_run(*v)).collect();
        self.rule_of_many(&kept, &inputs, move |tape, of_kept, _| {
            tape.dispatches.extend(again);
            let of_results = results.iter().zip(of_kept);
            let mut grads = of_results.filter_map(|(v, grad)| Some((*v, (*grad)?))).collect();
            tape.walk(nodes, &mut grads)?;
            Ok(of_inputs.iter().map(|v| grads.remove(v)).collect())
        });
        Ok(kept)
    }

    /// Keeps a value's memory after the step, so that it can be read.
    pub fn keep(&mut self, v: Value) {
        self.kept.push(v);
    }

    /// Lets a temporary live in a variable of the same shape, so that it outlives the step: a
    /// gradient in the flat slab that the optimiser walks.
    ///
    /// # Errors
    /// Another shape, or a value that is not a temporary.
    pub fn place(&mut self, v: Value, store: &Store, id: VarId) -> Result<()> {
        let (root, variable) = (self.root(v), store.variable(id));
        if self.len(v) != variable.len() || self.info(root).place != Place::Temporary {
            return Err(Error::shape(
                "place",
                format!(
                    "{} {:?} into {} {:?}: expected a temporary of that size",
                    self.info(v).name,
                    self.shape(v),
                    variable.name,
                    variable.shape
                ),
            ));
        }
        self.values[root.0].place = Place::Variable(id);
        Ok(())
    }

    /// Appends the backward pass. Each pair is an output and the gradient of the loss with respect
    /// to it; the loss is the sum over the pairs.
    ///
    /// # Errors
    /// A seed of another shape than its output.
    pub fn backward(&mut self, outputs: &[(Value, Value)]) -> Result<Gradients> {
        let mut grads: HashMap<Value, Value> = HashMap::new();
        for &(output, seed) in outputs {
            if self.shape(output) != self.shape(seed) {
                return Err(Error::shape(
                    "backward",
                    format!("output {:?}, seed {:?}", self.shape(output), self.shape(seed)),
                ));
            }
            let sum = match grads.get(&output) {
                Some(before) => ops::add::add(self, *before, seed)?,
                None => seed,
            };
            grads.insert(output, sum);
        }
        let nodes = std::mem::take(&mut self.nodes);
        self.walk(nodes, &mut grads)?;
        let of_variables = grads.into_iter().filter_map(|(v, g)| match self.info(v).place {
            Place::Variable(id) => Some((id, g)),
            _ => None,
        });
        Ok(Gradients(of_variables.collect()))
    }

    /// Walks back over `nodes`, adding to `grads`.
    fn walk(&mut self, nodes: Vec<Node>, grads: &mut HashMap<Value, Value>) -> Result<()> {
        for node in nodes.into_iter().rev() {
            let of_outputs: Vec<Option<Value>> =
                node.outputs.iter().map(|v| grads.remove(v)).collect();
            if of_outputs.iter().all(Option::is_none) {
                continue;
            }
            let needs: Vec<bool> = node.inputs.iter().map(|v| self.needs_grad(*v)).collect();
            let parts = (node.rule)(self, &of_outputs, &needs)?;
            for ((input, part), need) in node.inputs.iter().zip(parts).zip(needs) {
                let Some(part) = part.filter(|_| need) else { continue };
                let sum = match grads.get(input) {
                    Some(before) => ops::add::add(self, *before, part)?,
                    None => part,
                };
                grads.insert(*input, sum);
            }
        }
        Ok(())
    }
}
