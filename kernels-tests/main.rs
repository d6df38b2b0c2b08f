//! Every kernel against f64 references written from the definition; the harness is tested first.

mod activation;
mod add;
mod contracts;
mod harness;
mod plan;
mod reference;
