//! The tape: recorded once, planned once, replayed every step.

mod fuse;
mod half;
mod plan;
mod rematerialise;
mod role;
mod tape;

pub(crate) use plan::launch_alike;
pub use plan::{Plan, PlanOptions, Precision};
pub use tape::{Dispatch, Element, Gradients, Tape, Value};
