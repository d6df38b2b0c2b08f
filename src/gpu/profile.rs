//! Where the time of a step goes: one compute pass per dispatch, a GPU timestamp at either end.

use super::device::{BufferCopy, Gpu, Pass};
use super::texels;
use crate::{Error, Result};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Dispatches per query set: WebGPU allows 4096 queries in one, each dispatch takes two.
const DISPATCHES_PER_SET: usize = 2048;

/// Steps whose single dispatches a trace shows.
const TRACED_STEPS: usize = 8;

/// Begin and end of each dispatch on the GPU's clock, whose zero means nothing.
pub(crate) struct Timestamps {
    ticks: Vec<[u64; 2]>,
    /// Nanoseconds per tick.
    period: f64,
}

/// All dispatches of one kernel in the profiled steps.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// `family.stem`.
    pub label: String,
    /// Dispatches.
    pub calls: u64,
    /// Time on the GPU.
    pub seconds: f64,
    /// Bytes of the storage bindings, each counted once.
    pub bytes: u64,
    /// Floating point operations, of the dispatches that declare them.
    pub flops: u64,
}

struct Event {
    label: String,
    /// Nanoseconds since the first profiled dispatch.
    begin: f64,
    /// In nanoseconds.
    duration: f64,
}

/// What the profiled steps took, per kernel; shown as a table, and as a trace for
/// `chrome://tracing` or `ui.perfetto.dev`.
///
/// A profiled step is slower than a usual one, which runs all dispatches in one pass; the times of the
/// single dispatches are what counts.
#[derive(Default)]
pub struct Profile {
    steps: u64,
    /// The first tick of the first step: what later ones are counted from, in whole numbers, since
    /// ticks since some epoch need more digits than f64 has.
    zero: Option<u64>,
    kernels: BTreeMap<String, KernelTime>,
    traced: VecDeque<Vec<Event>>,
    /// From the first begin to the last end of each step, in nanoseconds.
    elapsed: f64,
}

impl Profile {
    /// An empty profile.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of profiled steps.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Per kernel, most time first.
    pub fn kernels(&self) -> Vec<KernelTime> {
        let mut list: Vec<KernelTime> = self.kernels.values().cloned().collect();
        list.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        list
    }

    /// Adds one step. `flops`: floating point operations of each dispatch, 0 where undeclared.
    pub(crate) fn add(&mut self, passes: &[Pass], flops: &[u64], times: &Timestamps) {
        self.steps += 1;
        let first = times.ticks.first().map_or(0, |t| t[0]);
        let zero = *self.zero.get_or_insert(first);
        let mut events = Vec::with_capacity(passes.len());
        for ((pass, flops), [begin, end]) in passes.iter().zip(flops).zip(&times.ticks) {
            let event = Event {
                label: pass.label().to_string(),
                begin: begin.saturating_sub(zero) as f64 * times.period,
                // A driver whose clock is reset in between would give an end before the begin.
                duration: end.saturating_sub(*begin) as f64 * times.period,
            };
            let k = self.kernels.entry(event.label.clone()).or_insert_with(|| KernelTime {
                label: event.label.clone(),
                calls: 0,
                seconds: 0.0,
                bytes: 0,
                flops: 0,
            });
            k.calls += 1;
            k.seconds += event.duration / 1e9;
            k.bytes += pass.bytes();
            k.flops += flops;
            events.push(event);
        }
        let last = times.ticks.last().map_or(0, |t| t[1]);
        self.elapsed += last.saturating_sub(first) as f64 * times.period;
        self.traced.push_back(events);
        if self.traced.len() > TRACED_STEPS {
            self.traced.pop_front();
        }
    }

    /// The last steps in Chrome's trace format: one complete event per dispatch, `ts` and `dur` in
    /// microseconds since the first.
    pub fn trace(&self) -> serde_json::Value {
        let zero = self.traced.iter().flatten().next().map_or(0.0, |e| e.begin);
        let first = self.steps - self.traced.len() as u64;
        let events: Vec<serde_json::Value> = (first..)
            .zip(&self.traced)
            .flat_map(|(step, events)| events.iter().map(move |e| (step, e)))
            .map(|(step, e)| {
                serde_json::json!({
                    "name": e.label,
                    "cat": "gpu",
                    "ph": "X",
                    "ts": (e.begin - zero) / 1e3,
                    "dur": e.duration / 1e3,
                    "pid": 0,
                    "tid": 0,
                    "args": { "step": step },
                })
            })
            .collect();
        serde_json::json!({ "traceEvents": events, "displayTimeUnit": "ms" })
    }
}

