//! Operands in textures: which ones are read so is a matter of speed, by driver and processor, and changes no bit.

use crate::half::{cases, run};
use crate::harness::{gpu, variants};
use anomem::autograd::Precision;
use anomem::gpu::{DeviceSelector, Gpu, OpenOptions, Texels, Variant};

/// Outputs and gradients of every case, and the bytes that outlive them: textures and what transfers keep.
fn results(options: &OpenOptions, variant: Variant, texels: Texels) -> (Vec<Vec<f32>>, u64) {
    let options = OpenOptions { texels: Some(texels), ..options.clone() };
    let gpu = Gpu::open(&options).unwrap();
    let mut found = Vec::new();
    for case in cases() {
        let outcome = run(&gpu, variant, Precision::F32, &case);
        found.extend(outcome.outputs.into_iter().chain(outcome.grads));
    }
    (found, gpu.counters().live_bytes)
}

#[test]
fn texels_change_no_bit() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let device = DeviceSelector::Index(gpu.report().index);
        let options = OpenOptions { device, default_limits, ..Default::default() };
        for variant in variants(gpu) {
            let of = |texels| results(&options, variant, texels);
            let (wanted, without) = of(Texels::None);
            assert!(wanted.iter().flatten().all(|v| v.is_finite()));
            let (most, some_bytes) = of(Texels::Most);
            let (all, all_bytes) = of(Texels::All);
            assert!(wanted == most && wanted == all, "{variant:?}");
            let bytes = [without, some_bytes, all_bytes];
            assert!(bytes.is_sorted() && without < some_bytes, "{variant:?}: {bytes:?} bytes");
        }
    }
}
