//! The limits that rates are held against.

use super::kernels::{filled, repeat, start};
use super::{Bounds, Clock, sized};
use crate::autograd::Tape;
use crate::gpu::Gpu;
use crate::ops::bounds;
use crate::tensor::Store;
use crate::{Error, Result};

/// With this factor the steps move values from chain to chain and change none.
const FACTOR: f32 = 0.0;

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
        let y = bounds::multiply_adds(&mut tape, value, rounds, FACTOR)?;
        tape.keep(y);
        let values = x.upload(gpu, &mut store)?;
        let (plan, _) = start(gpu, &tape, &store)?;
        let got: Vec<f32> = plan.read(gpu, y)?;
        // A multiple of four steps brings every value back to its place among the elements.
        for (got, x) in got.iter().zip(&values) {
            let want = 3.0 * x + 3.0;
            if (got - want).abs() > 1e-5 {
                let message = format!("bounds.multiply_add gives {got} of {x}, expected {want}");
                return Err(Error::Internal(message));
            }
        }
        let flops = (6 * bounds::STEPS * rounds * lanes) as f64;
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