impl fmt::Display for Profile {
    /// A table: calls, time, share, GB/s of the bindings, GFLOP/s where declared.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernels = self.kernels();
        let total: f64 = kernels.iter().map(|k| k.seconds).sum();
        let calls: u64 = kernels.iter().map(|k| k.calls).sum();
        let per_step = |seconds: f64| seconds * 1e3 / self.steps.max(1) as f64;
        writeln!(
            f,
            "{} steps: {:.3} ms per step in kernels, {:.3} ms from first to last",
            self.steps,
            per_step(total),
            per_step(self.elapsed / 1e9)
        )?;
        let width = kernels.iter().map(|k| k.label.len()).max().unwrap_or(0).max(6);
        writeln!(
            f,
            "{:width$} {:>8} {:>11} {:>7} {:>11} {:>8} {:>9}",
            "kernel", "calls", "ms in all", "share", "us per call", "GB/s", "GFLOP/s"
        )?;
        for k in &kernels {
            let rate = |count: u64| match count as f64 / k.seconds / 1e9 {
                rate if count > 0 && rate.is_finite() => format!("{rate:.1}"),
                _ => "-".to_string(),
            };
            writeln!(
                f,
                "{:width$} {:>8} {:>11.3} {:>6.1}% {:>11.2} {:>8} {:>9}",
                k.label,
                k.calls,
                k.seconds * 1e3,
                100.0 * k.seconds / total.max(f64::MIN_POSITIVE),
                k.seconds * 1e6 / k.calls as f64,
                rate(k.bytes),
                rate(k.flops)
            )?;
        }
        writeln!(f, "{:width$} {calls:>8} {:>11.3}", "all", total * 1e3)
    }
}

impl Gpu {
    /// Submits each part of the passes, each of which is timed in a compute pass of its own, then the copies; waits.
    /// The time of a pass is without the copies of operands into textures before it.
    ///
    /// # Errors
    /// An adapter without timestamps, or a fault of the work.
    pub(crate) fn submit_timed<'a>(
        &self,
        label: &str,
        parts: impl Iterator<Item = &'a [Pass]>,
        copies: &[BufferCopy<'_>],
    ) -> Result<Timestamps> {
        if !self.has_timestamps() {
            return Err(Error::Usage(format!(
                "--profile: the adapter {} has no GPU timestamps",
                self.report().name
            )));
        }
        self.0.faults.begin(label)?;
        let device = &self.0.device;
        let mut results = Vec::new();
        for chunk in parts.flat_map(|part| part.chunks(DISPATCHES_PER_SET)) {
            let count = 2 * chunk.len() as u32;
            let set = device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some(label),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            let ticks = self.create("timestamps", u64::from(count) * 8, usage)?;
            let mut encoder = device.create_command_encoder(&Default::default());
            for (at, (p, loads)) in (0..).step_by(2).zip(texels::due(chunk)) {
                loads.iter().for_each(|load| load.encode(&mut encoder));
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some(p.label()),
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &set,
                        beginning_of_pass_write_index: Some(at),
                        end_of_pass_write_index: Some(at + 1),
                    }),
                });
                p.encode(&mut pass);
            }
            encoder.resolve_query_set(&set, 0..count, ticks.raw(), 0);
            self.send(encoder)?;
            results.push((ticks, u64::from(count) * 8));
        }
        let mut encoder = device.create_command_encoder(&Default::default());
        copies.iter().for_each(|c| c.encode(&mut encoder));
        self.send(encoder)?;
        let period = f64::from(self.0.queue.get_timestamp_period());
        let mut times = Timestamps { ticks: Vec::new(), period };
        for (ticks, size) in results {
            times
                .ticks
                .extend(bytemuck::pod_collect_to_vec::<u8, [u64; 2]>(&self.read(&ticks, 0, size)?));
        }
        Ok(times)
    }
}
