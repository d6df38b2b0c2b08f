//! Listing and choosing adapters.

use super::shader::{Dialect, Texels};
use super::tuning::{KernelChoice, Tuning};
use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// What kind of machine an adapter is; kernels are chosen by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterClass {
    /// A graphics card with memory of its own.
    Discrete,
    /// A GPU that shares the CPU's memory, or a virtual GPU.
    Integrated,
    /// A driver that runs shaders on the CPU, such as Mesa's lavapipe.
    Software,
}

impl fmt::Display for AdapterClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Software => "software",
        })
    }
}

/// Which of a family's kernels run, where it has more than one: a pure function of the adapter.
///
/// Each is held to the same references. A family that lacks a variant uses its simple kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// One invocation per output element: the rung below, and the oracle of the others.
    Simple,
    /// Tiles in workgroup memory and registers, for discrete and integrated GPUs.
    Tiled,
    /// Register tiles fed by subgroup broadcasts, without barriers or workgroup memory: software
    /// drivers, where each of those costs more than the arithmetic.
    Subgroup {
        /// Lanes per subgroup.
        lanes: u32,
    },
    /// As [`Tiled`](Self::Tiled), but convolutions round their operands to half precision and multiply
    /// them with the GPU's matrix units, summing in f32.
    Cooperative,
}

/// The matrix product of [`Variant::Cooperative`], as [`AdapterReport::cooperative_matrix`] lists it.
const FRAGMENTS: &str = "16x16x16 f16->f32";

impl AdapterReport {
    /// The kernels to use on this adapter.
    pub fn variant(&self) -> Variant {
        match self.class {
            AdapterClass::Software => self.subgroup_variant().unwrap_or(Variant::Simple),
            AdapterClass::Discrete | AdapterClass::Integrated => Variant::Tiled,
        }
    }

    /// By what tapes for this adapter choose kernels.
    pub fn kernels(&self) -> KernelChoice {
        KernelChoice { variant: self.variant(), tuning: self.tuning }
    }

    /// Name and driver, and a mark where kernels are chosen by another tuning than the one built in, since those
    /// round otherwise.
    pub fn identity(&self) -> String {
        format!("{} ({}){}", self.name, self.driver, self.tuned())
    }

    /// `, tuning MARK` where it is not the one built in.
    pub fn tuned(&self) -> String {
        if self.tuning == Tuning::built_in(self.class) {
            return String::new();
        }
        format!(", tuning {}", self.tuning.mark())
    }

    /// The subgroup kernels, where this adapter can run them: those of 4 or 8 lanes, always.
    pub fn subgroup_variant(&self) -> Option<Variant> {
        match self.subgroup {
            Some((lanes @ (4 | 8), high)) if lanes == high => Some(Variant::Subgroup { lanes }),
            _ => None,
        }
    }

    /// The kernels for matrix units, where this adapter has those that they use, whatever the size of its
    /// subgroups. [`Self::variant`] never is this one: it is less precise.
    pub fn cooperative_variant(&self) -> Option<Variant> {
        let listed = self.cooperative_matrix.iter().any(|shape| shape == FRAGMENTS);
        (listed && self.f16 && self.subgroup.is_some()).then_some(Variant::Cooperative)
    }

    /// In which form this adapter's driver gets kernels.
    pub(super) fn dialect(&self) -> Dialect {
        let llvmpipe = self.name.contains("llvmpipe");
        let wide_reads = llvmpipe && self.int64;
        let texels = match llvmpipe {
            true if wide_reads && inserts_lanes_in_registers() => Texels::Most,
            true => Texels::All,
            false => Texels::None,
        };
        Dialect { copied_params: llvmpipe, wide_reads, texels }
    }
}

/// Whether this processor puts a 64-bit value into a lane that is known at run time without going through memory.
/// LLVM compares and selects with AVX-512 and stores and loads again without; reads of storage then cost three times
/// as much, and a copy into a texture also pays for what is read once.
fn inserts_lanes_in_registers() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::is_x86_feature_detected!("avx512f");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    return false;
}

/// Which adapter to use: `--device INDEX|NAME|software`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeviceSelector {
    /// The first in the order discrete, integrated, software.
    #[default]
    Default,
    /// The index that `anomem devices` prints.
    Index(usize),
    /// Any part of the adapter's name, letter case ignored.
    Name(String),
    /// The first software driver.
    Software,
}

impl FromStr for DeviceSelector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim() {
            "" => Err(Error::Usage("--device: expected an index, a name or `software`".into())),
            "default" => Ok(Self::Default),
            "software" => Ok(Self::Software),
            t => Ok(t.parse().map_or_else(|_| Self::Name(t.to_lowercase()), Self::Index)),
        }
    }
}

