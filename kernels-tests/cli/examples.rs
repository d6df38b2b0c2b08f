//! Every example that needs an adapter runs and keeps its own promises.

use crate::training::has_adapter;

#[path = "../../examples/01_one_kernel.rs"]
mod one_kernel;
#[path = "../../examples/02_tape_mlp.rs"]
mod tape_mlp;
#[path = "../../examples/03_train_and_score.rs"]
mod train_and_score;

#[test]
fn examples_run() {
    if has_adapter() {
        one_kernel::main().unwrap();
        tape_mlp::main().unwrap();
        train_and_score::main().unwrap();
    }
}
