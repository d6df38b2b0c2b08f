//! WGSL sources: imports, restated constants, and what naga says of a shader's interface.

use super::reads;
use crate::{Error, Result};
use naga::valid::Capabilities;
use std::borrow::Cow;
use std::collections::HashSet;

/// One kernel's `.wgsl` file of the `shaders` folder. The entry point is named as the file's stem.
#[derive(Debug)]
pub struct Shader {
    /// Folder of the file and name of the operation's family.
    pub family: &'static str,
    /// File name without extension.
    pub stem: &'static str,
    /// The file's text.
    pub source: &'static str,
    /// The Params struct's fields on the Rust side, in order.
    pub params: &'static [Field],
}

/// One field of a Params struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in WGSL and Rust.
    pub name: &'static str,
    /// Type.
    pub scalar: Scalar,
    /// Offset from the start of the struct, in bytes.
    pub offset: usize,
}

/// Type of a Params field. Only scalars: vectors would bring alignment rules along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// WGSL `u32`.
    U32,
    /// WGSL `i32`.
    I32,
    /// WGSL `f32`.
    F32,
}

/// Links a Rust type to its WGSL scalar, for the `params!` macro.
pub(crate) trait AsScalar {
    const SCALAR: Scalar;
}
impl AsScalar for u32 {
    const SCALAR: Scalar = Scalar::U32;
}
impl AsScalar for i32 {
    const SCALAR: Scalar = Scalar::I32;
}
impl AsScalar for f32 {
    const SCALAR: Scalar = Scalar::F32;
}

/// Declares a shader's Params: a `repr(C)` struct and the list of its fields, which a contract test
/// compares with the struct that naga finds in the shader.
macro_rules! params {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field:ident : $ty:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
        #[allow(unreachable_pub, reason = "most are used by one family's file only")]
        $vis struct $name { $(
            #[doc = concat!("The shader's `", stringify!($field), "`.")]
            pub $field: $ty
        ),+ }
        #[allow(unreachable_pub, reason = "as above")]
        impl $name {
            /// Names, types and offsets, compared with the shader's struct by a contract test.
            pub const FIELDS: &'static [$crate::gpu::Field] = &[$($crate::gpu::Field {
                name: stringify!($field),
                scalar: <$ty as $crate::gpu::AsScalar>::SCALAR,
                offset: std::mem::offset_of!($name, $field),
            }),+];
        }
    };
}
pub(crate) use params;

/// `shader!("family", "stem", Params)`: the file `shaders/family/stem.wgsl`.
macro_rules! shader {
    ($family:literal, $stem:literal, $params:ty) => {
        $crate::gpu::Shader {
            family: $family,
            stem: $stem,
            source: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/shaders/",
                $family,
                "/",
                $stem,
                ".wgsl"
            )),
            params: <$params>::FIELDS,
        }
    };
}
pub(crate) use shader;

/// `shared!("folder/stem", …)`: files of the `shaders` folder, each its name and its text.
macro_rules! shared {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../shaders/", $name, ".wgsl")))),+]
    };
}

/// The files that can be imported: of `common` by any shader (`#import grid`), of a family's folder by
/// its own (`#import pool/window`).
const SHARED: &[(&str, &str)] = shared![
    "barlow/counts",
    "batch_norm/params",
    "common/grid",
    "common/lanes",
    "common/numeric",
    "common/reduce",
    "common/rng",
    "common/sample",
    "common/subgroup_tile",
    "conv2d/fragment_tile",
    "conv2d/fragments",
    "conv2d/implicit_gemm",
    "conv2d/implicit_gemm_gather",
    "conv2d/params",
    "conv2d/weight_gemm",
    "conv2d/weight_gemm_gather",
    "conv2d/winograd",
    "conv2d/winograd4_load",
    "conv2d/winograd4_store",
    "conv2d/winograd_load",
    "conv2d/winograd_pixel",
    "conv2d/winograd_store",
    "conv2d/workgroup_tile",
    "cosine/backward_params",
    "cosine/tile",
    "damage/bytes",
    "damage/kinds",
    "damage/overlap",
    "hinge/excess",
    "hinge/halves",
    "hopfield/backward_params",
    "hopfield/forward_params",
    "hopfield/step_params",
    "hopfield/subgroup_product",
    "hopfield/tiled_product",
    "nt_xent/params",
    "nt_xent/row_loss",
    "nt_xent/similarity",
    "nt_xent/subgroup_tile",
    "nt_xent/tile",
    "nt_xent/weight",
    "pool/grid_cell",
    "pool/window",
    "resize/taps",
    "variance/counts",
];

