//! One operation on a tape: y = max(x, 0) on whatever adapter answers.
//!
//! `cargo run --release --example 01_one_kernel`

#![allow(
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "an example reports by printing"
)]

use anomem::autograd::{Element, Plan, PlanOptions, Tape};
use anomem::gpu::{Gpu, OpenOptions};
use anomem::ops::activation::relu;
use anomem::tensor::Store;

pub fn main() -> anomem::Result<()> {
    let gpu = Gpu::open(&OpenOptions::default())?;
    println!("on {}", gpu.report().name);

    // A variable lives in a slab of the store.
    let mut store = Store::new();
    let slab = store.slab("inputs");
    let x = store.declare(slab, "x", &[5], Element::F32, false)?;
    store.allocate(&gpu)?;
    store.upload(&gpu, x, &[-2.0_f32, -1.0, 0.0, 1.0, 2.0])?;

    // Recorded once, planned once, run as often as you like.
    let mut tape = Tape::new(gpu.report().kernels());
    let input = tape.variable(&store, x);
    let y = relu(&mut tape, input)?;
    tape.keep(y);
    let plan = Plan::compile(&gpu, &tape, &store, &PlanOptions::default())?;
    plan.run(&gpu)?;

    let result: Vec<f32> = plan.read(&gpu, y)?;
    println!("{result:?}");
    assert_eq!(result, [0.0, 0.0, 0.0, 1.0, 2.0]);
    Ok(())
}
