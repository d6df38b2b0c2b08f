//! What every family owes: its files in every corner, Params that agree, kernels that every backend's
//! compiler takes and that fit WebGPU's default limits.

use crate::harness::{gpu, is_listed, root};
use anomem::gpu::{Dialect, Kernel, Texels, driver_module_of, layout_of, module_of, shared_files};
use anomem::ops::{self, shaders};
use naga::back::{hlsl, msl, spv};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn names(folder: &str, keep: impl Fn(&Path) -> bool) -> BTreeSet<String> {
    std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| keep(p))
        .map(|p| p.file_stem().unwrap().to_str().unwrap().to_string())
        .collect()
}

fn kernels() -> Vec<Kernel> {
    ops::kernels().unwrap()
}

#[test]
fn every_family_has_its_four_corners() {
    let except = |set: BTreeSet<String>, not: &[&str]| -> BTreeSet<String> {
        set.into_iter().filter(|n| !not.contains(&n.as_str())).collect()
    };
    let rust = |p: &Path| p.extension().is_some_and(|e| e == "rs");
    let shaders = except(names("shaders", Path::is_dir), &["common"]);
    assert_eq!(shaders, except(names("src/ops", rust), &["mod"]));
    assert_eq!(
        shaders,
        except(
            names("kernels-tests", rust),
            &[
                "main",
                "contracts",
                "faults",
                "half",
                "plan",
                "pretrained",
                "scoring",
                "stage1",
                "texels"
            ]
        )
    );
    assert_eq!(shaders, except(names("kernels-tests/reference", rust), &["mod"]));
}

#[test]
fn every_shader_file_is_registered() {
    let kernels = shaders().into_iter().map(|s| format!("{}/{}", s.family, s.stem));
    let registered: BTreeSet<String> =
        kernels.chain(shared_files().map(ToString::to_string)).collect();
    let mut files = BTreeSet::new();
    for family in names("shaders", Path::is_dir) {
        let stems = names(&format!("shaders/{family}"), |_| true);
        files.extend(stems.into_iter().map(|stem| format!("{family}/{stem}")));
    }
    assert_eq!(registered, files);
}

/// A family's shared file is tested with the family, so no other may use it; what two families need
/// belongs to `common`.
#[test]
fn shared_files_are_imported_and_stay_within_their_family() {
    let mut imported = BTreeSet::new();
    for family in names("shaders", Path::is_dir) {
        for stem in names(&format!("shaders/{family}"), |_| true) {
            let file = format!("{family}/{stem}");
            let text =
                std::fs::read_to_string(root().join(format!("shaders/{file}.wgsl"))).unwrap();
            for name in text.lines().filter_map(|l| l.strip_prefix("#import ")) {
                let (folder, name) = name.split_once('/').unwrap_or(("common", name));
                assert!(folder == "common" || folder == family, "{file} imports {folder}/{name}");
                imported.insert(format!("{folder}/{name}"));
            }
        }
    }
    assert_eq!(imported, shared_files().map(ToString::to_string).collect());
}

/// What is not listed is not checked below. The harness refuses to run it; this finds a family whose
/// tests go another way.
#[test]
fn families_that_restate_constants_list_them() {
    for family in names("shaders", Path::is_dir).iter().filter(|f| *f != "common") {
        let mut text =
            std::fs::read_to_string(root().join(format!("src/ops/{family}.rs"))).unwrap();
        for part in std::fs::read_dir(root().join("src/ops").join(family)).into_iter().flatten() {
            text += &std::fs::read_to_string(part.unwrap().path()).unwrap();
        }
        let listed = kernels().iter().any(|k| k.shader.family == *family && !k.consts.is_empty());
        let restates = text.contains("Kernel::with(");
        assert!(!restates || listed, "{family}: RESTATED, and a line for it in ops::restated()");
    }
}