/// One adapter and what it can do, as `anomem devices` prints it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct AdapterReport {
    /// Position in the list, for `--device`.
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// vulkan, metal, dx12 or gl.
    pub backend: String,
    /// Discrete, integrated or software.
    pub class: AdapterClass,
    /// Driver name and version.
    pub driver: String,
    /// Half precision in shaders.
    pub f16: bool,
    /// 64-bit integers in shaders.
    pub int64: bool,
    /// Smallest and largest subgroup, in lanes; absent without subgroup operations.
    pub subgroup: Option<(u32, u32)>,
    /// Shapes of cooperative matrix products, as `16x16x16 f16->f32`.
    pub cooperative_matrix: Vec<String>,
    /// GPU timestamps, needed by `--profile`.
    pub timestamps: bool,
    /// Largest range of a buffer that a shader may see, in bytes.
    pub max_binding: u64,
    /// Largest buffer, in bytes.
    pub max_buffer: u64,
    /// Storage buffers per shader.
    pub storage_buffers: u32,
    /// Workgroup memory, in bytes.
    pub workgroup_memory: u32,
    /// Invocations per workgroup.
    pub workgroup_invocations: u32,
    /// From which sizes on which kernels are used.
    pub tuning: Tuning,
    /// Why an adapter cannot run this program, where it cannot.
    pub unusable: Option<String>,
    /// Whether this is the one used without `--device`.
    pub default: bool,
}

pub(super) struct Candidate {
    pub(super) adapter: wgpu::Adapter,
    pub(super) report: AdapterReport,
}

/// All adapters of this machine, best first: discrete, integrated, software; within a class the
/// platform's own API before OpenGL, then by name.
pub fn list_adapters() -> Vec<AdapterReport> {
    candidates().into_iter().map(|c| c.report).collect()
}

/// The platform's own APIs; OpenGL only where those have nothing, since it lists the same devices again
/// and its probing is slow and, without a display, noisy. `WGPU_BACKEND` overrides.
fn adapters() -> Vec<wgpu::Adapter> {
    let of = |backends| {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = backends;
        // Indirect dispatches are not used; their validation would cost a dispatch each.
        descriptor.flags =
            wgpu::InstanceFlags::default() - wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL;
        pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends))
    };
    if let Some(backends) = wgpu::Backends::from_env() {
        return of(backends);
    }
    let own = of(wgpu::Backends::PRIMARY);
    if own.is_empty() { of(wgpu::Backends::GL) } else { own }
}

pub(super) fn candidates() -> Vec<Candidate> {
    let mut list: Vec<Candidate> = adapters()
        .into_iter()
        .map(|adapter| {
            let report = report(&adapter);
            Candidate { adapter, report }
        })
        .collect();
    list.sort_by_key(|c| {
        let r = &c.report;
        (r.unusable.is_some(), r.class, r.backend == "gl", r.name.clone())
    });
    for (index, c) in list.iter_mut().enumerate() {
        c.report.index = index;
        c.report.default = index == 0 && c.report.unusable.is_none();
    }
    list
}

pub(super) fn choose(list: Vec<Candidate>, selector: &DeviceSelector) -> Result<Candidate> {
    if list.is_empty() {
        return Err(Error::NoAdapter(format!("no GPU adapter answers: {}", what_to_install())));
    }
    let names: Vec<String> =
        list.iter().map(|c| format!("{} {}", c.report.index, c.report.name)).collect();
    let found = list.into_iter().find(|c| match selector {
        DeviceSelector::Default => c.report.unusable.is_none(),
        DeviceSelector::Index(i) => c.report.index == *i,
        DeviceSelector::Name(n) => c.report.name.to_lowercase().contains(n.as_str()),
        DeviceSelector::Software => {
            c.report.class == AdapterClass::Software && c.report.unusable.is_none()
        }
    });
    let Some(found) = found else {
        let wanted = match selector {
            DeviceSelector::Default => "none of the adapters can run compute shaders".to_string(),
            DeviceSelector::Index(i) => format!("--device {i}: no adapter has this index"),
            DeviceSelector::Name(n) => format!("--device {n}: no adapter's name contains it"),
            DeviceSelector::Software => {
                format!("--device software: no software driver, {}", what_to_install())
            }
        };
        return Err(Error::NoAdapter(format!("{wanted}; there are: {}", names.join(", "))));
    };
    match &found.report.unusable {
        Some(why) => Err(Error::NoAdapter(format!("{} cannot be used: {why}", found.report.name))),
        None => Ok(found),
    }
}

