//! Compiling: live dispatches, memory by lifetime, pipelines, bind groups; then replaying.

use super::fuse::fused;
use super::half::halve;
use super::rematerialise::rematerialised;
use super::tape::{Dispatch, Place, Tape, Value};
use crate::gpu::{
    ALIGN, AdapterClass, BindingRange, Buffer, BufferCopy, Gpu, Kernel, Pass, Pipeline, Profile,
    Submission, lock,
};
use crate::tensor::Store;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::Mutex;

/// Limits and names of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Name in errors and profiles.
    pub label: String,
    /// Most dispatches per submission; as the class of the adapter asks for if absent. A watchdog ends what a GPU takes
    /// longer than some seconds for (Windows: 2 s); software drivers have none.
    pub max_dispatches_per_submit: Option<NonZeroUsize>,
    /// Run every launch as it was recorded, none [joined](super::fuse) to another.
    pub unfused: bool,
    /// How maps and their gradients lie in memory.
    pub precision: Precision,
    /// Run batch norms once more instead of keeping their results where memory is needed most.
    pub rematerialise: bool,
}

/// Dispatches per submission to a GPU: a millisecond of the host's time at most for all of a step's, and well below a
/// second of an integrated GPU's for each.
const PER_SUBMIT: usize = 32;

/// How what lies between the layers of a network is stored: maps and their gradients. Sums are of f32 in either case, and
/// parameters, statistics and losses are stored so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Four bytes.
    #[default]
    F32,
    /// Two bytes, where every kernel that reads or writes it can.
    F16,
}

/// A compiled tape.
pub struct Plan {
    label: String,
    passes: Vec<Pass>,
    /// Floating point operations of each pass, 0 where the operation does not say.
    flops: Vec<u64>,
    kept: HashMap<Value, BindingRange>,
    arenas: Vec<Buffer>,
    temporary_bytes: u64,
    max_dispatches: usize,
    histories: Vec<History>,
    /// Steps submitted so far. Held while a step is submitted, so that a history's slot is the step's.
    steps: Mutex<u64>,
}

/// The values that a kept value had in the last steps, on the GPU.
struct History {
    value: Value,
    from: BindingRange,
    ring: Buffer,
    /// Steps that the ring holds; step `s` lies in slot `s % capacity`.
    capacity: u64,
    /// The first step that was not read yet.
    unread: Mutex<u64>,
}

/// A temporary's size, and when its memory is in use: from a dispatch to another, several times where it is written
/// again.
struct Lifetime {
    value: Value,
    bytes: u64,
    spans: Vec<(usize, usize)>,
}

impl Lifetime {
    /// Whether both are never in use together.
    fn apart(&self, other: &Self) -> bool {
        let apart = |a: &(usize, usize), b: &(usize, usize)| a.1 < b.0 || b.1 < a.0;
        self.spans.iter().all(|a| other.spans.iter().all(|b| apart(a, b)))
    }
}

