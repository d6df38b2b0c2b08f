//! Comparing kernels with references. Tested itself before anything relies on it.

use std::path::Path;

mod close;
mod device;
pub mod torchvision;

pub use close::close;
pub use device::{Input, Outcome, gpu, is_listed, run, run_case, run_in, run_replaced, variants};

/// Deterministic values in [-1, 1), none of them round (splitmix64, Steele et al. 2014).
pub fn fill(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// The same values in f64.
pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// The repository: where it was built, or, for a test binary on another machine, the current folder.
pub fn root() -> &'static Path {
    let built = Path::new(env!("CARGO_MANIFEST_DIR"));
    if built.join("shaders").is_dir() { built } else { Path::new(".") }
}
