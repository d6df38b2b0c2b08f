//! What every family owes: its files in every corner, Params that agree, shaders that validate.

use anomem::gpu::{Kernel, layout_of, module_of};
use anomem::ops::shaders;
use std::collections::BTreeSet;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn names(folder: &str, keep: impl Fn(&Path) -> bool) -> BTreeSet<String> {
    std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| keep(p))
        .map(|p| p.file_stem().unwrap().to_str().unwrap().to_string())
        .collect()
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
        except(names("kernels-tests", rust), &["main", "contracts", "faults", "plan", "stage1"])
    );
    assert_eq!(shaders, except(names("kernels-tests/reference", rust), &["mod"]));
}

#[test]
fn every_shader_file_is_registered() {
    let registered: BTreeSet<String> = shaders().iter().map(|s| s.label()).collect();
    let mut files = BTreeSet::new();
    for family in names("shaders", Path::is_dir).iter().filter(|f| *f != "common") {
        let stems = names(&format!("shaders/{family}"), |_| true);
        files.extend(stems.into_iter().map(|stem| format!("{family}.{stem}")));
    }
    assert_eq!(registered, files);
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
fn every_shader_translates_for_every_backend() {
    for shader in shaders() {
        let label = shader.label();
        let (module, info) = module_of(&Kernel::new(shader)).unwrap();
        assert_eq!(module.entry_points[0].name, shader.stem, "{label}: entry point");
        let spirv = naga::back::spv::write_vec(&module, &info, &Default::default(), None);
        assert!(!spirv.unwrap_or_else(|e| panic!("{label}: SPIR-V: {e}")).is_empty());
        let msl = naga::back::msl::write_string(
            &module,
            &info,
            &naga::back::msl::Options { fake_missing_bindings: true, ..Default::default() },
            &Default::default(),
        );
        msl.unwrap_or_else(|e| panic!("{label}: MSL: {e}"));
        let options = naga::back::hlsl::Options::default();
        let pipeline = naga::back::hlsl::PipelineOptions::default();
        let mut text = String::new();
        naga::back::hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&module, &info, None)
            .unwrap_or_else(|e| panic!("{label}: HLSL: {e}"));
    }
}
