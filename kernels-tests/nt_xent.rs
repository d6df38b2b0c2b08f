use crate::harness::{Input, close, fill, gpu, run_case, variants, wide};
use crate::reference::Out;
use crate::reference::nt_xent::{Negatives, Problem};
use anomem::gpu::{Gpu, Variant};
use anomem::ops::nt_xent::{self as op, NtXentOptions, nt_xent};
use proptest::prelude::*;

const ALL: [Negatives; 3] = [Negatives::Joint, Negatives::ExcludeImage, Negatives::PerPosition];

/// Sizes and settings of one case.
#[derive(Debug, Clone)]
struct Case {
    images: usize,
    positions: usize,
    d: usize,
    tau: f32,
    negatives: Negatives,
    valid: Option<Vec<f32>>,
}

impl Case {
    fn new(images: usize, positions: usize, d: usize, negatives: Negatives) -> Self {
        Self { images, positions, d, tau: 0.1, negatives, valid: None }
    }

    fn n(&self) -> usize {
        self.images * self.positions
    }

    fn options(&self) -> NtXentOptions {
        let negatives = match self.negatives {
            Negatives::Joint => op::Negatives::Joint,
            Negatives::ExcludeImage => op::Negatives::ExcludeImage,
            Negatives::PerPosition => op::Negatives::PerPosition,
        };
        NtXentOptions { tau: self.tau, positions: self.positions, negatives }
    }

    /// Unit rows; those of b lean towards their pairs in a, each by its own share.
    fn rows(&self) -> (Vec<f32>, Vec<f32>) {
        let a = fill(self.n() * self.d, 11);
        let lean = fill(self.n(), 13);
        let mut b = fill(self.n() * self.d, 12);
        for (i, (x, y)) in b.iter_mut().zip(&a).enumerate() {
            *x += y * lean[i / self.d];
        }
        (unit(a, self.d), unit(b, self.d))
    }
}

fn unit(mut rows: Vec<f32>, d: usize) -> Vec<f32> {
    for row in rows.chunks_mut(d) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    rows
}

/// What a case shall give, for the gradients of every row or of some.
struct Want {
    loss: Out,
    rows: Vec<usize>,
    grad: Out,
}

/// Gradient of the loss in every run.
const SEED: f32 = -1.7;

fn want(case: &Case, rows: Option<&[usize]>) -> Want {
    let (a, b) = case.rows();
    let problem = Problem {
        a: wide(&a),
        b: wide(&b),
        d: case.d,
        tau: f64::from(case.tau),
        positions: case.positions,
        negatives: case.negatives,
        valid: case.valid.as_ref().map(|v| wide(v)),
    };
    let all: Vec<usize> = (0..2 * case.n()).collect();
    let rows = rows.map_or(all, <[usize]>::to_vec);
    let of_rows = problem.rows();
    let grad = problem.gradient(&of_rows, f64::from(SEED), &rows);
    Want { loss: problem.loss(&of_rows), rows, grad }
}

/// Runs a case and compares. Returns the worst error / allowance of the loss and of the gradients.
fn check(gpu: &Gpu, variant: Variant, case: &Case, want: &Want) -> (f64, f64) {
    let (n, d) = (case.n(), case.d);
    let (a, b) = case.rows();
    let (shape, valid_shape) = ([n, d], [n]);
    let mut inputs = vec![Input::Trainable(&shape, &a), Input::Trainable(&shape, &b)];
    if let Some(valid) = &case.valid {
        inputs.push(Input::Constant(&valid_shape, valid));
    }
    let outcome = run_case(gpu, variant, &inputs, &[&[SEED]], |t, v| {
        Ok(vec![nt_xent(t, v[0], v[1], &case.options(), v.get(2).copied())?])
    })
    .unwrap();
    let name = format!("{variant:?} {case:?}");
    assert!(outcome.grads.iter().flatten().all(|x| x.is_finite()), "{name}");
    // The magnitudes have the roundings of a row in them; 256 invocations sum the rows.
    let depth = 1.0 + (2.0 * n as f64 / 256.0).sqrt() / 4.0;
    let loss = close(&format!("{name} loss"), &outcome.outputs[0], &want.loss, depth);
    let of_row = |r: &usize| outcome.grads[r / n][r % n * d..(r % n + 1) * d].to_vec();
    let got: Vec<f32> = want.rows.iter().flat_map(of_row).collect();
    let grad = close(&format!("{name} gradient"), &got, &want.grad, 1.0);
    (loss.unwrap(), grad.unwrap())
}