impl Plan {
    /// Compiles a tape. Dispatches whose results nobody needs are dropped.
    ///
    /// # Errors
    /// A budget or limit that the plan exceeds, found before any memory is taken; a shader or
    /// binding that does not fit.
    pub fn compile(gpu: &Gpu, tape: &Tape, store: &Store, options: &PlanOptions) -> Result<Self> {
        let live = live_dispatches(tape);
        let mut live =
            if options.unfused { live.into_iter().cloned().collect() } else { fused(tape, &live) };
        let half = match options.precision {
            Precision::F32 => HashSet::new(),
            Precision::F16 => halve(tape, &mut live)?,
        };
        let bytes = |root: Value| tape.len(root) as u64 * if half.contains(&root) { 2 } else { 4 };
        if options.rematerialise {
            live = rematerialised(tape, live, bytes);
        }
        let lifetimes = lifetimes(tape, &live, bytes)?;
        for value in live.iter().flat_map(|d| &d.bindings).map(|(v, _)| tape.root(*v)) {
            let info = tape.info(value);
            let bytes = match info.place {
                Place::Variable(id) => store.variable(id).len() as u64 * 4,
                _ => bytes(value),
            };
            if bytes > gpu.max_binding() {
                return Err(Error::Limit {
                    what: format!("{}: tensor {} {:?}", options.label, info.name, info.shape),
                    wanted: format!("{bytes} bytes"),
                    limit: "max_storage_buffer_binding_size".into(),
                    allowed: format!("{} bytes", gpu.max_binding()),
                });
            }
        }
        let (offsets, temporary_bytes) = place(&lifetimes, gpu.max_buffer());
        gpu.within_budget(&options.label, temporary_bytes)?;
        let arenas = arenas(gpu, &options.label, temporary_bytes)?;
        let range = |v: Value| -> Result<BindingRange> {
            let root = tape.root(v);
            if let Place::Variable(id) = tape.info(root).place {
                return store.range(id);
            }
            let offset = offsets[&root];
            Ok(BindingRange {
                buffer: arenas[(offset / gpu.max_buffer()) as usize].clone(),
                offset: offset % gpu.max_buffer(),
                size: bytes(root),
            })
        };
        let (uniforms, starts) = uniforms(gpu, &options.label, &live)?;
        let bound = |d: &Dispatch| -> Result<(Pipeline, Vec<(BindingRange, bool)>)> {
            let storage = d.bindings.iter().map(|(v, w)| Ok((range(*v)?, *w)));
            let storage = storage.collect::<Result<Vec<_>>>()?;
            Ok((gpu.pipeline(&gpu.suited(&d.kernel, &storage)?)?, storage))
        };
        let bound: Vec<_> = live.iter().map(bound).collect::<Result<_>>()?;
        gpu.reserve_texels(bound.iter().map(|(pipeline, storage)| pipeline.texel_sizes(storage)))?;
        let mut passes = Vec::with_capacity(live.len());
        for ((d, start), (pipeline, storage)) in live.iter().zip(starts).zip(&bound) {
            let params = BindingRange {
                buffer: uniforms.clone(),
                offset: start,
                size: d.params.len() as u64,
            };
            passes.push(gpu.pass(pipeline, storage, &params, d.groups)?);
        }
        let max_dispatches = match (options.max_dispatches_per_submit, gpu.report().class) {
            (Some(most), _) => most.get(),
            (None, AdapterClass::Software) => usize::MAX,
            (None, _) => PER_SUBMIT,
        };
        let kept =
            tape.kept.iter().map(|v| Ok((*v, range(*v)?))).collect::<Result<HashMap<_, _>>>()?;
        Ok(Self {
            label: options.label.clone(),
            passes,
            flops: live.iter().map(|d| d.flops).collect(),
            kept,
            arenas,
            temporary_bytes,
            max_dispatches,
            histories: Vec::new(),
            steps: Mutex::new(0),
        })
    }

    /// Bytes of the arenas.
    pub fn temporary_bytes(&self) -> u64 {
        self.temporary_bytes
    }

    /// Number of dispatches of a step.
    pub fn dispatches(&self) -> usize {
        self.passes.len()
    }

    /// Submits one step; does not wait.
    ///
    /// # Errors
    /// A fault of earlier work.
    pub fn run(&self, gpu: &Gpu) -> Result<Submission> {
        let mut steps = lock(&self.steps);
        let mut parts = self.passes.chunks(self.max_dispatches);
        let last = parts.next_back().unwrap_or_default();
        parts.try_for_each(|part| gpu.submit(&self.label, part, &[]).map(drop))?;
        let submission = gpu.submit(&self.label, last, &self.copies(*steps))?;
        *steps += 1;
        Ok(submission)
    }

    /// Runs one step with every dispatch timed, waits for it and adds it to a profile.
    ///
    /// # Errors
    /// An adapter without timestamps, or a fault of the work.
    pub fn profile_step(&self, gpu: &Gpu, profile: &mut Profile) -> Result<()> {
        let mut steps = lock(&self.steps);
        let parts = self.passes.chunks(self.max_dispatches);
        let times = gpu.submit_timed(&self.label, parts, &self.copies(*steps))?;
        *steps += 1;
        profile.add(&self.passes, &self.flops, &times);
        Ok(())
    }