/// Names of the files that can be imported, `folder/stem`.
pub fn shared_files() -> impl Iterator<Item = &'static str> {
    SHARED.iter().map(|(name, _)| *name)
}

/// The text of a shader file, named `folder/stem`: the one compiled in.
#[cfg(not(feature = "live-shaders"))]
#[expect(clippy::unnecessary_wraps, reason = "reading the file can fail")]
fn file(_: &str, compiled_in: &'static str) -> Result<Cow<'static, str>> {
    Ok(Cow::Borrowed(compiled_in))
}

/// The text of a shader file, named `folder/stem`: as it is now in the folder that `ANOMEM_SHADERS`
/// names. What is not there, such as a shader of a test's own, is compiled in.
#[cfg(feature = "live-shaders")]
fn file(name: &str, compiled_in: &'static str) -> Result<Cow<'static, str>> {
    let Some(folder) = std::env::var_os("ANOMEM_SHADERS") else {
        return Ok(Cow::Borrowed(compiled_in));
    };
    let path = std::path::Path::new(&folder).join(name).with_extension("wgsl");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Cow::Borrowed(compiled_in)),
        Err(e) => Err(Error::file(path, e)),
    }
}

/// The name of the file that a line imports, if it is such a line.
fn import(line: &str) -> Option<String> {
    let name = line.trim().strip_prefix("#import ")?.trim();
    Some(if name.contains('/') { name.to_string() } else { format!("common/{name}") })
}

/// A shader's text and what its directives say.
#[derive(Default)]
struct Resolved {
    text: String,
    texels: Vec<String>,
    more_texels: Vec<String>,
    half: Vec<String>,
}

impl Resolved {
    /// The list that a line adds to, and what.
    fn directive<'a>(&mut self, line: &'a str) -> Option<(&mut Vec<String>, &'a str)> {
        if let Some(names) = line.strip_prefix("#texels ") {
            return Some((&mut self.texels, names));
        }
        if let Some(names) = line.strip_prefix("#more_texels ") {
            return Some((&mut self.more_texels, names));
        }
        Some((&mut self.half, line.strip_prefix("#half ")?))
    }

    /// Whether a binding is among `texels`.
    fn is_texels(&self, name: &str, texels: Texels) -> bool {
        let said = |names: &[String]| names.iter().any(|n| n == name);
        match texels {
            Texels::None => false,
            Texels::Most => said(&self.texels),
            Texels::All => said(&self.texels) || said(&self.more_texels),
        }
    }

    /// Number of a binding of four floats.
    fn binding(&self, name: &str) -> Option<u32> {
        let line = self
            .text
            .lines()
            .find(|line| line.contains(&format!("> {name}: array<vec4<f32>>;")))?;
        line.split_once("@binding(")?.1.split_once(')')?.0.parse().ok()
    }
}

impl Shader {
    /// `family.stem`, the label of its pipelines and its name in profiles.
    pub fn label(&self) -> String {
        format!("{}.{}", self.family, self.stem)
    }

    /// Whether the file itself imports `common/name.wgsl`.
    pub fn imports(&self, name: &str) -> bool {
        self.source.lines().filter_map(import).any(|file| file == format!("common/{name}"))
    }