/// Every variant, both sets of limits.
fn check_all(case: &Case) {
    let want = want(case, None);
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in variants(gpu) {
            let (loss, grad) = check(gpu, variant, case, &want);
            let (images, positions, d) = (case.images, case.positions, case.d);
            let what = format!("{variant:?} {images} x {positions} x {d} {:?}", case.negatives);
            println!("{what}: worst {loss:.3}, {grad:.3} of the allowance");
        }
    }
}

/// Drops the pairs whose index the rule names.
fn dropping(n: usize, drop: impl Fn(usize) -> bool) -> Option<Vec<f32>> {
    Some((0..n).map(|i| if drop(i) { 0.0 } else { 1.0 }).collect())
}

#[test]
fn matches_the_reference() {
    // Images, positions, D: ones; all different; all equal; 2 n one under, at and over a tile of 64,
    // with D under, at and over what is padded; several tiles.
    let sizes = [
        (1, 1, 1),
        (2, 1, 1),
        (1, 3, 2),
        (3, 5, 7),
        (4, 4, 4),
        (31, 1, 15),
        (8, 4, 16),
        (11, 3, 17),
        (33, 2, 33),
        (13, 11, 32),
    ];
    for (images, positions, d) in sizes {
        for negatives in ALL {
            check_all(&Case::new(images, positions, d, negatives));
        }
    }
}

#[test]
fn dropped_pairs_are_neither_anchors_nor_negatives() {
    for negatives in ALL {
        let mut case = Case::new(7, 6, 5, negatives);
        let n = case.n();
        for valid in [
            dropping(n, |i| i % 5 == 1),
            dropping(n, |i| i / 6 == 3),
            dropping(n, |i| i != 17),
            dropping(n, |_| true),
            dropping(n, |_| false),
        ] {
            case.valid = valid;
            check_all(&case);
        }
    }
}

#[test]
fn low_temperatures_do_not_overflow() {
    for tau in [0.01, 1.0] {
        check_all(&Case { tau, ..Case::new(9, 5, 6, Negatives::Joint) });
    }
}

#[test]
fn more_workgroups_than_a_dimension_holds() {
    let Some(gpu) = gpu(false) else { return };
    // 2 x 2 x 1,048,600 rows, 64 to a workgroup; and 4,100 packed tiles of 16 or more features.
    let sample = [0, 1_048_599, 1_048_600, 2_097_199, 2_097_200, 3_000_001, 4_194_399];
    let case = Case::new(2, 1_048_600, 1, Negatives::PerPosition);
    check(gpu, Variant::Simple, &case, &want(&case, Some(&sample)));
    let case = Case::new(2, 4100, 3, Negatives::PerPosition);
    let want = want(&case, None);
    for variant in variants(gpu) {
        check(gpu, variant, &case, &want);
    }
}

#[test]
fn the_similarity_matrix_need_not_fit_a_binding() {
    let Some(gpu) = gpu(true) else { return };
    let case = Case::new(1450, 2, 4, Negatives::Joint);
    let matrix = (2 * case.n() as u64).pow(2) * 4;
    assert!(matrix > gpu.max_binding(), "{matrix}");
    let sample = [0, 63, 64, 1447, 2899, 2900, 3333, 5799];
    let want = want(&case, Some(&sample));
    for variant in variants(gpu) {
        let start = std::time::Instant::now();
        let (loss, grad) = check(gpu, variant, &case, &want);
        let what = format!("{variant:?} {matrix} bytes, {:.1?}", start.elapsed());
        println!("{what}: worst {loss:.3}, {grad:.3} of the allowance");
    }
}