    fn copies(&self, step: u64) -> Vec<BufferCopy<'_>> {
        self.histories
            .iter()
            .map(|h| BufferCopy { from: &h.from, to: &h.ring, at: step % h.capacity * h.from.size })
            .collect()
    }

    /// Remembers a kept value (losses, say) for the last `capacity` steps on the GPU, so that a
    /// training loop reads them in batches instead of waiting for each step.
    ///
    /// # Errors
    /// A value that was not kept or has a history already, a capacity of 0, no memory left.
    pub fn history(&mut self, gpu: &Gpu, value: Value, capacity: usize) -> Result<()> {
        let from = self.kept(value)?.clone();
        if capacity == 0 || self.histories.iter().any(|h| h.value == value) {
            return Err(Error::Internal(format!(
                "{}: a history of {capacity} steps, or a second one of one value",
                self.label
            )));
        }
        let capacity = capacity as u64;
        let ring = gpu.buffer(&format!("{} history", self.label), capacity * from.size)?;
        let unread = Mutex::new(*lock(&self.steps));
        self.histories.push(History { value, from, ring, capacity, unread });
        Ok(())
    }

    /// The values of all steps since the last call, oldest first, waiting for them.
    ///
    /// # Errors
    /// A value without a history, more steps since the last call than the history holds, or a fault
    /// of the work read from.
    pub fn read_history<T: bytemuck::Pod>(&self, gpu: &Gpu, value: Value) -> Result<Vec<Vec<T>>> {
        let h = self.histories.iter().find(|h| h.value == value).ok_or_else(|| {
            Error::Internal(format!("{}: the value read has no history", self.label))
        })?;
        let (steps, mut unread) = (lock(&self.steps), lock(&h.unread));
        let first = *unread;
        if *steps - first > h.capacity {
            *unread = *steps;
            return Err(Error::Internal(format!(
                "{}: {} steps since the last read, the history holds {}",
                self.label,
                *steps - first,
                h.capacity
            )));
        }
        if first == *steps {
            return Ok(Vec::new());
        }
        let size = h.from.size as usize;
        let ring = gpu.read(&h.ring, 0, h.capacity * h.from.size)?;
        *unread = *steps;
        let slot = |step: u64| (step % h.capacity) as usize * size;
        Ok((first..*steps)
            .map(slot)
            .map(|at| bytemuck::pod_collect_to_vec(&ring[at..at + size]))
            .collect())
    }

    /// The kernels of a step, in order.
    pub fn kernels(&self) -> impl Iterator<Item = &Kernel> {
        self.passes.iter().map(Pass::kernel)
    }

    /// Fills all temporaries with NaN, so that a test sees what a kernel leaves unwritten.
    ///
    /// # Errors
    /// A fault of earlier work.
    pub fn poison(&self, gpu: &Gpu) -> Result<()> {
        self.arenas.iter().try_for_each(|a| gpu.write(a, 0, &vec![0xff; a.size() as usize]))
    }

    /// Reads a value that the tape kept, waiting for all submitted work.
    ///
    /// # Errors
    /// A value that was not kept, or a fault of the work read from.
    pub fn read<T: bytemuck::Pod>(&self, gpu: &Gpu, v: Value) -> Result<Vec<T>> {
        let range = self.kept(v)?;
        Ok(bytemuck::pod_collect_to_vec(&gpu.read(&range.buffer, range.offset, range.size)?))
    }

    fn kept(&self, v: Value) -> Result<&BindingRange> {
        self.kept
            .get(&v)
            .ok_or_else(|| Error::Internal(format!("{}: the value read was not kept", self.label)))
    }
}

/// Whether the steps of two tapes launch the same kernels with the same Params on as many workgroups.
pub(crate) fn launch_alike(one: &Tape, other: &Tape) -> bool {
    let [one, other] = [one, other].map(|tape| live_dispatches(tape).into_iter().map(launch));
    one.eq(other)
}

fn launch(d: &Dispatch) -> (String, &[u8], u64) {
    (d.kernel.name(), &d.params, d.groups)
}