    /// The text with imports resolved and constants restated.
    ///
    /// `consts` gives other values to `const NAME: u32 = …;` lines of the text: tile and workgroup
    /// sizes. (`override` cannot size the arrays that hold register tiles.)
    ///
    /// # Errors
    /// An import that does not exist, or a constant that the text does not declare.
    pub fn text(&self, consts: &[(&str, u32)]) -> Result<String> {
        Ok(self.resolved(consts)?.text)
    }

    /// Names of the bindings that drivers with slow reads of buffers get as textures, as `#texels` and `#more_texels`
    /// lines say.
    ///
    /// # Errors
    /// An import that does not exist.
    pub fn texels(&self) -> Result<Vec<String>> {
        let Resolved { mut texels, more_texels, .. } = self.resolved(&[])?;
        texels.extend(more_texels);
        Ok(texels)
    }

    /// The bindings among `texels`, a bit for each.
    ///
    /// # Errors
    /// An import that does not exist.
    pub(super) fn texel_bits(&self, texels: Texels) -> Result<u32> {
        let resolved = self.resolved(&[])?;
        let names = resolved.texels.iter().chain(&resolved.more_texels);
        let among = names.filter(|name| resolved.is_texels(name, texels));
        Ok(among.filter_map(|name| resolved.binding(name)).map(|b| 1 << b).sum())
    }

    /// The bindings whose elements may lie in memory in half precision, as `#half` lines say: a bit for each, by its
    /// number.
    ///
    /// # Errors
    /// An import that does not exist; a name that is no binding of `array<vec4<f32>>`.
    pub fn half(&self) -> Result<u32> {
        let resolved = self.resolved(&[])?;
        let mut bits = 0;
        for name in &resolved.half {
            bits |= 1
                << resolved.binding(name).ok_or_else(|| {
                    Error::Internal(format!(
                        "{}: #half {name}: no binding of vec4<f32>",
                        self.label()
                    ))
                })?;
        }
        Ok(bits)
    }

    fn resolved(&self, consts: &[(&str, u32)]) -> Result<Resolved> {
        let mut out = Resolved::default();
        let own = file(&format!("{}/{}", self.family, self.stem), self.source)?;
        self.resolve(&own, &mut HashSet::new(), &mut out)?;
        for (name, value) in consts {
            let head = format!("const {name}: u32 = ");
            let start =
                out.text.find(&head).ok_or_else(|| {
                    Error::Internal(format!("{}: no line `{head}…;`", self.label()))
                })? + head.len();
            let end = start
                + out.text[start..].find(';').ok_or_else(|| {
                    Error::Internal(format!("{}: `{head}` lacks its `;`", self.label()))
                })?;
            out.text.replace_range(start..end, &format!("{value}u"));
        }
        Ok(out)
    }

    /// Appends `source` to `out`, each file that it imports in place of the first line to do so.
    fn resolve(&self, source: &str, done: &mut HashSet<String>, out: &mut Resolved) -> Result<()> {
        for line in source.lines() {
            if let Some((list, names)) = out.directive(line.trim()) {
                list.extend(names.split(',').map(|name| name.trim().to_owned()));
                continue;
            }
            match import(line) {
                Some(name) if done.insert(name.clone()) => {
                    let (_, text) = SHARED.iter().find(|(n, _)| *n == name).ok_or_else(|| {
                        Error::Internal(format!("{}: no {name}.wgsl to import", self.label()))
                    })?;
                    self.resolve(&file(&name, text)?, done, out)?;
                }
                Some(_) => {}
                None => {
                    out.text.push_str(line);
                    out.text.push('\n');
                }
            }
        }
        Ok(())
    }
}

/// A shader whose constants its family restates, and the values that each may take.
pub type Restated = (&'static Shader, &'static [(&'static str, &'static [u32])]);

/// What tells pipelines apart.
pub(super) type PipelineKey = (usize, Cow<'static, [(&'static str, u32)]>, u32, u32);

