use crate::harness::{Input, close, fill, gpu, run_case, variants, wide};
use crate::reference::matmul as reference;
use crate::reference::matmul::transpose;
use anomem::gpu::{Gpu, Variant};
use anomem::ops::matmul::{linear, matmul, matmul_transposed, transposed_matmul};
use proptest::prelude::*;

/// m, k, n.
type Sizes = [usize; 3];

/// All ones; all equal; all different with and without factors of 4; one under, at and over a tile
/// (16, 64 or 128 each way).
const CASES: &[Sizes] = &[
    [1, 1, 1],
    [16, 16, 16],
    [2, 5, 3],
    [12, 20, 8],
    [1, 64, 4],
    [63, 15, 15],
    [64, 16, 16],
    [65, 17, 17],
    [127, 12, 63],
    [128, 32, 64],
    [129, 33, 65],
    [300, 8, 40],
];

fn all_variants(gpu: &Gpu) -> Vec<Variant> {
    let mut list = variants(gpu);
    if list.contains(&Variant::Subgroup { lanes: 8 }) {
        list.push(Variant::Subgroup { lanes: 4 });
    }
    list
}

/// Worst error / allowance of the three functions and their gradients.
fn check(gpu: &Gpu, variant: Variant, &[m, k, n]: &Sizes) -> Result<f64, String> {
    let (a, b, bias, g) = (fill(m * k, 1), fill(k * n, 2), fill(n, 3), fill(m * n, 4));
    let (a64, b64, g64) = (wide(&a), wide(&b), wide(&g));
    let (bt, bt64): (Vec<f32>, Vec<f64>) = {
        let t = transpose(&b64, k, n);
        (t.iter().map(|v| *v as f32).collect(), t)
    };
    let y = reference::matmul(&a64, &b64, m, k, n);
    let grad_a = reference::matmul(&g64, &bt64, m, n, k);
    let grad_b = reference::matmul(&transpose(&a64, m, k), &g64, k, m, n);
    let grad_bt = reference::matmul(&transpose(&g64, m, n), &a64, n, m, k);
    let (ym, yl) = (y, reference::linear(&a64, &bt64, &wide(&bias), m, k));
    let (km, nm, mm) = (k as f64, n as f64, m as f64);
    let mut worst = 0f64;
    let mut same = |name: &str, got: &[f32], want, depth| -> Result<(), String> {
        worst = worst.max(close(name, got, want, depth)?);
        Ok(())
    };
    let text = |e: anomem::Error| e.to_string();
    let (am, bm, btm, biasm) = ([m, k], [k, n], [n, k], [n]);
    let inputs = [Input::Trainable(&am, &a), Input::Trainable(&bm, &b)];
    let out = run_case(gpu, variant, &inputs, &[&g], |t, v| Ok(vec![matmul(t, v[0], v[1])?]))
        .map_err(text)?;
    same("matmul", &out.outputs[0], &ym, km)?;
    same("matmul.grad_a", &out.grads[0], &grad_a, nm)?;
    same("matmul.grad_b", &out.grads[1], &grad_b, mm)?;
    let inputs = [Input::Trainable(&am, &a), Input::Trainable(&btm, &bt)];
    let record = |t: &mut anomem::autograd::Tape, v: &[anomem::autograd::Value]| {
        Ok(vec![matmul_transposed(t, v[0], v[1])?])
    };
    let out = run_case(gpu, variant, &inputs, &[&g], record).map_err(text)?;
    same("matmul_transposed", &out.outputs[0], &ym, km)?;
    same("matmul_transposed.grad_a", &out.grads[0], &grad_a, nm)?;
    same("matmul_transposed.grad_b", &out.grads[1], &grad_bt, mm)?;
    let at64 = transpose(&a64, m, k);
    let (at, grad_at) = (
        at64.iter().map(|v| *v as f32).collect::<Vec<_>>(),
        reference::matmul(&b64, &transpose(&g64, m, n), k, n, m),
    );
    let atm = [k, m];
    let inputs = [Input::Trainable(&atm, &at), Input::Trainable(&bm, &b)];
    let record = |t: &mut anomem::autograd::Tape, v: &[anomem::autograd::Value]| {
        Ok(vec![transposed_matmul(t, v[0], v[1])?])
    };
    let out = run_case(gpu, variant, &inputs, &[&g], record).map_err(text)?;
    same("transposed_matmul", &out.outputs[0], &ym, km)?;
    same("transposed_matmul.grad_a", &out.grads[0], &grad_at, nm)?;
    same("transposed_matmul.grad_b", &out.grads[1], &grad_b, mm)?;
    let inputs =
        [Input::Trainable(&am, &a), Input::Trainable(&btm, &bt), Input::Trainable(&biasm, &bias)];
    let out = run_case(gpu, variant, &inputs, &[&g], |t, v| Ok(vec![linear(t, v[0], v[1], v[2])?]))
        .map_err(text)?;
    same("linear", &out.outputs[0], &yl, km + 1.0)?;
    same("linear.grad_x", &out.grads[0], &grad_a, nm)?;
    same("linear.grad_weight", &out.grads[1], &grad_bt, mm)?;
    same("linear.grad_bias", &out.grads[2], &reference::column_sum(&g64, m, n), mm)?;
    Ok(worst)
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in all_variants(gpu) {
            for s in CASES {
                let worst =
                    check(gpu, variant, s).unwrap_or_else(|e| panic!("{variant:?} {s:?} {e}"));
                println!("matmul {variant:?} {s:?}: worst {worst:.3} of the allowance");
            }
        }
    }
}

