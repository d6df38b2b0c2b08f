use anomem::autograd::{Element, Plan, PlanOptions, Tape, Value};
use anomem::gpu::{Gpu, OpenOptions};
use anomem::tensor::{Store, VarId};
use std::sync::OnceLock;

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
        match Gpu::open(&OpenOptions { device, default_limits }) {
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

/// Runs what `record` puts on a tape over trainable inputs, then the backward pass from random
/// `seed`; returns the output and the gradient of each input. Every byte that the kernels shall
/// write is NaN before.
pub fn run(
    gpu: &Gpu,
    inputs: &[(&[usize], &[f32])],
    seed: &[f32],
    record: impl Fn(&mut Tape, &[Value]) -> anomem::Result<Value>,
) -> anomem::Result<(Vec<f32>, Vec<Vec<f32>>)> {
    let mut store = Store::new();
    let slab = store.slab("inputs");
    let vars: Vec<VarId> = inputs
        .iter()
        .enumerate()
        .map(|(i, (shape, _))| store.declare(slab, &format!("x{i}"), shape, Element::F32, true))
        .collect::<Result<_, _>>()?;
    let mut tape = Tape::new();
    let values: Vec<Value> = vars.iter().map(|v| tape.variable(&store, *v)).collect();
    let output = record(&mut tape, &values)?;
    let seed_slab = store.slab("seed");
    let seed_var = store.declare(seed_slab, "seed", tape.shape(output), Element::F32, false)?;
    let seed_value = tape.variable(&store, seed_var);
    let gradients = tape.backward(output, seed_value)?;
    let grads: Vec<Value> = vars.iter().map(|v| gradients.get(*v).unwrap()).collect();
    tape.keep(output);
    grads.iter().for_each(|g| tape.keep(*g));
    store.allocate(gpu)?;
    for (var, (_, data)) in vars.iter().zip(inputs) {
        store.upload(gpu, *var, data)?;
    }
    store.upload(gpu, seed_var, seed)?;
    let options = PlanOptions { label: "test".into(), ..Default::default() };
    let plan = Plan::compile(gpu, &tape, &store, &options)?;
    plan.poison(gpu)?;
    plan.run(gpu)?;
    let value = plan.read(gpu, output)?;
    Ok((value, grads.iter().map(|g| plan.read(gpu, *g)).collect::<Result<_, _>>()?))
}