/// A tape made of a variant alone would choose kernels as built in, whatever `--tuning` says.
#[test]
fn tapes_of_the_program_are_made_of_its_adapters_choice() {
    let mut found = 0;
    for entry in walkdir::WalkDir::new(root().join("src")) {
        let entry = entry.unwrap();
        if entry.path().extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
            for (at, word) in ["Tape::new(", "Tape::forward_only("]
                .iter()
                .flat_map(|word| line.match_indices(word))
            {
                let made_of = &line[at + word.len()..];
                let file = entry.path().display();
                assert!(
                    ["kernels", "gpu.report().kernels()", "model.kernels(gpu)"]
                        .iter()
                        .any(|maker| made_of.starts_with(maker)),
                    "{file}: {line}"
                );
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found} tapes");
}

#[test]
fn params_agree_between_rust_and_wgsl() {
    for shader in shaders() {
        let fields = layout_of(shader).unwrap();
        let rust: Vec<_> =
            shader.params.iter().map(|f| (f.name.to_string(), f.scalar, f.offset)).collect();
        assert_eq!(rust, fields, "{}", shader.label());
    }
}

#[test]
fn every_kernel_is_valid() {
    for kernel in kernels() {
        module_of(&kernel).unwrap();
    }
}

#[test]
fn entry_points_bindings_and_guards_are_as_agreed() {
    for shader in shaders() {
        let label = shader.label();
        let (module, _) = module_of(&Kernel::new(shader)).unwrap();
        let entries: Vec<&str> = module.entry_points.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(entries, [shader.stem], "{label}: one entry point, named as the file");
        let mut bound: Vec<(u32, &str)> = module
            .global_variables
            .iter()
            .filter_map(|(_, v)| Some((v.binding.as_ref()?.binding, v.name.as_deref()?)))
            .collect();
        bound.sort_unstable();
        assert_eq!(bound.last().unwrap().1, "p", "{label}: Params come last and are `p`");
        assert!(bound.len() <= 9, "{label}: WebGPU allows 8 storage buffers");
        // The way from Params to the guard may be long: all that the text shows is a comparison.
        let code = |text: &str| -> String {
            text.lines().map(|l| l.split("//").next().unwrap()).collect()
        };
        let own = code(shader.source);
        assert!(own.contains("if (") || own.contains(" < p."), "{label}: no guard");
        let all = code(&shader.text(&[]).unwrap());
        assert!(!all.contains("arrayLength"), "{label}: sizes come from Params");
        for name in shader.texels().unwrap() {
            let declared = format!("var<storage, read> {name}: array<vec4<f32>>;");
            assert!(
                all.contains(&declared),
                "{label}: #texels or #more_texels {name}, which is not `{declared}`"
            );
        }
    }
}

#[test]
fn every_kernel_fits_webgpus_default_limits() {
    let limits = wgpu_default_limits();
    for kernel in kernels() {
        let (name, (module, _)) = (kernel.name(), module_of(&kernel).unwrap());
        let size = module.entry_points[0].workgroup_size;
        let invocations: u32 = size.iter().product();
        assert!(invocations <= limits.0, "{name}: {size:?} invocations");
        let memory: u32 = module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
            .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()).next_multiple_of(16))
            .sum();
        assert!(memory <= limits.1, "{name}: {memory} bytes of workgroup memory");
    }
}

/// Invocations per workgroup and bytes of workgroup memory.
fn wgpu_default_limits() -> (u32, u32) {
    (256, 16 << 10)
}

/// Whether a kernel multiplies fragments of matrices, which only Vulkan and Metal know.
fn is_cooperative(module: &naga::Module) -> bool {
    let fragment = |inner: &_| matches!(inner, naga::TypeInner::CooperativeMatrix { .. });
    module.types.iter().any(|(_, ty)| fragment(&ty.inner))
}

