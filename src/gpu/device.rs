//! One opened adapter: buffers, pipelines, submission, faults.

use super::adapter::{self, AdapterReport, DeviceSelector};
use super::fault::{Faults, lock, typed};
use super::shader::{self, Dialect, Kernel, PipelineKey, Slot, Texels};
use super::texels::{self, Load, Textures};
use super::transfer::Transfers;
use super::tuning::Tuning;
use crate::error::{Error, MEMORY_BUDGET, Result};
use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How to open an adapter.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Which adapter.
    pub device: DeviceSelector,
    /// Request WebGPU's default limits instead of the adapter's own: what a browser would give.
    pub default_limits: bool,
    /// Most bytes that all buffers may take together; no limit if absent.
    pub memory_budget: Option<u64>,
    /// From which sizes on which kernels are used; as built in for its class if absent.
    pub tuning: Option<Tuning>,
    /// Which operands kernels read in textures; as is fastest by driver and processor if absent.
    pub texels: Option<Texels>,
}

/// What has been created and moved so far; a steady training step changes only `submissions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Buffers created.
    pub buffers: u64,
    /// Bytes of live buffers.
    pub live_bytes: u64,
    /// Pipelines built.
    pub pipelines: u64,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Reads from the GPU.
    pub readbacks: u64,
    /// Command buffers submitted.
    pub submissions: u64,
}

#[derive(Default)]
struct Meters {
    buffers: AtomicU64,
    live_bytes: AtomicU64,
    pipelines: AtomicU64,
    bind_groups: AtomicU64,
    submissions: AtomicU64,
}

/// An opened adapter. Clones share it.
#[derive(Clone)]
pub struct Gpu(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    report: AdapterReport,
    pub(super) dialect: Dialect,
    limits: wgpu::Limits,
    memory_budget: Option<u64>,
    pub(super) faults: Arc<Faults>,
    pipelines: Mutex<HashMap<PipelineKey, Pipeline>>,
    pub(super) transfers: Transfers,
    pub(super) textures: Textures,
    meters: Arc<Meters>,
}

impl Inner {
    /// Counts memory that is kept until the device is gone.
    pub(super) fn took(&self, bytes: u64) {
        self.meters.live_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A compiled kernel.
#[derive(Clone)]
pub struct Pipeline(Arc<PipelineInner>);

struct PipelineInner {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    slots: Vec<Slot>,
    kernel: Kernel,
    label: String,
}

impl Pipeline {
    /// Bytes of each of these storage bindings that the kernel reads in a texture.
    pub(crate) fn texel_sizes(&self, storage: &[(BindingRange, bool)]) -> Vec<u64> {
        let slots = storage.iter().zip(&self.0.slots);
        slots.filter(|(_, slot)| **slot == Slot::Texels).map(|((range, _), _)| range.size).collect()
    }
}

/// A GPU buffer; freed when the last clone is dropped.
#[derive(Clone)]
pub struct Buffer(Arc<BufferInner>);

struct BufferInner {
    buffer: wgpu::Buffer,
    label: String,
    meters: Arc<Meters>,
}

impl Drop for BufferInner {
    fn drop(&mut self) {
        self.meters.live_bytes.fetch_sub(self.buffer.size(), Ordering::Relaxed);
    }
}

impl Buffer {
    pub(super) fn raw(&self) -> &wgpu::Buffer {
        &self.0.buffer
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.0.buffer.size()
    }

    /// The name given at creation.
    pub fn label(&self) -> &str {
        &self.0.label
    }
}

/// A range of a buffer that one binding of a kernel sees. Offset and size in bytes.
#[derive(Clone)]
pub struct BindingRange {
    /// The buffer.
    pub buffer: Buffer,
    /// Start, a multiple of 256.
    pub offset: u64,
    /// Length, a multiple of 4, more than 0.
    pub size: u64,
}

/// Which range of which buffer, for as long as that lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct RangeId {
    /// Its address in memory.
    pub(super) buffer: usize,
    pub(super) start: u64,
    pub(super) end: u64,
}

impl RangeId {
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.buffer == other.buffer && self.start < other.end && other.start < self.end
    }
}

impl BindingRange {
    pub(super) fn id(&self) -> RangeId {
        let buffer = Arc::as_ptr(&self.buffer.0).addr();
        RangeId { buffer, start: self.offset, end: self.offset + self.size }
    }
}

