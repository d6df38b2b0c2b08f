//! How fast the adapter runs the method, and how fast it could at most: `anomem bench`; and with which tiles it is
//! fastest: `anomem tune`.
//!
//! Nothing is timed that was not compared first: a kernel written for speed with its plain twin on the same inputs.
//! The tests under `kernels-tests` hold both to f64 references.

mod bound;
mod kernels;
mod shapes;
mod steps;
mod tune;

use crate::gpu::{AdapterClass, AdapterReport, Gpu, Variant};
use crate::{Error, Result};
use serde::Serialize;
pub use tune::{TunedRow, TunedValue, tune};

/// What to measure.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Only what has this in its name.
    pub only: String,
    /// Which kernels are measured, where an operation has several; those that this adapter uses if absent.
    pub variant: Option<Variant>,
    /// Leave out the kernels.
    pub no_kernels: bool,
    /// Leave out the whole steps.
    pub no_steps: bool,
}

/// What an adapter can do at most, measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bounds {
    /// Multiply-adds in registers, a multiply-add counting two, in 10^9 per second.
    pub gflops: f64,
    /// Bytes read and written by a copy that no cache holds, in 10^9 per second: what lies in one may be faster.
    pub gb_s: f64,
}

/// What limits a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// [`Bounds::gflops`].
    Arithmetic,
    /// [`Bounds::gb_s`].
    Memory,
}

/// One kernel, or the few that make one pass of an operation, on one shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelRow {
    /// Operation and shape.
    pub name: String,
    /// What is computed: the result, or the gradient of an input.
    pub pass: &'static str,
    /// Dispatches.
    pub dispatches: usize,
    /// Of the first run, with the driver's compiler.
    pub first_ms: f64,
    /// Median of the later ones.
    pub ms: f64,
    /// 10^9 floating point operations, or bytes, per second: those of the definition, whatever the kernel does.
    pub rate: f64,
    /// What `rate` counts, and is held against.
    pub limit: Limit,
    /// `rate` by the measured bound.
    pub share_of_bound: f64,
    /// Greatest difference from the plain kernels, by the greatest value; absent where they are the same kernels.
    pub difference: Option<f64>,
    /// Temporaries.
    pub mib: f64,
}

/// One part of a training or of scoring, from images to what it leaves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRow {
    /// Preset and what is done.
    pub name: String,
    /// Images of a step.
    pub batch: usize,
    /// Seconds per step.
    pub seconds: f64,
    /// Images per second.
    pub images_per_second: f64,
    /// Share of the time in which the host prepares and submits steps, of trainings.
    pub host_share: Option<f64>,
    /// Seconds from the images in memory to the first step submitted, of trainings: pipelines, first prototypes.
    pub first_seconds: Option<f64>,
    /// Buffers on the adapter while it runs.
    pub mib: f64,
}

/// Everything measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The adapter.
    pub adapter: AdapterReport,
    /// Which kernels were measured.
    pub variant: Variant,
    /// How they were timed.
    pub clock: Clock,
    /// Its limits.
    pub bounds: Bounds,
    /// Kernels, in the order of the table.
    pub kernels: Vec<KernelRow>,
    /// Whole steps.
    pub steps: Vec<StepRow>,
}

/// What kernels are timed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// The adapter's own timestamps at either end of each dispatch.
    Timestamps,
    /// The host's clock around many runs: what runs on the host's own cores needs no other.
    Host,
}

/// `small` on a software driver, `large` on a GPU.
fn sized<T>(class: AdapterClass, small: T, large: T) -> T {
    if class == AdapterClass::Software { small } else { large }
}

impl Clock {
    fn of(gpu: &Gpu) -> Self {
        if gpu.has_timestamps() && gpu.report().class != AdapterClass::Software {
            Self::Timestamps
        } else {
            Self::Host
        }
    }
}

/// Told what is done.
pub trait Observer {
    /// The bounds.
    fn bounds(&mut self, bounds: &Bounds) -> Result<()>;
    /// A row.
    fn kernel(&mut self, row: &KernelRow) -> Result<()>;
    /// A row.
    fn step(&mut self, row: &StepRow) -> Result<()>;
}

/// Measures what `request` asks for.
///
/// # Errors
/// Nothing that has the name asked for; a kernel whose results differ from its plain twin's; faults of the GPU; what
/// the observer says.
pub fn run(gpu: &Gpu, request: &Request, observer: &mut dyn Observer) -> Result<Report> {
    let class = gpu.report().class;
    let mut passes = Vec::new();
    if !request.no_kernels {
        let all = shapes::all(class).into_iter();
        passes.extend(all.flat_map(|case| case.passes().iter().map(move |pass| (case, *pass))));
        passes.retain(|(case, pass)| format!("{} {pass}", case.name()).contains(&request.only));
    }
    let mut trainings = if request.no_steps { Vec::new() } else { steps::all(class) };
    trainings.retain(|training| training.name.contains(&request.only));
    if passes.is_empty() && trainings.is_empty() {
        return Err(Error::Usage(format!("nothing to measure has '{}' in its name", request.only)));
    }
    let clock = Clock::of(gpu);
    let variant = request.variant.unwrap_or(gpu.report().variant());
    let bounds = bound::measure(gpu, clock)?;
    observer.bounds(&bounds)?;
    let mut report = Report {
        adapter: gpu.report().clone(),
        variant,
        clock,
        bounds,
        kernels: Vec::new(),
        steps: Vec::new(),
    };
    for (case, pass) in passes {
        let row = kernels::measure(gpu, variant, clock, &bounds, &case, pass)?;
        observer.kernel(&row)?;
        report.kernels.push(row);
    }
    for training in trainings {
        for row in steps::measure(gpu, &training)? {
            observer.step(&row)?;
            report.steps.push(row);
        }
    }
    Ok(report)
}
