//! The machine room: adapters, buffers, shaders, pipelines, submission. Knows wgpu, knows no maths;
//! no wgpu type is visible outside this folder.

mod adapter;
mod device;
mod fault;
mod profile;
mod reads;
mod shader;
mod texels;
mod transfer;
mod tuning;

pub use adapter::{AdapterClass, AdapterReport, DeviceSelector, Variant, list_adapters};
pub use device::{
    BindingRange, Buffer, BufferCopy, Counters, Gpu, OpenOptions, Pass, Pipeline, Submission,
};
pub use profile::{KernelTime, Profile};
pub use shader::{
    Dialect, Field, Kernel, Restated, Scalar, Shader, Texels, driver_module_of, layout_of,
    module_of, shared_files,
};
pub use tuning::{
    KernelChoice, SubgroupTuning, THRESHOLDS, Threshold, Tuning, WinogradTuning, WorkgroupTuning,
};

pub(crate) use device::ALIGN;
pub(crate) use fault::lock;
pub(crate) use shader::{AsScalar, params, shader};