/// One ready dispatch: pipeline, bound buffers, grid.
pub struct Pass {
    pipeline: Pipeline,
    bind_group: wgpu::BindGroup,
    /// Operands that the kernel reads from textures.
    loads: Vec<Load>,
    grid: [u32; 3],
    /// The storage bindings, and whether they are written. The bind group keeps the driver's memory alive; this and
    /// the next keep it counted.
    storage: Vec<(BindingRange, bool)>,
    _params: Buffer,
}

impl Pass {
    /// The kernel that runs.
    pub fn kernel(&self) -> &Kernel {
        &self.pipeline.0.kernel
    }

    /// `family.stem` of the kernel.
    pub fn label(&self) -> &str {
        &self.pipeline.0.label
    }

    /// Bytes of the storage bindings, each counted once: what a kernel moves that reads or writes
    /// each element once.
    pub fn bytes(&self) -> u64 {
        self.storage.iter().map(|(range, _)| range.size).sum()
    }

    /// What the kernel reads from textures.
    pub(super) fn loads(&self) -> &[Load] {
        &self.loads
    }

    /// What the kernel writes.
    pub(super) fn written(&self) -> impl Iterator<Item = &BindingRange> {
        self.storage.iter().filter(|(_, write)| *write).map(|(range, _)| range)
    }

    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline.0.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], self.grid[2]);
    }
}

/// A copy from one buffer into another, made after the passes of a submission.
pub struct BufferCopy<'a> {
    /// What is copied.
    pub from: &'a BindingRange,
    /// Where to.
    pub to: &'a Buffer,
    /// Start in `to`, in bytes, a multiple of 4.
    pub at: u64,
}

impl BufferCopy<'_> {
    pub(super) fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let (from, to) = (self.from.buffer.raw(), self.to.raw());
        encoder.copy_buffer_to_buffer(from, self.from.offset, to, self.at, self.from.size);
    }
}

/// Every range starts at a multiple of this many bytes: what any adapter accepts as a binding's offset.
pub(crate) const ALIGN: u64 = 256;

/// A point in the queue that can be waited for.
pub struct Submission(wgpu::SubmissionIndex);