#[test]
fn columns_are_shared_among_launches() {
    let Some(gpu) = gpu(false) else { return };
    // Five tiles of columns: two launches of the tiled kernels forward, five of the others.
    let case = Case::new(150, 1, 2048, Negatives::Joint);
    let want = want(&case, None);
    for variant in variants(gpu).into_iter().filter(|v| *v != Variant::Simple) {
        let (loss, grad) = check(gpu, variant, &case, &want);
        println!("{variant:?} 150 x 1 x 2048: worst {loss:.3}, {grad:.3} of the allowance");
    }
    // More features than the packed kernels can go through.
    check_all(&Case::new(2, 1, 10_000, Negatives::Joint));
}

#[test]
fn a_second_run_gives_the_same_bits() {
    let Some(gpu) = gpu(false) else { return };
    let case = Case::new(10, 9, 20, Negatives::Joint);
    let (a, b) = case.rows();
    for variant in variants(gpu) {
        let run = || {
            let shape = [case.n(), case.d];
            let inputs = [Input::Trainable(&shape, &a), Input::Trainable(&shape, &b)];
            let outcome = run_case(gpu, variant, &inputs, &[&[1.0]], |t, v| {
                Ok(vec![nt_xent(t, v[0], v[1], &case.options(), None)?])
            });
            let outcome = outcome.unwrap();
            (outcome.outputs, outcome.grads)
        };
        assert!(run() == run(), "{variant:?}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let Some(gpu) = gpu(false) else { return };
    let record = |a: &[usize], b: &[usize], valid: &[usize], positions: usize, tau: f32| {
        let data = |shape: &[usize], seed| fill(shape.iter().product(), seed);
        let (x, y, v) = (data(a, 1), data(b, 2), data(valid, 3));
        let inputs = [Input::Trainable(a, &x), Input::Trainable(b, &y), Input::Constant(valid, &v)];
        let options = NtXentOptions { tau, positions, negatives: op::Negatives::Joint };
        run_case(gpu, Variant::Simple, &inputs, &[&[1.0]], |t, v| {
            Ok(vec![nt_xent(t, v[0], v[1], &options, Some(v[2]))?])
        })
        .err()
        .unwrap()
        .to_string()
    };
    let e = record(&[6, 3], &[6, 2], &[6], 1, 0.1);
    assert_eq!(e, "nt_xent: a [6, 3], b [6, 2]");
    let e = record(&[6], &[6], &[6], 1, 0.1);
    assert_eq!(e, "nt_xent: a [6]: expected [n, D]");
    let e = record(&[6, 3], &[6, 3], &[5], 1, 0.1);
    assert_eq!(e, "nt_xent: a [6, 3], valid [5]: expected [6]");
    let e = record(&[6, 3], &[6, 3], &[6], 4, 0.1);
    assert_eq!(e, "nt_xent: a [6, 3]: rows are no multiple of 4 positions");
    let e = record(&[6, 3], &[6, 3], &[6], 1, 0.0);
    assert_eq!(e, "nt_xent: tau 0: expected more than 0");
    let e = record(&[2, 16_385], &[2, 16_385], &[2], 1, 0.1);
    assert!(e.contains("nt_xent: a [2, 16385]: more than") && e.contains("16384 features"), "{e}");
    assert!(record(&[0, 3], &[0, 3], &[1], 1, 0.1).contains("at least 1"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]
    #[test]
    fn random_cases_match_the_reference(
        images in 1usize..14,
        positions in 1usize..9,
        d in 1usize..40,
        tau in 0.05f32..1.0,
        negatives in 0usize..3,
        drop in 0usize..5,
        variant in 0usize..3,
    ) {
        let Some(gpu) = gpu(false) else { return Ok(()) };
        let mut case = Case { tau, ..Case::new(images, positions, d, ALL[negatives]) };
        if drop > 0 {
            case.valid = dropping(case.n(), |i| i * 7 % (drop + 1) == 0);
        }
        let variants = variants(gpu);
        check(gpu, variants[variant % variants.len()], &case, &want(&case, None));
    }
}
