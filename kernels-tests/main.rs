//! Every kernel against f64 references written from the definition; the harness is tested first.

#![allow(unreachable_pub, missing_docs, reason = "a test binary has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]
#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "comparisons are written so that NaN fails")]

mod activation;
mod add;
mod contracts;
mod gather;
mod harness;
mod hopfield;
mod plan;
mod reference;