/// A shader with its constants: what a pipeline is built from.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The file.
    pub shader: &'static Shader,
    /// Values that replace the file's `const NAME: u32` lines.
    pub consts: Cow<'static, [(&'static str, u32)]>,
    /// Bindings whose elements lie in memory in half precision, a bit for each; of those that [`Shader::half`] allows.
    pub half: u32,
    /// Bindings that stay buffers where a [`Dialect`] makes them textures, a bit for each.
    pub in_buffers: u32,
}

impl Kernel {
    /// The shader as its file says.
    pub const fn new(shader: &'static Shader) -> Self {
        Self { shader, consts: Cow::Borrowed(&[]), half: 0, in_buffers: 0 }
    }

    /// The shader with other constants.
    pub fn with(shader: &'static Shader, consts: &[(&'static str, u32)]) -> Self {
        let mut consts = consts.to_vec();
        consts.sort_unstable();
        Self { shader, consts: Cow::Owned(consts), half: 0, in_buffers: 0 }
    }

    /// The shader with every combination of the values that its constants may take.
    pub fn all_of((shader, consts): Restated) -> Vec<Self> {
        let mut combinations: Vec<Vec<(&'static str, u32)>> = vec![Vec::new()];
        for (name, values) in consts {
            combinations = combinations
                .iter()
                .flat_map(|c| values.iter().map(|v| [c.as_slice(), &[(*name, *v)]].concat()))
                .collect();
        }
        combinations.iter().map(|c| Self::with(shader, c)).collect()
    }

    /// The same, with some bindings in half precision.
    #[must_use]
    pub fn halved(self, half: u32) -> Self {
        Self { half, ..self }
    }

    /// `family.stem`, the constants that differ from the file's: ` NAME=value`, and the bindings in half precision:
    /// ` f16:0,2`.
    pub fn name(&self) -> String {
        let consts: Vec<String> = self.consts.iter().map(|(n, v)| format!(" {n}={v}")).collect();
        let halves: Vec<String> =
            (0..32).filter(|b| self.half >> b & 1 == 1).map(|b| b.to_string()).collect();
        let halves =
            if halves.is_empty() { String::new() } else { format!(" f16:{}", halves.join(",")) };
        self.shader.label() + &consts.concat() + &halves
    }

    pub(super) fn key(&self) -> PipelineKey {
        let shader = std::ptr::from_ref(self.shader) as usize;
        (shader, self.consts.clone(), self.half, self.in_buffers)
    }
}

/// How a shader declares one binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// A storage buffer; `true` if the shader writes it.
    Storage(bool),
    /// A storage buffer that is only read, whose contents come in a texture.
    Texels,
    /// The Params uniform, with its size in bytes.
    Uniform(u32),
}

/// Parses and validates the text of a kernel.
///
/// # Errors
/// The label, the line and naga's words.
pub fn module_of(kernel: &Kernel) -> Result<(naga::Module, naga::valid::ModuleInfo)> {
    read(kernel, Dialect::default())
}

/// As [`module_of`], of the text with the dialect's [`reads`].
pub(super) fn read(
    kernel: &Kernel,
    dialect: Dialect,
) -> Result<(naga::Module, naga::valid::ModuleInfo)> {
    let (module, text) = parsed(kernel, dialect)?;
    let info = validate(&module, dialect, kernel, &text)?;
    Ok((module, info))
}

/// The module and the text that it was parsed from, not validated.
fn parsed(kernel: &Kernel, dialect: Dialect) -> Result<(naga::Module, String)> {
    let resolved = kernel.shader.resolved(&kernel.consts)?;
    let form = |name: &str, written: bool| {
        let among = |bits: u32| resolved.binding(name).is_some_and(|b| bits >> b & 1 == 1);
        let half = among(kernel.half);
        let texels = resolved.is_texels(name, dialect.texels) && !among(kernel.in_buffers);
        match (half, written) {
            (true, true) => Some(&reads::WRITTEN_HALVES),
            (true, false) if dialect.wide_reads => Some(&reads::WIDE_HALVES),
            (true, false) => Some(&reads::HALVES),
            (false, true) => dialect.wide_reads.then_some(&reads::WRITTEN_PAIRS),
            (false, false) if texels => Some(&reads::TEXELS),
            (false, false) => dialect.wide_reads.then_some(&reads::PAIRS),
        }
    };
    let text = if dialect.wide_reads || dialect.texels != Texels::None || kernel.half != 0 {
        reads::rewritten(&resolved.text, form)
    } else {
        resolved.text.clone()
    };
    let module = naga::front::wgsl::parse_str(&text).map_err(|e| {
        Error::Internal(format!("shader {}: {}", kernel.name(), e.emit_to_string(&text)))
    })?;
    Ok((module, text))
}