impl Gpu {
    /// Opens the chosen adapter with its own limits, or with WebGPU's defaults.
    ///
    /// # Errors
    /// No adapter, none that matches, or a driver that refuses the request.
    pub fn open(options: &OpenOptions) -> Result<Self> {
        let mut found = adapter::choose(adapter::candidates(), &options.device)?;
        found.report.tuning = options.tuning.unwrap_or(found.report.tuning);
        let available = found.adapter.limits();
        let limits = if options.default_limits {
            wgpu::Limits {
                max_inter_stage_shader_variables: available
                    .max_inter_stage_shader_variables
                    .min(wgpu::Limits::default().max_inter_stage_shader_variables),
                // Only drivers that get operands as textures need more than the default.
                max_storage_textures_per_shader_stage: available
                    .max_storage_textures_per_shader_stage,
                ..wgpu::Limits::default()
            }
        } else {
            available
        };
        let wanted = wgpu::Features::SHADER_F16
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::SUBGROUP
            | wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        let request = |features: wgpu::Features| {
            let experimental_features =
                if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
                    // SAFETY: wgpu asks to accept that such features may have bugs, and to report them. Only the
                    // kernels of `Variant::Cooperative` use this one, and a test repeats them to see that they have
                    // none.
                    unsafe { wgpu::ExperimentalFeatures::enabled() }
                } else {
                    wgpu::ExperimentalFeatures::disabled()
                };
            pollster::block_on(found.adapter.request_device(&wgpu::DeviceDescriptor {
                label: Some("anomem"),
                required_features: features,
                experimental_features,
                required_limits: limits.clone(),
                memory_hints: wgpu::MemoryHints::MemoryUsage,
                ..Default::default()
            }))
        };
        let features = found.adapter.features() & wanted;
        let (device, queue) = match request(features) {
            // What only one variant of a few kernels needs must not keep the others from running.
            Err(_) if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) => {
                found.report.cooperative_matrix.clear();
                request(features - wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
            }
            answer => answer,
        }
        .map_err(|e| Error::NoAdapter(format!("{}: {e}", found.report.name)))?;
        let faults = Arc::new(Faults::default());
        faults.doing("opening");
        let told = faults.clone();
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| told.report(&e)));
        let told = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            // Dropping and closing the device also end here; those are no faults.
            if reason != wgpu::DeviceLostReason::Destroyed {
                told.lose(message);
            }
        });
        let mut dialect = found.report.dialect();
        dialect.texels = options.texels.unwrap_or(dialect.texels);
        Ok(Self(Arc::new(Inner {
            device,
            queue,
            report: found.report,
            dialect,
            limits,
            memory_budget: options.memory_budget,
            faults,
            pipelines: Mutex::default(),
            transfers: Transfers::default(),
            textures: Textures::default(),
            meters: Arc::default(),
        })))
    }

    /// What this adapter is and can do.
    pub fn report(&self) -> &AdapterReport {
        &self.0.report
    }

    /// Largest range of a buffer that one binding may see, in bytes, as requested.
    pub fn max_binding(&self) -> u64 {
        self.0.limits.max_storage_buffer_binding_size
    }

    /// Largest buffer, in bytes, a multiple of 256. (Some drivers say one byte less than 2 GiB.)
    pub fn max_buffer(&self) -> u64 {
        self.0.limits.max_buffer_size / ALIGN * ALIGN
    }

    /// What has been created and moved so far.
    pub fn counters(&self) -> Counters {
        let m = &self.0.meters;
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        Counters {
            buffers: get(&m.buffers),
            live_bytes: get(&m.live_bytes),
            pipelines: get(&m.pipelines),
            bind_groups: get(&m.bind_groups),
            readbacks: get(&self.0.transfers.readbacks),
            submissions: get(&m.submissions),
        }
    }

    /// Reports a fault that has happened since the last call: once, or always if the device is gone.
    ///
    /// # Errors
    /// The stored fault, naming the work that was under way.
    pub fn check(&self) -> Result<()> {
        self.0.faults.check()
    }

    /// Hands the device back before the last clone is dropped. Every later call is
    /// [`Error::DeviceLost`], naming what it wanted to do.
    pub fn close(&self) {
        self.0.faults.close();
        self.0.device.destroy();
    }

    /// Whether submissions can be timed.
    pub fn has_timestamps(&self) -> bool {
        self.0.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Creates a zeroed storage buffer of `size` bytes (rounded up to 256).
    ///
    /// # Errors
    /// A size above the adapter's limit, or no memory left.
    pub fn buffer(&self, label: &str, size: u64) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        self.create(label, size, usage)
    }

    /// Creates a buffer of Params with the given bytes.
    ///
    /// # Errors
    /// No memory left.
    pub fn uniform(&self, label: &str, bytes: &[u8]) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::UNIFORM
            | wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_DST;
        let buffer = self.create(label, bytes.len() as u64, usage)?;
        self.write(&buffer, 0, bytes)?;
        Ok(buffer)
    }

    /// Refuses `more` bytes beside those in use that the memory budget does not allow.
    ///
    /// # Errors
    /// [`Error::Limit`] naming `what`.
    pub fn within_budget(&self, what: &str, more: u64) -> Result<()> {
        let wanted = self.0.meters.live_bytes.load(Ordering::Relaxed) + more;
        match self.0.memory_budget {
            Some(budget) if wanted > budget => Err(Error::Limit {
                what: what.into(),
                wanted: format!("{wanted} bytes in all"),
                limit: MEMORY_BUDGET.into(),
                allowed: format!("{budget} bytes"),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn create(
        &self,
        label: &str,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<Buffer> {
        let size = size.max(1).next_multiple_of(ALIGN);
        if size > self.0.limits.max_buffer_size {
            return Err(Error::Limit {
                what: format!("buffer {label}"),
                wanted: format!("{size} bytes"),
                limit: "max_buffer_size".into(),
                allowed: format!("{} bytes", self.0.limits.max_buffer_size),
            });
        }
        // What is read goes through memory of the host, for a moment.
        if !usage.contains(wgpu::BufferUsages::MAP_READ) {
            self.within_budget(label, size)?;
        }
        self.0.faults.begin(label)?;
        let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.0.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        });
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(typed(&e, label));
        }
        self.check()?;
        let meters = self.0.meters.clone();
        meters.buffers.fetch_add(1, Ordering::Relaxed);
        meters.live_bytes.fetch_add(size, Ordering::Relaxed);
        Ok(Buffer(Arc::new(BufferInner { buffer, label: label.to_string(), meters })))
    }

    /// Waits until everything submitted is done.
    ///
    /// # Errors
    /// A fault of that work.
    pub fn wait_all(&self) -> Result<()> {
        self.poll(wgpu::PollType::wait_indefinitely())?;
        self.0.transfers.steps_run.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for one submission.
    ///
    /// # Errors
    /// A fault of that work.
    pub fn wait(&self, submission: Submission) -> Result<()> {
        self.poll(wgpu::PollType::Wait { submission_index: Some(submission.0), timeout: None })
    }

    fn poll(&self, kind: wgpu::PollType) -> Result<()> {
        self.check()?;
        // wgpu panics where the driver says that the device is lost while it is waited for.
        let polled = catch_unwind(AssertUnwindSafe(|| self.0.device.poll(kind)));
        self.check()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(self.0.faults.during(e.to_string())),
            Err(_) => {
                self.0.faults.lose("the driver gave no answer".into());
                self.check()
            }
        }
    }

    /// The pipeline of a kernel, built at the first request.
    ///
    /// # Errors
    /// A shader that naga or the driver rejects.
    pub fn pipeline(&self, kernel: &Kernel) -> Result<Pipeline> {
        let mut cache = lock(&self.0.pipelines);
        if let Some(found) = cache.get(&kernel.key()) {
            return Ok(found.clone());
        }
        let label = kernel.shader.label();
        let mut dialect = self.0.dialect;
        let (mut module, _) = shader::read(kernel, dialect)?;
        let slots = shader::slots_of(&module, &label)?;
        dialect.copied_params &=
            slots.len() <= self.0.limits.max_storage_buffers_per_shader_stage as usize;
        shader::prepare(&mut module, dialect);
        let device = &self.0.device;
        self.0.faults.begin(&label)?;
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let entries: Vec<wgpu::BindGroupLayoutEntry> = slots
            .iter()
            .enumerate()
            .map(|(i, slot)| wgpu::BindGroupLayoutEntry {
                binding: i as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: binding_type(slot, dialect.copied_params),
                count: None,
            })
            .collect();
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(&label),
            entries: &entries,
        });
        let source = wgpu::ShaderSource::Naga(Cow::Owned(module));
        let module = device
            .create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(&label), source });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(kernel.shader.stem),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(typed(&e, &label));
        }
        self.check()?;
        self.0.meters.pipelines.fetch_add(1, Ordering::Relaxed);
        let kernel_of = kernel.clone();
        let inner = PipelineInner { pipeline, layout, slots, kernel: kernel_of, label };
        let built = Pipeline(Arc::new(inner));
        cache.insert(kernel.key(), built.clone());
        Ok(built)
    }

    /// Binds buffers to a kernel. `storage`: range and whether the caller means it to be written,
    /// in the shader's order; `params`: the Params range; `groups`: number of workgroups, folded
    /// where one dimension does not hold them.
    ///
    /// # Errors
    /// Bindings that differ from the shader's in number, kind or size; a grid beyond the limits.
    pub fn pass(
        &self,
        pipeline: &Pipeline,
        storage: &[(BindingRange, bool)],
        params: &BindingRange,
        groups: u64,
    ) -> Result<Pass> {
        let p = &pipeline.0;
        let wrong = |message: String| Error::Internal(format!("{}: {message}", p.label));
        if storage.len() + 1 != p.slots.len() {
            return Err(wrong(format!(
                "{} storage bindings given, the shader has {}",
                storage.len(),
                p.slots.len() - 1
            )));
        }
        for (i, ((range, write), slot)) in storage.iter().zip(&p.slots).enumerate() {
            let fits = match slot {
                Slot::Storage(writes) => writes == write,
                Slot::Texels => !write,
                Slot::Uniform(_) => false,
            };
            if !fits {
                return Err(wrong(format!("binding {i}: write = {write}, the shader differs")));
            }
            if !range.offset.is_multiple_of(ALIGN) {
                return Err(wrong(format!("binding {i} starts at byte {}", range.offset)));
            }
            if range.size > self.max_binding() {
                return Err(Error::Limit {
                    what: format!("{} binding {i} of {}", p.label, range.buffer.label()),
                    wanted: format!("{} bytes", range.size),
                    limit: "max_storage_buffer_binding_size".into(),
                    allowed: format!("{} bytes", self.max_binding()),
                });
            }
        }
        if p.slots.last() != Some(&Slot::Uniform(params.size as u32)) {
            return Err(wrong(format!("Params of {} bytes, the shader differs", params.size)));
        }
        self.0.faults.begin(&p.label)?;
        let ranges: Vec<&BindingRange> = storage.iter().map(|(r, _)| r).chain([params]).collect();
        let slots = ranges.iter().zip(&p.slots);
        let operands: Vec<Option<&BindingRange>> =
            slots.map(|(range, slot)| (*slot == Slot::Texels).then_some(*range)).collect();
        let written = storage.iter().filter(|(_, write)| *write).map(|(range, _)| range);
        let loads = self.texel_loads(&operands, written)?;
        let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
            .zip(ranges.iter().zip(&loads))
            .map(|(binding, (r, load))| wgpu::BindGroupEntry {
                binding,
                resource: match load {
                    Some(load) => wgpu::BindingResource::TextureView(&load.view),
                    None => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: &r.buffer.0.buffer,
                        offset: r.offset,
                        size: std::num::NonZeroU64::new(r.size),
                    }),
                },
            })
            .collect();
        let scope = self.0.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let bind_group = self.0.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&p.label),
            layout: &p.layout,
            entries: &entries,
        });
        if let Some(e) = pollster::block_on(scope.pop()) {
            return Err(typed(&e, &p.label));
        }
        self.check()?;
        self.0.meters.bind_groups.fetch_add(1, Ordering::Relaxed);
        let grid = fold(groups, self.0.limits.max_compute_workgroups_per_dimension)
            .ok_or_else(|| wrong(format!("{groups} workgroups do not fit two dimensions")))?;
        Ok(Pass {
            pipeline: pipeline.clone(),
            bind_group,
            loads: loads.into_iter().flatten().collect(),
            grid,
            storage: storage.to_vec(),
            _params: params.buffer.clone(),
        })
    }

    /// Submits the passes in order, in one compute pass unless operands are copied between them, then the copies; does
    /// not wait.
    ///
    /// # Errors
    /// An earlier fault.
    pub fn submit(
        &self,
        label: &str,
        passes: &[Pass],
        copies: &[BufferCopy<'_>],
    ) -> Result<Submission> {
        self.0.faults.begin(label)?;
        let mut encoder = self.0.device.create_command_encoder(&Default::default());
        let mut rest = texels::due(passes).peekable();
        while let Some((first, loads)) = rest.next() {
            loads.iter().for_each(|load| load.encode(&mut encoder));
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(label),
                timestamp_writes: None,
            });
            first.encode(&mut pass);
            while let Some((next, _)) = rest.next_if(|(_, loads)| loads.is_empty()) {
                next.encode(&mut pass);
            }
        }
        copies.iter().for_each(|c| c.encode(&mut encoder));
        self.send(encoder)
    }

    pub(super) fn send(&self, encoder: wgpu::CommandEncoder) -> Result<Submission> {
        self.0.meters.submissions.fetch_add(1, Ordering::Relaxed);
        self.0.transfers.steps_run.store(true, Ordering::Relaxed);
        let index = self.enqueue(Some(encoder.finish()));
        self.check()?;
        Ok(Submission(index))
    }
}

