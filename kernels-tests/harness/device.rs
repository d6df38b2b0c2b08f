use anomem::autograd::{Element, Plan, PlanOptions, Precision, Tape, Value};
use anomem::gpu::{Gpu, Kernel, KernelChoice, OpenOptions, Variant};
use anomem::tensor::{Store, VarId};
use std::collections::HashSet;
use std::sync::{LazyLock, OnceLock};

/// The device of all tests: with the adapter's own limits, and with WebGPU's default limits.
/// Absent: a loud skip, or a failure under `ANOMEM_GPU=require`.
pub fn gpu(default_limits: bool) -> Option<&'static Gpu> {
    static OWN: OnceLock<Option<Gpu>> = OnceLock::new();
    static DEFAULT: OnceLock<Option<Gpu>> = OnceLock::new();
    let slot = if default_limits { &DEFAULT } else { &OWN };
    slot.get_or_init(|| {
        let device = match std::env::var("ANOMEM_DEVICE") {
            Ok(name) => name.parse().unwrap(),
            Err(_) => Default::default(),
        };
        match Gpu::open(&OpenOptions { device, default_limits, ..Default::default() }) {
            Ok(gpu) => {
                eprintln!("adapter: {} ({})", gpu.report().name, gpu.report().class);
                Some(gpu)
            }
            Err(e) if std::env::var("ANOMEM_GPU").as_deref() == Ok("require") => panic!("{e}"),
            Err(e) => {
                eprintln!("SKIPPED, no GPU test ran: {e}");
                None
            }
        }
    })
    .as_ref()
}

/// Every kernel variant that this adapter can run.
pub fn variants(gpu: &Gpu) -> Vec<Variant> {
    let mut list = vec![Variant::Simple, Variant::Tiled];
    list.extend(gpu.report().subgroup_variant());
    list
}

/// Whether the contract tests see a kernel: all but those of the tests' own shaders must be in
/// `ops::kernels`.
pub fn is_listed(kernel: &Kernel) -> bool {
    static LISTED: LazyLock<HashSet<String>> =
        LazyLock::new(|| anomem::ops::kernels().unwrap().iter().map(Kernel::name).collect());
    kernel.shader.family == "test" || LISTED.contains(&kernel.clone().halved(0).name())
}

/// One input of a recorded operation.
pub enum Input<'a> {
    /// Gradient wanted.
    Trainable(&'a [usize], &'a [f32]),
    /// No gradient wanted.
    Constant(&'a [usize], &'a [f32]),
    /// Indices, counters, packed bytes.
    Integers(&'a [usize], &'a [u32]),
}

/// What a run gave.
pub struct Outcome {
    /// Each output, as bits for what is not f32.
    pub outputs: Vec<Vec<f32>>,
    /// The gradient of each input; empty for those that want none.
    pub grads: Vec<Vec<f32>>,
    /// Each input after the run, for operations that write variables.
    pub inputs: Vec<Vec<f32>>,
    /// What ran.
    pub kernels: Vec<Kernel>,
}

