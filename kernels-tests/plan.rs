//! The tape's promises: nothing is created in a steady step, memory is planned, limits are kept.

use crate::harness::{fill, gpu};
use anomem::autograd::{Element, Plan, PlanOptions, Tape, Value};
use anomem::gpu::Variant;
use anomem::ops::{activation::relu, add::add};
use anomem::tensor::{Store, VarId};

fn chain(length: usize, len: usize) -> (Store, VarId, Tape, Value) {
    let mut store = Store::new();
    let slab = store.slab("inputs");
    let x = store.declare(slab, "x", &[len], Element::F32, true).unwrap();
    let mut tape = Tape::new(Variant::Simple);
    let mut v = tape.variable(&store, x);
    for _ in 0..length {
        v = relu(&mut tape, v).unwrap();
    }
    tape.keep(v);
    (store, x, tape, v)
}

fn options(memory_budget: Option<u64>) -> PlanOptions {
    PlanOptions { label: "chain".into(), memory_budget }
}

#[test]
fn a_steady_step_only_submits_and_planned_bytes_are_allocated_bytes() {
    let Some(shared) = gpu(false) else { return };
    // A device of its own: other tests move the shared one's counters.
    let device = anomem::gpu::DeviceSelector::Index(shared.report().index);
    let options_own = anomem::gpu::OpenOptions { device, default_limits: false };
    let gpu = &anomem::gpu::Gpu::open(&options_own).unwrap();
    let (mut store, x, tape, y) = chain(10, 1000);
    store.allocate(gpu).unwrap();
    let before = gpu.counters();
    let plan = Plan::compile(gpu, &tape, &store, &options(None)).unwrap();
    let uniform = 256;
    assert_eq!(gpu.counters().live_bytes - before.live_bytes, plan.temporary_bytes() + uniform);
    // Ten maps of 4,096 bytes, of which two live at a time.
    assert_eq!(plan.temporary_bytes(), 2 * 4096);
    let data = fill(1000, 1);
    store.upload(gpu, x, &data).unwrap();
    let mut at3 = gpu.counters();
    for step in 1..=30 {
        plan.run(gpu).unwrap();
        if step == 3 {
            at3 = gpu.counters();
        }
    }
    let after = gpu.counters();
    assert_eq!(after, anomem::gpu::Counters { submissions: at3.submissions + 27, ..at3 });
    let got: Vec<f32> = plan.read(gpu, y).unwrap();
    assert_eq!(got, data.iter().map(|v| v.max(0.0)).collect::<Vec<_>>());
}

#[test]
fn what_nobody_needs_is_not_run() {
    let Some(gpu) = gpu(false) else { return };
    let (mut store, x, mut tape, _) = chain(2, 64);
    let v = tape.variable(&store, x);
    let unused = add(&mut tape, v, v).unwrap();
    relu(&mut tape, unused).unwrap();
    store.allocate(gpu).unwrap();
    assert_eq!(Plan::compile(gpu, &tape, &store, &options(None)).unwrap().dispatches(), 2);
}

#[test]
fn a_budget_is_enforced_before_memory_is_taken() {
    let Some(gpu) = gpu(false) else { return };
    let (store, _, tape, _) = chain(3, 1_000_000);
    let e = Plan::compile(gpu, &tape, &store, &options(Some(1 << 20))).err().unwrap();
    assert!(e.to_string().contains("memory budget") && e.exit_code() == 2, "{e}");
}

#[test]
fn a_tensor_above_the_binding_limit_is_refused_by_name() {
    let Some(gpu) = gpu(true) else { return };
    let (store, _, tape, _) = chain(2, 1 << 26);
    let e = Plan::compile(gpu, &tape, &store, &options(None)).err().unwrap();
    let text = e.to_string();
    assert!(text.contains("relu") && text.contains("max_storage_buffer_binding_size"), "{text}");
}

#[test]
fn two_plans_share_variables() {
    let Some(gpu) = gpu(false) else { return };
    let (mut store, x, tape, y) = chain(1, 65);
    store.allocate(gpu).unwrap();
    let one = Plan::compile(gpu, &tape, &store, &options(None)).unwrap();
    let two = Plan::compile(gpu, &tape, &store, &options(None)).unwrap();
    store.upload(gpu, x, &fill(65, 9)).unwrap();
    one.run(gpu).unwrap();
    two.run(gpu).unwrap();
    assert_eq!(one.read::<f32>(gpu, y).unwrap(), two.read::<f32>(gpu, y).unwrap());
}
