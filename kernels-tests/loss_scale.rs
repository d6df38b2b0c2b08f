use crate::harness::{Input, fill, gpu, run_case, wide};
use crate::reference::loss_scale as reference;
use anomem::gpu::Variant;
use anomem::ops::loss_scale::{START, scale, unscale, update};

/// One, under, at and over a workgroup of scalars and vectors; over one dispatch dimension.
const LENGTHS: &[usize] = &[1, 4, 63, 64, 65, 255, 256, 257, 260, 65_535 * 64 + 1];

#[test]
fn scaling_is_undone_to_the_bit() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for &len in LENGTHS {
            let (x, state) = (fill(len, 1), [8.0, 3.0]);
            let inputs = [Input::Constant(&[len], &x), Input::Constant(&[2], &state)];
            let out = run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| {
                unscale(t, v[0], v[1])?;
                Ok(vec![scale(t, v[0], v[1])?])
            })
            .unwrap();
            let eighth: Vec<f32> = x.iter().map(|x| x / 8.0).collect();
            assert!(out.inputs[0] == eighth, "{len}: unscaled");
            assert!(out.outputs[0] == x, "{len}: scaled again");
            assert!(out.inputs[1] == state, "{len}: the state is only read");
        }
    }
}

/// Halved, also where it was to grow; counting; doubled; at its bounds.
#[test]
fn the_scale_follows_what_is_finite() {
    let Some(gpu) = gpu(true) else { return };
    for (state, non_finite) in [
        (START, 0),
        (START, 1),
        ([4096.0, 6.0], 7),
        ([4096.0, 5.0], 0),
        ([4096.0, 6.0], 0),
        ([1.0, 2.0], 1),
        ([16_777_216.0, 6.0], 0),
    ] {
        let inputs = [Input::Integers(&[1], &[non_finite]), Input::Constant(&[2], &state)];
        let out = run_case(gpu, Variant::Simple, &inputs, &[], |t, v| {
            update(t, v[0], v[1], 7)?;
            Ok(vec![])
        })
        .unwrap();
        let old = wide(&state);
        let want = reference::update([old[0], old[1]], non_finite == 0, 7.0);
        assert_eq!(wide(&out.inputs[1]), want, "{state:?}, {non_finite}");
    }
}

#[test]
fn other_lengths_are_errors() {
    let Some(gpu) = gpu(false) else { return };
    let fails = |flags: usize, state: usize| {
        let inputs = [Input::Constant(&[flags], &[]), Input::Constant(&[state], &[])];
        let record = |t: &mut _, v: &[_]| {
            update(t, v[0], v[1], 7)?;
            Ok(vec![scale(t, v[0], v[1])?])
        };
        run_case(gpu, Variant::Simple, &inputs, &[&[]], record).err().unwrap().to_string()
    };
    assert_eq!(fails(1, 1), "loss_scale.update: state [1]: expected [2]");
    assert_eq!(fails(3, 2), "loss_scale.update: non_finite [3]: expected one element");
}