#[test]
fn random_shapes_match_the_reference() {
    let Some(gpu) = gpu(false) else { return };
    let variants = all_variants(gpu);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..Default::default()
    });
    runner
        .run(&[1..100usize, 1..70usize, 1..100usize], |s| {
            for variant in &variants {
                check(gpu, *variant, &s)
                    .map_err(|e| TestCaseError::fail(format!("{variant:?} {s:?}: {e}")))?;
            }
            Ok(())
        })
        .unwrap();
}

/// More elements than one dispatch dimension holds workgroups (65,535 of 64 elements).
#[test]
fn runs_over_a_dispatch_dimension() {
    let Some(gpu) = gpu(false) else { return };
    let (m, n) = (65_537, 65);
    let (a, b) = (fill(m, 1), fill(n, 2));
    let (am, bm, biasm) = ([m, 1], [n, 1], [n]);
    let bias = fill(n, 3);
    let inputs =
        [Input::Constant(&am, &a), Input::Constant(&bm, &b), Input::Constant(&biasm, &bias)];
    let want = reference::linear(&wide(&a), &wide(&b), &wide(&bias), m, 1);
    for variant in all_variants(gpu) {
        let out =
            run_case(gpu, variant, &inputs, &[&[]], |t, v| Ok(vec![linear(t, v[0], v[1], v[2])?]));
        close("linear", &out.unwrap().outputs[0], &want, 2.0).unwrap();
    }
}

/// Sums over more rows than an invocation may walk on a software driver, of whole numbers that add without rounding: a
/// row lost shows.
#[test]
fn no_row_is_lost_of_many() {
    let Some(gpu) = gpu(false) else { return };
    let whole = |len: usize| -> Vec<f32> {
        (0..len).map(|i| ((i * 7 + i / 1000) % 5 + 1) as f32).collect()
    };
    let (m, k, n) = (70_001, 2, 3);
    let (x, g, bias) = (whole(m * k), whole(m * n), vec![0.0; n]);
    let weight = whole(n * k);
    let (xm, wm, biasm) = ([m, k], [n, k], [n]);
    let inputs =
        [Input::Constant(&xm, &x), Input::Trainable(&wm, &weight), Input::Trainable(&biasm, &bias)];
    let (x64, g64) = (wide(&x), wide(&g));
    let grad_weight = reference::matmul(&transpose(&g64, m, n), &x64, n, m, k).value;
    let grad_bias = reference::column_sum(&g64, m, n).value;
    for variant in all_variants(gpu) {
        let out =
            run_case(gpu, variant, &inputs, &[&g], |t, v| Ok(vec![linear(t, v[0], v[1], v[2])?]))
                .unwrap();
        assert_eq!(wide(&out.grads[1]), grad_weight, "{variant:?}: grad_weight");
        assert_eq!(wide(&out.grads[2]), grad_bias, "{variant:?}: grad_bias");
    }
}

#[test]
fn other_shapes_are_an_error_that_names_both() {
    let Some(gpu) = gpu(false) else { return };
    let (a, b, c) = (fill(6, 1), fill(6, 2), fill(2, 3));
    let inputs =
        [Input::Constant(&[2, 3], &a), Input::Constant(&[2, 3], &b), Input::Constant(&[2], &c)];
    type Record = fn(
        &mut anomem::autograd::Tape,
        &[anomem::autograd::Value],
    ) -> anomem::Result<anomem::autograd::Value>;
    let fails = |record: Record, words: &str| {
        let e = run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| Ok(vec![record(t, v)?]));
        assert_eq!(e.err().unwrap().to_string(), words);
    };
    fails(|t, v| matmul(t, v[0], v[1]), "matmul: a [2, 3], b [2, 3]: expected [M, K] and [K, N]");
    fails(
        |t, v| transposed_matmul(t, v[0], v[2]),
        "transposed_matmul: a [2, 3], b [2]: expected [M, K] and [M, N]",
    );
    fails(
        |t, v| matmul_transposed(t, v[0], v[2]),
        "matmul_transposed: a [2, 3], b [2]: expected [M, K] and [N, K]",
    );
    fails(
        |t, v| linear(t, v[0], v[2], v[2]),
        "linear: x [2, 3], weight [2], bias [2]: expected [N, I], [O, I] and [O]",
    );
    let inputs = [Input::Constant(&[0, 3], &[]), Input::Constant(&[3, 2], &b)];
    let e =
        run_case(gpu, Variant::Simple, &inputs, &[&[]], |t, v| Ok(vec![matmul(t, v[0], v[1])?]));
    assert!(e.err().unwrap().to_string().contains("at least 1"));
}
