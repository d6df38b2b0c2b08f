//! anomem