/// Walks back from what outlives the step: variables written and values kept.
fn live_dispatches(tape: &Tape) -> Vec<&Dispatch> {
    let mut wanted: HashSet<Value> = tape.kept.iter().map(|v| tape.root(*v)).collect();
    let mut live: Vec<&Dispatch> = Vec::new();
    for d in tape.dispatches.iter().rev() {
        let needed = d.bindings.iter().any(|(v, write)| {
            let root = tape.root(*v);
            *write
                && (wanted.contains(&root) || matches!(tape.info(root).place, Place::Variable(_)))
        });
        if needed {
            wanted.extend(d.bindings.iter().map(|(v, _)| tape.root(*v)));
            live.push(d);
        }
    }
    live.reverse();
    live
}

fn lifetimes(
    tape: &Tape,
    live: &[Dispatch],
    bytes: impl Fn(Value) -> u64,
) -> Result<Vec<Lifetime>> {
    let mut at: HashMap<Value, usize> = HashMap::new();
    let mut list: Vec<Lifetime> = Vec::new();
    for (i, d) in live.iter().enumerate() {
        for (v, write) in &d.bindings {
            let root = tape.root(*v);
            if tape.info(root).place != Place::Temporary {
                continue;
            }
            if let Some(k) = at.get(&root) {
                let spans = &mut list[*k].spans;
                match spans.last_mut() {
                    Some(span) if !(*write && d.again) => span.1 = i,
                    _ => spans.push((i, i)),
                }
                continue;
            }
            if !write {
                return Err(Error::Internal(format!(
                    "{}: {} is read before it is written",
                    d.kernel.shader.label(),
                    tape.info(root).name
                )));
            }
            at.insert(root, list.len());
            list.push(Lifetime { value: root, bytes: bytes(root), spans: vec![(i, i)] });
        }
    }
    for v in &tape.kept {
        if let Some(span) = at.get(&tape.root(*v)).and_then(|k| list[*k].spans.last_mut()) {
            span.1 = live.len();
        }
    }
    Ok(list)
}

/// Offsets of all temporaries, and the end of the last: the largest first, each at the lowest place
/// that no other temporary alive at the same time touches (greedy by size, Pisarchyk and Lee 2020).
/// No temporary straddles a multiple of `arena`.
fn place(lifetimes: &[Lifetime], arena: u64) -> (HashMap<Value, u64>, u64) {
    let mut order: Vec<&Lifetime> = lifetimes.iter().collect();
    order.sort_by_key(|l| (std::cmp::Reverse(l.bytes), l.spans.first().copied()));
    let mut placed: Vec<(u64, &Lifetime)> = Vec::new();
    let mut end = 0;
    for l in order {
        let size = l.bytes.next_multiple_of(ALIGN);
        let mut offset = 0;
        for (start, other) in &placed {
            let boundary = offset / arena != (offset + size - 1) / arena;
            if boundary {
                offset = offset.next_multiple_of(arena);
            }
            if offset + size > *start && !other.apart(l) {
                offset = offset.max(start + other.bytes.next_multiple_of(ALIGN));
            }
        }
        if offset / arena != (offset + size - 1) / arena {
            offset = offset.next_multiple_of(arena);
        }
        end = end.max(offset + size);
        let at = placed.partition_point(|(start, _)| *start <= offset);
        placed.insert(at, (offset, l));
    }
    (placed.into_iter().map(|(o, l)| (l.value, o)).collect(), end)
}

fn arenas(gpu: &Gpu, label: &str, bytes: u64) -> Result<Vec<Buffer>> {
    let mut list = Vec::new();
    let mut left = bytes;
    while left > 0 {
        let size = left.min(gpu.max_buffer());
        list.push(gpu.buffer(&format!("{label} arena {}", list.len()), size)?);
        left -= size;
    }
    Ok(list)
}

/// All Params in one uniform buffer; equal ones share a place.
fn uniforms(gpu: &Gpu, label: &str, live: &[Dispatch]) -> Result<(Buffer, Vec<u64>)> {
    let mut bytes: Vec<u8> = Vec::new();
    let mut known: HashMap<&[u8], u64> = HashMap::new();
    let starts = live
        .iter()
        .map(|d| {
            *known.entry(&d.params).or_insert_with(|| {
                bytes.resize(bytes.len().next_multiple_of(ALIGN as usize), 0);
                let start = bytes.len() as u64;
                bytes.extend_from_slice(&d.params);
                start
            })
        })
        .collect();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok((gpu.uniform(&format!("{label} params"), &bytes)?, starts))
}