fn what_to_install() -> &'static str {
    if cfg!(target_os = "linux") {
        "install your card's Vulkan driver, or Mesa's software driver \
         (Debian, Ubuntu: apt-get install mesa-vulkan-drivers; Fedora: dnf install mesa-vulkan-drivers)"
    } else if cfg!(windows) {
        "install the graphics driver of your card's maker (DirectX 12 or Vulkan)"
    } else {
        "this system offers neither Metal nor Vulkan"
    }
}

fn report(adapter: &wgpu::Adapter) -> AdapterReport {
    let info = adapter.get_info();
    let features = adapter.features();
    let limits = adapter.limits();
    let class = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterClass::Discrete,
        wgpu::DeviceType::Cpu => AdapterClass::Software,
        // OpenGL on llvmpipe or SwiftShader does not say that it is software.
        _ if ["llvmpipe", "lavapipe", "swiftshader"]
            .iter()
            .any(|n| info.name.to_lowercase().contains(n)) =>
        {
            AdapterClass::Software
        }
        _ => AdapterClass::Integrated,
    };
    let compute =
        adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
    let unusable = if !compute {
        Some("it has no compute shaders".to_string())
    } else if limits.max_storage_buffers_per_shader_stage < 8 {
        Some(format!(
            "it allows {} storage buffers per shader, 8 are needed",
            limits.max_storage_buffers_per_shader_stage
        ))
    } else {
        None
    };
    AdapterReport {
        index: 0,
        name: info.name.clone(),
        backend: info.backend.to_string(),
        class,
        driver: [info.driver.as_str(), info.driver_info.as_str()].join(" ").trim().to_string(),
        f16: features.contains(wgpu::Features::SHADER_F16),
        int64: features.contains(wgpu::Features::SHADER_INT64),
        subgroup: features
            .contains(wgpu::Features::SUBGROUP)
            .then_some((info.subgroup_min_size, info.subgroup_max_size)),
        cooperative_matrix: if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
            adapter
                .cooperative_matrix_properties()
                .iter()
                .map(|p| {
                    format!(
                        "{}x{}x{} {:?}->{:?}",
                        p.m_size, p.n_size, p.k_size, p.ab_type, p.cr_type
                    )
                    .to_lowercase()
                })
                .collect()
        } else {
            Vec::new()
        },
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        max_binding: limits.max_storage_buffer_binding_size,
        max_buffer: limits.max_buffer_size,
        storage_buffers: limits.max_storage_buffers_per_shader_stage,
        workgroup_memory: limits.max_compute_workgroup_storage_size,
        workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        tuning: Tuning::built_in(class),
        unusable,
        default: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_parse() {
        assert_eq!("2".parse::<DeviceSelector>().unwrap(), DeviceSelector::Index(2));
        assert_eq!("software".parse::<DeviceSelector>().unwrap(), DeviceSelector::Software);
        assert_eq!("RTX".parse::<DeviceSelector>().unwrap(), DeviceSelector::Name("rtx".into()));
        assert!("".parse::<DeviceSelector>().is_err());
    }

    #[test]
    fn matrix_units_are_found_and_left_to_the_user() {
        let report = |shapes: &[&str], f16| AdapterReport {
            tuning: Tuning::built_in(AdapterClass::Discrete),
            index: 0,
            name: "some card".into(),
            backend: "vulkan".into(),
            class: AdapterClass::Discrete,
            driver: String::new(),
            f16,
            int64: true,
            subgroup: Some((32, 64)),
            cooperative_matrix: shapes.iter().map(ToString::to_string).collect(),
            timestamps: true,
            max_binding: 1 << 30,
            max_buffer: 1 << 30,
            storage_buffers: 8,
            workgroup_memory: 16 << 10,
            workgroup_invocations: 256,
            unusable: None,
            default: true,
        };
        let card = report(&["16x16x16 f16->f16", "16x16x16 f16->f32"], true);
        assert_eq!(card.cooperative_variant(), Some(Variant::Cooperative));
        assert_eq!(card.variant(), Variant::Tiled);
        assert_eq!(report(&["16x16x16 f16->f32"], false).cooperative_variant(), None);
        assert_eq!(report(&["8x8x8 f16->f32"], true).cooperative_variant(), None);
        // As wgpu names the types.
        let types = [wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32];
        assert_eq!(format!("16x16x16 {:?}->{:?}", types[0], types[1]).to_lowercase(), FRAGMENTS);
    }

    #[test]
    fn no_adapter_says_what_to_install() {
        let message = choose(Vec::new(), &DeviceSelector::Default).err().unwrap().to_string();
        assert!(message.contains("no GPU adapter answers") && message.contains("install"));
    }
}