/// Whether this SPIRV-Tools knows `SPV_KHR_cooperative_matrix`: all do from v2023.4 on.
fn spirv_val_knows_fragments() -> bool {
    let Ok(said) = Command::new("spirv-val").arg("--version").output() else { return false };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = said.split_whitespace().find_map(|word| {
        let (year, minor) = word.strip_prefix('v')?.split_once('.')?;
        Some((year.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    });
    version.is_some_and(|version| version >= (2023, 4))
}

#[test]
fn every_kernel_translates_for_every_backend() {
    let spirv_options = |lang_version| spv::Options {
        lang_version,
        flags: spv::WriterFlags::empty(),
        ..Default::default()
    };
    // Fragments need Vulkan's memory model, and came with Vulkan 1.3.
    let [plain, cooperative] = [((1, 3), "vulkan1.1"), ((1, 6), "vulkan1.3")];
    let msl_options =
        msl::Options { fake_missing_bindings: true, lang_version: (2, 4), ..Default::default() };
    let hlsl_options =
        hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..Default::default() };
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for kernel in kernels() {
        let name = kernel.name();
        for llvmpipe in [true, false] {
            let texels = if llvmpipe { Texels::All } else { Texels::None };
            let dialect = Dialect { copied_params: llvmpipe, wide_reads: llvmpipe, texels };
            let (module, info) = driver_module_of(&kernel, dialect).unwrap();
            let (version, target) = if is_cooperative(&module) { cooperative } else { plain };
            let words = spv::write_vec(&module, &info, &spirv_options(version), None)
                .unwrap_or_else(|e| panic!("{name}: SPIR-V: {e}"));
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            let file = folder.path().join(format!("{}.spv", files.len()));
            std::fs::write(&file, bytes).unwrap();
            files.push((name.clone(), target, file));
        }
        let (module, info) = driver_module_of(&kernel, Dialect::default()).unwrap();
        msl::write_string(&module, &info, &msl_options, &Default::default())
            .unwrap_or_else(|e| panic!("{name}: MSL: {e}"));
        // DirectX has no such thing.
        if is_cooperative(&module) {
            continue;
        }
        hlsl::Writer::new(&mut String::new(), &hlsl_options, &Default::default())
            .write(&module, &info, None)
            .unwrap_or_else(|e| panic!("{name}: HLSL: {e}"));
    }
    let knows_fragments = spirv_val_knows_fragments();
    if !knows_fragments {
        eprintln!(
            "SKIPPED, no fragments were validated: spirv-val is absent, or older than v2023.4"
        );
    }
    for (name, target, file) in &files {
        if *target == cooperative.1 && !knows_fragments {
            continue;
        }
        match Command::new("spirv-val").args(["--target-env", target]).arg(file).output() {
            Ok(done) => {
                let said = String::from_utf8_lossy(&done.stderr);
                assert!(done.status.success(), "{name}: spirv-val: {said}");
            }
            Err(e) if std::env::var("CI").as_deref() == Ok("true") => panic!("spirv-val: {e}"),
            Err(e) => return eprintln!("SKIPPED, no SPIR-V was validated: spirv-val: {e}"),
        }
    }
    println!("{} kernels", files.len() / 2);
}

#[test]
fn a_kernel_that_is_not_listed_is_noticed() {
    let shader = kernels().last().unwrap().shader;
    assert!(is_listed(&Kernel::new(shader)));
    assert!(!is_listed(&Kernel::with(shader, &[("POWER", 3)])));
}

/// Each kernel is one that this adapter's driver takes as well, not only naga.
#[test]
fn every_kernel_compiles_on_this_adapter() {
    let Some(gpu) = gpu(false) else { return };
    let fragments = gpu.report().cooperative_variant().is_some();
    for kernel in kernels() {
        if fragments || !is_cooperative(&module_of(&kernel).unwrap().0) {
            gpu.pipeline(&kernel).unwrap_or_else(|e| panic!("{}: {e}", kernel.name()));
        }
    }
    if !fragments {
        eprintln!("SKIPPED, no kernel with fragments was compiled: {}", gpu.report().name);
    }
}