/// The form in which a driver gets kernels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Params come in a storage binding, of which the entry point takes a private copy.
    ///
    /// For lavapipe: where the values of a uniform would shorten a kernel by half, it compiles the kernel
    /// with them, again at every dispatch, and keeps every such compilation until the device is gone
    /// (Mesa 22.3: 25 ms and 1.9 MB per dispatch of one Hopfield kernel that runs for 2 ms).
    pub copied_params: bool,
    /// Four floats are read as two u64, see [`reads`].
    pub wide_reads: bool,
    /// What is read as texels, see [`reads`].
    pub texels: Texels,
}

/// The bindings that a driver gets as textures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Texels {
    /// None.
    #[default]
    None,
    /// Those of `#texels` lines.
    Most,
    /// Those of `#more_texels` lines too.
    All,
}

/// The module of a kernel as the driver gets it.
///
/// # Errors
/// As [`module_of`].
pub fn driver_module_of(
    kernel: &Kernel,
    dialect: Dialect,
) -> Result<(naga::Module, naga::valid::ModuleInfo)> {
    let (mut module, text) = parsed(kernel, dialect)?;
    prepare(&mut module, dialect);
    let info = validate(&module, dialect, kernel, &text)?;
    Ok((module, info))
}

fn validate(
    module: &naga::Module,
    dialect: Dialect,
    kernel: &Kernel,
    text: &str,
) -> Result<naga::valid::ModuleInfo> {
    // What a shader may ask of an adapter; wide reads ask for more.
    let mut capabilities = Capabilities::SUBGROUP
        | Capabilities::SHADER_FLOAT16
        | Capabilities::SHADER_FLOAT16_IN_FLOAT32
        | Capabilities::COOPERATIVE_MATRIX;
    capabilities.set(Capabilities::SHADER_INT64, dialect.wide_reads);
    naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
        .validate(module)
        .map_err(|e| {
            Error::Internal(format!("shader {}: {}", kernel.name(), e.emit_to_string(text)))
        })
}

/// Bindings of a module in order, checked: group 0, numbered from 0 without a gap, storage first,
/// then the one uniform.
pub(super) fn slots_of(module: &naga::Module, label: &str) -> Result<Vec<Slot>> {
    let mut found: Vec<(u32, Slot)> = Vec::new();
    for (_, var) in module.global_variables.iter() {
        let Some(binding) = &var.binding else { continue };
        let slot = match var.space {
            naga::AddressSpace::Storage { access } => {
                Slot::Storage(access.contains(naga::StorageAccess::STORE))
            }
            naga::AddressSpace::Handle => Slot::Texels,
            naga::AddressSpace::Uniform => {
                let inner = &module.types[var.ty].inner;
                Slot::Uniform(inner.size(module.to_ctx()))
            }
            _ => return Err(Error::Internal(format!("{label}: unexpected kind of binding"))),
        };
        found.push((binding.binding, slot));
    }
    found.sort_by_key(|(b, _)| *b);
    let ok = found.iter().enumerate().all(|(i, (b, slot))| {
        i as u32 == *b && matches!(slot, Slot::Uniform(_)) == (i + 1 == found.len())
    });
    if !ok {
        return Err(Error::Internal(format!(
            "{label}: bindings must be numbered from 0, storage first, Params last"
        )));
    }
    Ok(found.into_iter().map(|(_, s)| s).collect())
}

