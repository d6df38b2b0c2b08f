//! Moving bytes between main memory and buffers.

use super::device::{Buffer, Gpu};
use super::fault::lock;
use crate::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Reads up to this many bytes share one staging buffer; larger ones, such as a checkpoint's, get
/// one of their own that is freed afterwards.
const STAGING: u64 = 256 << 10;

/// wgpu keeps a copy of what is written until a submission that took it over is done. After this many bytes one is made,
/// and waited for unless a step may be running, while which the next one's images are on their way: so weights and
/// resident images are not in memory twice.
const UNSUBMITTED: usize = 8 << 20;

/// What moves bytes.
#[derive(Default)]
pub(super) struct Transfers {
    /// A staging buffer that reads take and put back, so that reading losses creates nothing.
    staging: Mutex<Option<Buffer>>,
    /// Bytes written since the last submission.
    unsubmitted: AtomicU64,
    /// Whether work was submitted that has not been waited for.
    pub(super) steps_run: AtomicBool,
    /// Reads so far.
    pub(super) readbacks: AtomicU64,
}

impl Gpu {
    /// Writes bytes; they arrive before any work submitted after this call.
    ///
    /// # Errors
    /// A range outside the buffer, a length that is no multiple of 4, or an earlier fault.
    pub fn write(&self, buffer: &Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset + bytes.len() as u64;
        if end > buffer.size() || !bytes.len().is_multiple_of(4) || !offset.is_multiple_of(4) {
            return Err(Error::Internal(format!(
                "write of bytes {offset}..{end} to {} of {} bytes",
                buffer.label(),
                buffer.size()
            )));
        }
        self.0.faults.begin(buffer.label())?;
        let mut at = offset;
        for part in bytes.chunks(UNSUBMITTED) {
            self.0.queue.write_buffer(buffer.raw(), at, part);
            let len = part.len() as u64;
            at += len;
            let before = self.0.transfers.unsubmitted.fetch_add(len, Ordering::Relaxed);
            if before + len >= UNSUBMITTED as u64 {
                self.enqueue(None);
                if !self.0.transfers.steps_run.load(Ordering::Relaxed) {
                    self.wait_all()?;
                }
            }
        }
        self.check()
    }

    /// Submits what was written so far, then `commands`.
    pub(super) fn enqueue(&self, commands: Option<wgpu::CommandBuffer>) -> wgpu::SubmissionIndex {
        self.0.transfers.unsubmitted.store(0, Ordering::Relaxed);
        self.0.queue.submit(commands)
    }

    /// Reads bytes after all submitted work, waiting for it.
    ///
    /// # Errors
    /// A range outside the buffer, or a fault of the work read from.
    pub fn read(&self, buffer: &Buffer, offset: u64, size: u64) -> Result<Vec<u8>> {
        if offset + size > buffer.size() || !size.is_multiple_of(4) || !offset.is_multiple_of(4) {
            return Err(Error::Internal(format!(
                "read of {size} bytes at {offset} from {} of {} bytes",
                buffer.label(),
                buffer.size()
            )));
        }
        if size == 0 {
            return Ok(Vec::new());
        }
        self.0.faults.begin(buffer.label())?;
        let pooled = size <= STAGING;
        let spare = if pooled { lock(&self.0.transfers.staging).take() } else { None };
        let staging = match spare {
            Some(staging) => staging,
            None => {
                let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
                self.create("readback", if pooled { STAGING } else { size }, usage)?
            }
        };
        let bytes = self.read_through(&staging, buffer, offset, size)?;
        if pooled {
            *lock(&self.0.transfers.staging) = Some(staging);
        }
        Ok(bytes)
    }

    fn read_through(
        &self,
        staging: &Buffer,
        buffer: &Buffer,
        offset: u64,
        size: u64,
    ) -> Result<Vec<u8>> {
        self.0.faults.begin(buffer.label())?;
        self.0.transfers.readbacks.fetch_add(1, Ordering::Relaxed);
        let mut encoder = self.0.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer.raw(), offset, staging.raw(), 0, size);
        self.enqueue(Some(encoder.finish()));
        let slice = staging.raw().slice(..size);
        let failure = Arc::new(Mutex::new(None));
        let slot = failure.clone();
        slice.map_async(wgpu::MapMode::Read, move |r| *lock(&slot) = r.err());
        self.wait_all()?;
        let failed = |message: String| Error::Gpu {
            context: format!("reading {}", buffer.label()),
            message,
        };
        if let Some(e) = lock(&failure).take() {
            return Err(failed(e.to_string()));
        }
        let view = slice.get_mapped_range().map_err(|e| failed(e.to_string()))?;
        let bytes = view.to_vec();
        drop(view);
        staging.raw().unmap();
        Ok(bytes)
    }
}
