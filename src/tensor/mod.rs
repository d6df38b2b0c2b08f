//! Variables: named tensors that outlive a plan, laid out in flat slabs.
//!
//! Parameters, gradients and momentum each fill one slab with the same offsets, so the optimiser is
//! one dispatch over flat buffers, and several plans share weights without copies.

use crate::gpu::{ALIGN, BindingRange, Buffer, Gpu};
use crate::{Error, Result};

/// Element type of a tensor; each takes 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 32-bit unsigned integer; also four packed bytes.
    U32,
}

/// A slab of a [`Store`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabId(usize);

/// A variable of a [`Store`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VarId(usize);

struct Slab {
    name: String,
    bytes: u64,
    buffer: Option<Buffer>,
}

/// What a variable is.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Unique name, as in checkpoints.
    pub name: String,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Element type.
    pub element: Element,
    /// Whether gradients are wanted.
    pub trainable: bool,
    slab: SlabId,
    offset: u64,
}

impl Variable {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Declares variables, then holds their buffers.
#[derive(Default)]
pub struct Store {
    slabs: Vec<Slab>,
    variables: Vec<Variable>,
}

impl Store {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a slab.
    pub fn slab(&mut self, name: &str) -> SlabId {
        self.slabs.push(Slab { name: name.to_string(), bytes: 0, buffer: None });
        SlabId(self.slabs.len() - 1)
    }

    /// Adds a variable at the end of a slab.
    ///
    /// # Errors
    /// A name that exists, an empty shape or a slab that has its buffer already.
    pub fn declare(
        &mut self,
        slab: SlabId,
        name: &str,
        shape: &[usize],
        element: Element,
        trainable: bool,
    ) -> Result<VarId> {
        let wrong = |why: &str| Error::shape("variable", format!("{name} {shape:?}: {why}"));
        if self.variables.iter().any(|v| v.name == name) {
            return Err(wrong("the name is taken"));
        }
        if shape.contains(&0) {
            return Err(wrong("every dimension must be at least 1"));
        }
        let s = &mut self.slabs[slab.0];
        if s.buffer.is_some() {
            return Err(wrong("its slab is allocated already"));
        }
        let variable = Variable {
            name: name.to_string(),
            shape: shape.to_vec(),
            element,
            trainable,
            slab,
            offset: s.bytes,
        };
        s.bytes = (s.bytes + variable.len() as u64 * 4).next_multiple_of(ALIGN);
        self.variables.push(variable);
        Ok(VarId(self.variables.len() - 1))
    }

    /// Adds a flat view of all variables from `first` to `last`, with the gaps between them, which
    /// stay zero: one dispatch then serves them all.
    ///
    /// # Errors
    /// Variables of different slabs, or in the wrong order.
    pub fn span(&mut self, name: &str, first: VarId, last: VarId) -> Result<VarId> {
        let (from, to) = (self.variable(first), self.variable(last));
        if from.slab != to.slab || from.offset > to.offset || from.element != to.element {
            let message = format!("{} and {} do not span a part of one slab", from.name, to.name);
            return Err(Error::shape("variable", format!("{name}: {message}")));
        }
        let len = (to.offset - from.offset) as usize / 4 + to.len();
        let variable =
            Variable { name: name.to_string(), shape: vec![len], trainable: false, ..from.clone() };
        self.variables.push(variable);
        Ok(VarId(self.variables.len() - 1))
    }

    /// The description of a variable.
    pub fn variable(&self, id: VarId) -> &Variable {
        &self.variables[id.0]
    }

    /// Total bytes of all slabs.
    pub fn bytes(&self) -> u64 {
        self.slabs.iter().map(|s| s.bytes).sum()
    }

    /// Creates the buffers, zeroed, of slabs that have none yet.
    ///
    /// # Errors
    /// A slab above the adapter's buffer limit, or no memory left.
    pub fn allocate(&mut self, gpu: &Gpu) -> Result<()> {
        for s in self.slabs.iter_mut().filter(|s| s.buffer.is_none() && s.bytes > 0) {
            s.buffer = Some(gpu.buffer(&s.name, s.bytes)?);
        }
        Ok(())
    }

    /// Where a variable lies.
    ///
    /// # Errors
    /// A variable whose slab has no buffer yet.
    pub fn range(&self, id: VarId) -> Result<BindingRange> {
        let v = &self.variables[id.0];
        let buffer = self.slabs[v.slab.0].buffer.clone().ok_or_else(|| {
            Error::Internal(format!("variable {}: its slab is not allocated", v.name))
        })?;
        Ok(BindingRange { buffer, offset: v.offset, size: v.len() as u64 * 4 })
    }

    /// Writes a variable.
    ///
    /// # Errors
    /// Data of another length.
    pub fn upload<T: bytemuck::Pod>(&self, gpu: &Gpu, id: VarId, data: &[T]) -> Result<()> {
        let v = &self.variables[id.0];
        let bytes: &[u8] = bytemuck::cast_slice(data);
        if bytes.len() != v.len() * 4 {
            return Err(Error::shape(
                "upload",
                format!(
                    "{} {:?} takes {} bytes, {} given",
                    v.name,
                    v.shape,
                    v.len() * 4,
                    bytes.len()
                ),
            ));
        }
        let range = self.range(id)?;
        gpu.write(&range.buffer, range.offset, bytes)
    }

    /// Reads a variable, waiting for all submitted work.
    ///
    /// # Errors
    /// A fault of that work.
    pub fn download<T: bytemuck::Pod>(&self, gpu: &Gpu, id: VarId) -> Result<Vec<T>> {
        let range = self.range(id)?;
        Ok(bytemuck::pod_collect_to_vec(&gpu.read(&range.buffer, range.offset, range.size)?))
    }
}
