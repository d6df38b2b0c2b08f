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
mod affine;
mod augment;
mod barlow;
mod batch_norm;
mod bounds;
mod contracts;
mod conv2d;
mod cosine;
mod cross_entropy;
mod damage;
mod deviation;
mod faults;
mod finite;
mod flip;
mod gather;
mod gaussian;
mod half;
mod harness;
mod hinge;
mod hopfield;
mod kmeans;
mod loss_scale;
mod matmul;
mod nearest;
mod normalize;
mod nt_xent;
mod optimizer;
mod plan;
mod pool;
mod pretrained;
mod reduce;
mod reference;
mod resize;
mod rotation;
mod rows;
mod scoring;
mod select;
mod softmax;
mod stage1;
mod texels;
mod variance;
