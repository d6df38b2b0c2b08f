//! The command line; see `anomem --help`.
fn main() {}