/// Name, type and offset of each field of the Params struct, as the shader declares them.
///
/// # Errors
/// A shader that naga rejects, or whose bindings are out of order.
pub fn layout_of(shader: &'static Shader) -> Result<Vec<(String, Scalar, usize)>> {
    let (module, _) = module_of(&Kernel::new(shader))?;
    slots_of(&module, &shader.label())?;
    let mut fields = Vec::new();
    for (_, var) in module.global_variables.iter() {
        if var.space != naga::AddressSpace::Uniform {
            continue;
        }
        let naga::TypeInner::Struct { members, .. } = &module.types[var.ty].inner else {
            return Err(Error::Internal(format!("{}: Params is no struct", shader.label())));
        };
        for m in members {
            let scalar = match module.types[m.ty].inner {
                naga::TypeInner::Scalar(naga::Scalar::U32) => Scalar::U32,
                naga::TypeInner::Scalar(naga::Scalar::I32) => Scalar::I32,
                naga::TypeInner::Scalar(naga::Scalar::F32) => Scalar::F32,
                _ => {
                    return Err(Error::Internal(format!(
                        "{}: Params.{} is no u32, i32 or f32",
                        shader.label(),
                        m.name.as_deref().unwrap_or("?")
                    )));
                }
            };
            fields.push((m.name.clone().unwrap_or_default(), scalar, m.offset as usize));
        }
    }
    Ok(fields)
}

/// Turns a valid module, [`read`] for the same dialect, into what the driver gets.
pub(super) fn prepare(module: &mut naga::Module, dialect: Dialect) {
    if dialect.copied_params {
        copy_params(module);
    }
    make_writable(module);
}

/// Moves Params from a uniform to a storage binding, of which the entry point takes a private copy.
fn copy_params(module: &mut naga::Module) {
    use naga::{AddressSpace, Expression, GlobalVariable, Span, Statement};
    let globals = &mut module.global_variables;
    let is_uniform = |v: &GlobalVariable| v.space == AddressSpace::Uniform;
    let Some(bound) = globals.iter().find(|(_, v)| is_uniform(v)).map(|(handle, _)| handle) else {
        return;
    };
    globals[bound].space = AddressSpace::Storage { access: naga::StorageAccess::LOAD };
    let copy = GlobalVariable {
        name: Some("params_copy".into()),
        space: AddressSpace::Private,
        binding: None,
        ..globals[bound].clone()
    };
    let copy = globals.append(copy, Span::default());
    let entries = module.entry_points.iter_mut().map(|entry| &mut entry.function);
    for function in module.functions.iter_mut().map(|(_, f)| f).chain(entries) {
        for (_, expression) in function.expressions.iter_mut() {
            if matches!(expression, Expression::GlobalVariable(handle) if *handle == bound) {
                *expression = Expression::GlobalVariable(copy);
            }
        }
    }
    for entry in &mut module.entry_points {
        let expressions = &mut entry.function.expressions;
        let mut append = |expression| expressions.append(expression, Span::default());
        let pointer = append(Expression::GlobalVariable(copy));
        let source = append(Expression::GlobalVariable(bound));
        let value = append(Expression::Load { pointer: source });
        let mut body = naga::Block::from_vec(vec![
            Statement::Emit(naga::Range::new_from_bounds(value, value)),
            Statement::Store { pointer, value },
        ]);
        body.append(&mut entry.function.body);
        entry.function.body = body;
    }
}

/// Declares every storage binding as writable, so that one arena buffer may be bound several times
/// in one dispatch: wgpu refuses a buffer that is bound both read-only and writable, even for ranges
/// that do not touch. What a shader may write was validated before.
fn make_writable(module: &mut naga::Module) {
    for (_, var) in module.global_variables.iter_mut() {
        if let naga::AddressSpace::Storage { access } = &mut var.space {
            *access |= naga::StorageAccess::LOAD | naga::StorageAccess::STORE;
        }
    }
}
