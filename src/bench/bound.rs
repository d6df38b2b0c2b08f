//! The limits that rates are held against.

use super::kernels::{filled, repeat, start};
use super::{Bounds, Clock, sized};
use crate::autograd::Tape;
use crate::gpu::Gpu;
use crate::ops::bounds;
use crate::tensor::Store;
use crate::{Error, Result};

/// Both numbers keep the chains of multiply-adds near 2.
const FACTOR_AND_TERM: [f32; 2] = [0.5, 1.0];

/// Measures multiply-adds and copies, both verified: the fastest of some runs, since this is what nothing exceeds.
///
/// # Errors
/// Wrong results, faults of the GPU.
pub(super) fn measure(gpu: &Gpu, clock: Clock) -> Result<Bounds> {
    let class = gpu.report().class;
    let (lanes, rounds) = sized(class, (1 << 16, 32), (1 << 21, 256));
    let gflops = {
        let (mut tape, mut store) = (Tape::new(gpu.report().kernels()), Store::new());
        let x = filled(&mut store, "x", &[lanes], false)?;
        let value = tape.variable(&store, x.id);
        let y = bounds::multiply_adds(&mut tape, value, rounds, FACTOR_AND_TERM)?;
        tape.keep(y);
        x.upload(gpu, &mut store)?;
        let (plan, _) = start(gpu, &tape, &store)?;
        let got: Vec<f32> = plan.read(gpu, y)?;
        // Three chains that are at their fixed point, 1 / (1 - 1/2).
        if let Some(wrong) = got.iter().find(|v| (**v - 6.0).abs() > 1e-5) {
            return Err(Error::Internal(format!("bounds.multiply_add gives {wrong}, expected 6")));
        }
        let flops = (6 * bounds::CHAIN * rounds * lanes) as f64;
        flops / repeat(gpu, clock, &plan)?[0] * 1e-9
    };
    let len = sized(class, 1_usize << 24, 1 << 26).min(gpu.max_binding() as usize / 4);
    let len = len / 4 * 4;
    let (mut tape, mut store) = (Tape::new(gpu.report().kernels()), Store::new());
    let x = filled(&mut store, "x", &[len], false)?;
    let value = tape.variable(&store, x.id);
    let y = bounds::copy(&mut tape, value)?;
    tape.keep(y);
    let values = x.upload(gpu, &mut store)?;
    let (plan, _) = start(gpu, &tape, &store)?;
    if plan.read::<f32>(gpu, y)? != values {
        return Err(Error::Internal("bounds.copy: the copy differs".into()));
    }
    Ok(Bounds { gflops, gb_s: (8 * len) as f64 / repeat(gpu, clock, &plan)?[0] * 1e-9 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_start_at_their_fixed_point_and_stay() {
        let [factor, term] = FACTOR_AND_TERM;
        let fixed = f64::from(term) / (1.0 - f64::from(factor));
        assert_eq!(3.0 * fixed, 6.0);
    }
}