/// Records, runs forward, and backward from `seeds`: one per output, empty for outputs without a
/// gradient. Every byte that the kernels shall write is NaN before.
pub fn run_case(
    gpu: &Gpu,
    kernels: impl Into<KernelChoice>,
    inputs: &[Input<'_>],
    seeds: &[&[f32]],
    record: impl Fn(&mut Tape, &[Value]) -> anomem::Result<Vec<Value>>,
) -> anomem::Result<Outcome> {
    run_in(gpu, kernels, Precision::F32, inputs, seeds, record)
}

/// [`run_case`] in a precision.
pub fn run_in(
    gpu: &Gpu,
    kernels: impl Into<KernelChoice>,
    precision: Precision,
    inputs: &[Input<'_>],
    seeds: &[&[f32]],
    record: impl Fn(&mut Tape, &[Value]) -> anomem::Result<Vec<Value>>,
) -> anomem::Result<Outcome> {
    run_as(gpu, kernels, precision, inputs, seeds, record, |_| None)
}

/// [`run_case`] with other kernels in place of those for which `other` gives one.
pub fn run_replaced(
    gpu: &Gpu,
    kernels: impl Into<KernelChoice>,
    inputs: &[Input<'_>],
    seeds: &[&[f32]],
    record: impl Fn(&mut Tape, &[Value]) -> anomem::Result<Vec<Value>>,
    other: impl Fn(&Kernel) -> Option<Kernel>,
) -> anomem::Result<Outcome> {
    run_as(gpu, kernels, Precision::F32, inputs, seeds, record, other)
}

fn run_as(
    gpu: &Gpu,
    kernels: impl Into<KernelChoice>,
    precision: Precision,
    inputs: &[Input<'_>],
    seeds: &[&[f32]],
    record: impl Fn(&mut Tape, &[Value]) -> anomem::Result<Vec<Value>>,
    other: impl Fn(&Kernel) -> Option<Kernel>,
) -> anomem::Result<Outcome> {
    let mut store = Store::new();
    let slab = store.slab("inputs");
    let mut vars: Vec<VarId> = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        let (shape, element, trainable) = match input {
            Input::Trainable(shape, _) => (shape, Element::F32, true),
            Input::Constant(shape, _) => (shape, Element::F32, false),
            Input::Integers(shape, _) => (shape, Element::U32, false),
        };
        vars.push(store.declare(slab, &format!("x{i}"), shape, element, trainable)?);
    }
    let mut tape = Tape::new(kernels);
    let values: Vec<Value> = vars.iter().map(|v| tape.variable(&store, *v)).collect();
    let outputs = record(&mut tape, &values)?;
    assert_eq!(outputs.len(), seeds.len(), "one seed per output");
    let seed_slab = store.slab("seeds");
    let mut pairs = Vec::new();
    let mut seed_vars = Vec::new();
    for (i, (output, seed)) in outputs.iter().zip(seeds).enumerate() {
        if !seed.is_empty() {
            let shape = tape.shape(*output).to_vec();
            let var = store.declare(seed_slab, &format!("seed{i}"), &shape, Element::F32, false)?;
            pairs.push((*output, tape.variable(&store, var)));
            seed_vars.push((var, *seed));
        }
    }
    let gradients = tape.backward(&pairs)?;
    let grads: Vec<Option<Value>> = vars.iter().map(|v| gradients.get(*v)).collect();
    for (input, grad) in inputs.iter().zip(&grads) {
        let wanted = matches!(input, Input::Trainable(..)) && !pairs.is_empty();
        assert_eq!(grad.is_some(), wanted, "gradients go to trainable inputs and no others");
    }
    outputs.iter().chain(grads.iter().flatten()).for_each(|v| tape.keep(*v));
    tape.replace_kernels(other);
    store.allocate(gpu)?;
    for (var, input) in vars.iter().zip(inputs) {
        match input {
            Input::Trainable(_, data) | Input::Constant(_, data) => {
                store.upload(gpu, *var, data)?;
            }
            Input::Integers(_, data) => store.upload(gpu, *var, data)?,
        }
    }
    for (var, seed) in seed_vars {
        store.upload(gpu, var, seed)?;
    }
    let options = PlanOptions { label: "test".into(), precision, ..Default::default() };
    let plan = Plan::compile(gpu, &tape, &store, &options)?;
    for kernel in plan.kernels() {
        assert!(is_listed(kernel), "{} is not in its family's RESTATED", kernel.name());
    }
    plan.poison(gpu)?;
    plan.run(gpu)?;
    Ok(Outcome {
        outputs: outputs.iter().map(|v| plan.read(gpu, *v)).collect::<Result<_, _>>()?,
        grads: grads
            .iter()
            .map(|g| g.map_or(Ok(Vec::new()), |g| plan.read(gpu, g)))
            .collect::<Result<_, _>>()?,
        inputs: vars.iter().map(|v| store.download(gpu, *v)).collect::<Result<_, _>>()?,
        kernels: plan.kernels().cloned().collect(),
    })
}

/// [`run_case`] for one output, trainable inputs and the simple kernels: output and gradients.
pub fn run(
    gpu: &Gpu,
    inputs: &[(&[usize], &[f32])],
    seed: &[f32],
    record: impl Fn(&mut Tape, &[Value]) -> anomem::Result<Value>,
) -> anomem::Result<(Vec<f32>, Vec<Vec<f32>>)> {
    let inputs: Vec<Input<'_>> =
        inputs.iter().map(|(shape, data)| Input::Trainable(shape, data)).collect();
    let record = |t: &mut Tape, v: &[Value]| Ok(vec![record(t, v)?]);
    let mut outcome = run_case(gpu, Variant::Simple, &inputs, &[seed], record)?;
    Ok((outcome.outputs.swap_remove(0), outcome.grads))
}