fn binding_type(slot: &Slot, copied_params: bool) -> wgpu::BindingType {
    let buffer =
        |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    match slot {
        Slot::Texels => wgpu::BindingType::StorageTexture {
            access: wgpu::StorageTextureAccess::ReadOnly,
            format: wgpu::TextureFormat::Rgba32Float,
            view_dimension: wgpu::TextureViewDimension::D2,
        },
        Slot::Uniform(_) if !copied_params => buffer(wgpu::BufferBindingType::Uniform),
        _ => buffer(wgpu::BufferBindingType::Storage { read_only: false }),
    }
}

/// Folds a linear number of workgroups into x and y; the shader's guard drops the surplus.
fn fold(groups: u64, limit: u32) -> Option<[u32; 3]> {
    let limit = u64::from(limit);
    let y = groups.div_ceil(limit).max(1);
    let x = groups.div_ceil(y).max(1);
    (y <= limit).then_some([x as u32, y as u32, 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_covers_every_group_with_few_to_spare() {
        assert_eq!(fold(0, 65_535), Some([1, 1, 1]));
        assert_eq!(fold(65_535, 65_535), Some([65_535, 1, 1]));
        for groups in [65_536u64, 65_537, 1 << 20, 4_294_836_225] {
            let [x, y, _] = fold(groups, 65_535).unwrap();
            let total = u64::from(x) * u64::from(y);
            assert!(total >= groups && total - groups < u64::from(y));
        }
        assert_eq!(fold(65_535 * 65_535 + 1, 65_535), None);
    }
}
