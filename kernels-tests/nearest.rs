use crate::harness::{Input, close, fill, gpu, run_case, variants, wide};
use crate::reference::nearest as reference;
use anomem::Result;
use anomem::autograd::{Tape, Value};
use anomem::gpu::Variant;
use anomem::ops::nearest::nearest;

fn record(t: &mut Tape, v: &[Value]) -> Result<Vec<Value>> {
    let (distance, index) = nearest(t, v[0], v[1])?;
    Ok(vec![distance, index])
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        // The last two need several runs; what lies in the later ones must be found.
        let shapes = [
            [1, 1, 1],
            [4, 4, 4],
            [63, 5, 7],
            [64, 3, 2],
            [65, 17, 9],
            [3, 301, 4096],
            [2, 3, 150_528],
        ];
        for [r, s, d] in shapes {
            let (a, b) = (fill(r * d, 1), fill(s * d, 2));
            let inputs = [Input::Constant(&[r, d], &a), Input::Constant(&[s, d], &b)];
            let (want, index) = reference::nearest(&wide(&a), &wide(&b), d);
            for variant in variants(gpu) {
                let out = run_case(gpu, variant, &inputs, &[&[], &[]], record).unwrap();
                let worst = close("distance", &out.outputs[0], &want, d as f64 + 2.0).unwrap();
                let bits: Vec<u32> = out.outputs[1].iter().map(|v| v.to_bits()).collect();
                assert_eq!(bits, index);
                println!("nearest {variant:?} {r} {s} {d}: worst {worst:.3} of the allowance");
            }
        }
    }
}

/// More pairs than a matrix of products may hold.
#[test]
fn more_pairs_than_a_matrix_holds() {
    let Some(gpu) = gpu(true) else { return };
    let [r, s, d] = [1 << 18, 129, 2];
    let (a, b) = (fill(r * d, 1), fill(s * d, 2));
    let inputs = [Input::Constant(&[r, d], &a), Input::Constant(&[s, d], &b)];
    let (want, _) = reference::nearest(&wide(&a), &wide(&b), d);
    let out = run_case(gpu, Variant::Tiled, &inputs, &[&[], &[]], record).unwrap();
    close("distance", &out.outputs[0], &want, d as f64 + 2.0).unwrap();
}

#[test]
fn the_first_of_equals_wins_and_widths_must_agree() {
    let Some(gpu) = gpu(false) else { return };
    // Another row comes first, so that the first of equals is not the first of all.
    let (a, b) = ([0.5, 0.5], [9.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let inputs = [Input::Constant(&[1, 2], &a), Input::Constant(&[4, 2], &b)];
    for variant in variants(gpu) {
        let out = run_case(gpu, variant, &inputs, &[&[], &[]], record).unwrap();
        assert_eq!((out.outputs[0][0], out.outputs[1][0].to_bits()), (0.5, 1));
    }
    let inputs = [Input::Constant(&[1, 2], &a), Input::Constant(&[2, 3], &b)];
    let e = run_case(gpu, Variant::Simple, &inputs, &[&[], &[]], record).err().unwrap();
    assert!(e.to_string().contains("[1, 2]") && e.to_string().contains("[2, 3]"), "{e}");
}
