//! A two-layer perceptron learns XOR: forward, backward and SGD on one tape, replayed every step.
//!
//! `cargo run --release --example 02_tape_mlp`

#![allow(
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "an example reports by printing"
)]

use anomem::autograd::{Element, Plan, PlanOptions, Tape};
use anomem::gpu::{Gpu, OpenOptions};
use anomem::ops::{activation::relu, add::add, affine::affine, finite, matmul, optimizer, reduce};
use anomem::tensor::{Store, VarId};

const HIDDEN: usize = 8;

pub fn main() -> anomem::Result<()> {
    let gpu = Gpu::open(&OpenOptions::default())?;
    let mut store = Store::new();
    let data = store.slab("data");
    let mut constant =
        |name: &str, shape: &[usize]| store.declare(data, name, shape, Element::F32, false);
    let (x, target) = (constant("x", &[4, 2])?, constant("target", &[4, 1])?);
    let (one, lr) = (constant("one", &[1])?, constant("lr", &[1])?);

    // Weights, and a velocity for each.
    let weights = store.slab("weights");
    let velocities = store.slab("velocities");
    let shapes: [(&str, &[usize]); 4] =
        [("w1", &[HIDDEN, 2]), ("b1", &[HIDDEN]), ("w2", &[1, HIDDEN]), ("b2", &[1])];
    let mut parameters: Vec<(VarId, VarId)> = Vec::new();
    for (name, shape) in shapes {
        let w = store.declare(weights, name, shape, Element::F32, true)?;
        let v = store.declare(velocities, &format!("{name}.v"), shape, Element::F32, false)?;
        parameters.push((w, v));
    }
    store.allocate(&gpu)?;
    store.upload(&gpu, x, &[0.0_f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
    store.upload(&gpu, target, &[0.0_f32, 1.0, 1.0, 0.0])?;
    store.upload(&gpu, one, &[1.0_f32])?;
    store.upload(&gpu, lr, &[0.01_f32])?;
    for (k, (w, _)) in parameters.iter().enumerate() {
        let start = (0..store.variable(*w).len()).map(|i| ((i * 7 + k * 3) as f32).sin() * 0.9);
        store.upload(&gpu, *w, &start.collect::<Vec<f32>>())?;
    }

    let mut tape = Tape::new(gpu.report().kernels());
    let t = &mut tape;
    let input = t.variable(&store, x);
    let [w1, b1, w2, b2] = [0, 1, 2, 3].map(|i| t.variable(&store, parameters[i].0));
    let hidden = matmul::linear(t, input, w1, b1)?;
    let hidden = relu(t, hidden)?;
    let y = matmul::linear(t, hidden, w2, b2)?;
    let wanted = t.variable(&store, target);
    let negative = affine(t, wanted, -1.0, 0.0)?;
    let error = add(t, y, negative)?;
    let loss = reduce::sum_of_squares(t, error)?;
    let seed = t.variable(&store, one);
    let grads = t.backward(&[(loss, seed)])?;
    let rate = t.variable(&store, lr);
    let sgd = optimizer::Sgd { momentum: 0.9, weight_decay: 0.0, lr_scale: 1.0 };
    for (w, v) in &parameters {
        let Some(grad) = grads.get(*w) else { continue };
        let bad = finite::count(t, grad)?;
        let (w, v) = (t.variable(&store, *w), t.variable(&store, *v));
        optimizer::sgd(t, &sgd, w, grad, v, rate, bad)?;
    }
    t.keep(loss);
    t.keep(y);
    let plan = Plan::compile(&gpu, t, &store, &PlanOptions::default())?;
    println!("{} dispatches per step on {}", plan.dispatches(), gpu.report().name);
    for step in 0..=300 {
        plan.run(&gpu)?;
        if step % 100 == 0 {
            println!("step {step}: loss {:.5}", plan.read::<f32>(&gpu, loss)?[0]);
        }
    }
    println!("0^0, 0^1, 1^0, 1^1 -> {:.2?}", plan.read::<f32>(&gpu, y)?);
    assert!(plan.read::<f32>(&gpu, loss)?[0] < 0.01, "it should have learned");
    Ok(())
}
