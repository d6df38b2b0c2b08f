//! Operands in textures: which ones are read so is a matter of speed, by driver and processor, and changes no bit.

use crate::half::{cases, run};
use crate::harness::{Input, fill, gpu, run_case, variants};
use anomem::autograd::{Precision, Tape, Value};
use anomem::gpu::{DeviceSelector, Gpu, OpenOptions, Texels, Variant};
use anomem::ops::add::add;

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

/// What is too large for a texture is read where it is, to the same bits, and textures take no memory.
#[test]
fn large_operands_stay_in_buffers() {
    let Some(gpu) = gpu(false) else { return };
    let device = DeviceSelector::Index(gpu.report().index);
    let options = OpenOptions { device, texels: Some(Texels::All), ..Default::default() };
    // 16 MiB, and four floats more.
    for (len, in_textures) in [(4 << 20, true), ((4 << 20) + 4, false)] {
        let gpu = Gpu::open(&options).unwrap();
        let (a, b) = (fill(len, 1), fill(len, 2));
        let inputs = [Input::Constant(&[len], &a), Input::Constant(&[len], &b)];
        let record = |t: &mut Tape, v: &[Value]| Ok(vec![add(t, v[0], v[1])?]);
        let outcome = run_case(&gpu, Variant::Simple, &inputs, &[&[]], record).unwrap();
        assert!(outcome.outputs[0].iter().zip(a.iter().zip(&b)).all(|(y, (a, b))| *y == a + b));
        // Of both operands.
        let bytes = gpu.counters().live_bytes;
        assert_eq!(bytes >= 2 * (16 << 20), in_textures, "{len}: {bytes} bytes");
    }
}
