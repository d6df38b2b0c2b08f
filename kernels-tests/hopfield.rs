use crate::harness::{Input, Outcome, close, fill, gpu, run_case, variants, wide};
use crate::reference::Out;
use crate::reference::hopfield::{self as reference, Setting};
use anomem::autograd::{Element, Plan, PlanOptions, Tape};
use anomem::gpu::{AdapterClass, Gpu, Variant};
use anomem::ops::affine::affine;
use anomem::ops::hopfield::{Gradient, HopfieldOptions, hopfield};
use anomem::tensor::Store;
use proptest::prelude::*;

struct Case {
    rows: usize,
    slots: usize,
    features: usize,
    steps: usize,
    beta: f32,
    tolerance: f32,
    renormalise: bool,
    gradient: Gradient,
}

impl Case {
    fn new([rows, slots, features]: [usize; 3], steps: usize, beta: f32) -> Self {
        let gradient = Gradient::Unrolled;
        Self { rows, slots, features, steps, beta, tolerance: 0.0, renormalise: false, gradient }
    }

    fn setting(&self) -> Setting {
        let (beta, tolerance) = (f64::from(self.beta), f64::from(self.tolerance));
        Setting { beta, steps: self.steps, tolerance, renormalise: self.renormalise }
    }

    fn options(&self) -> HopfieldOptions {
        let Self { steps, tolerance, renormalise, gradient, .. } = *self;
        HopfieldOptions { steps, tolerance, renormalise, gradient }
    }

    fn name(&self) -> String {
        let Self { rows, slots, features, steps, beta, tolerance, renormalise, gradient } = self;
        let kind = if *renormalise { " unit" } else { "" };
        format!(
            "[{rows},{features}] [{slots},{features}] {steps} steps beta {beta} tol {tolerance}{kind} \
             {gradient:?}"
        )
    }

    fn data(&self) -> [Vec<f32>; 3] {
        // Scores of order beta, whatever the number of features.
        let scale = (3.0 / self.features as f32).sqrt();
        let scaled = |n, seed| fill(n, seed).into_iter().map(|v| v * scale).collect();
        let n = self.rows * self.features;
        [scaled(n, 1), scaled(self.slots * self.features, 2), fill(n, 3)]
    }

    fn run(&self, gpu: &Gpu, variant: Variant, grads: [bool; 2]) -> Outcome {
        let [query, patterns, seed] = self.data();
        let (of_query, of_patterns) = ([self.rows, self.features], [self.slots, self.features]);
        let input = |trainable, shape, data| match trainable {
            true => Input::Trainable(shape, data),
            false => Input::Constant(shape, data),
        };
        let beta = [self.beta];
        let inputs = [
            input(grads[0], &of_query, &query),
            input(grads[1], &of_patterns, &patterns),
            Input::Constant(&[1], &beta),
        ];
        let seed = if grads == [false; 2] { &[][..] } else { &seed };
        let options = self.options();
        let record = |t: &mut _, v: &[_]| {
            let r = hopfield(t, v[0], v[1], v[2], &options)?;
            Ok(vec![r.retrieved, r.slot, r.entropy, r.steps])
        };
        run_case(gpu, variant, &inputs, &[seed, &[], &[], &[]], record).unwrap()
    }

    /// Compares all outputs and both gradients.
    fn check(&self, gpu: &Gpu, variant: Variant) {
        let [query, patterns, seed] = self.data().map(|v| wide(&v));
        let o = self.setting();
        let want = reference::retrieve(&query, &patterns, self.features, o);
        let name = format!("{} {variant:?}", self.name());
        assert!(want.stop_margin > 1e-4, "{name}: number of steps on the edge, choose other data");
        // Sums of D and of M terms, for the patterns' gradient of one per query and step; their roundings
        // partly cancel.
        let terms = (self.features + self.slots) as f64;
        let [depth, depth_patterns] =
            [terms, terms + (self.rows * self.steps) as f64].map(f64::sqrt);
        let got = self.run(gpu, variant, [true; 2]);
        let close = |what: &str, got: &[f32], want, depth| {
            let worst = close(&format!("{name}: {what}"), got, want, depth).unwrap();
            println!("hopfield {name}: {what}: worst {worst:.3} of the allowance");
        };
        close("retrieved", &got.outputs[0], &want.retrieved, depth);
        close("entropy", &got.outputs[2], &want.entropy, depth);
        let whole = |v: &[f32]| v.iter().map(|v| v.to_bits() as usize).collect::<Vec<_>>();
        assert_eq!(whole(&got.outputs[3]), want.steps, "{name}: steps");
        if want.slot_margin > 1e-5 {
            assert_eq!(whole(&got.outputs[1]), want.slot, "{name}: slot");
        }
        let grads = reference::backward(&query, &patterns, self.features, &seed, o);
        close("grad_query", &got.grads[0], &grads.query, depth);
        close("grad_patterns", &got.grads[1], &grads.patterns, depth_patterns);
    }
}

/// Ones; all different; all equal; one under, at and over a block of queries and a tile of slots or
/// features; more than one tile of both.
fn cases() -> Vec<Case> {
    let plain = Case::new;
    vec![
        plain([1, 1, 1], 1, 2.0),
        plain([5, 7, 11], 3, 2.0),
        plain([9, 9, 9], 2, 4.0),
        Case { renormalise: true, ..plain([7, 31, 33], 3, 6.0) },
        Case { renormalise: true, tolerance: 0.05, ..plain([31, 63, 65], 4, 8.0) },
        Case { tolerance: 0.02, ..plain([33, 65, 63], 5, 4.0) },
        plain([8, 64, 64], 2, 1.0),
        Case { renormalise: true, ..plain([17, 200, 130], 2, 3.0) },
        Case { tolerance: 1e-3, ..plain([70, 12, 150], 6, 3.0) },
    ]
}

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in variants(gpu) {
            for case in cases() {
                case.check(gpu, variant);
            }
        }
    }
}

impl Case {
    /// Compares the patterns' gradient with `solved`, [`Self::solved`] of as many terms, and the query's with none.
    fn check_implicit(&self, gpu: &Gpu, variant: Variant, terms: usize, solved: &(Out, f64)) {
        let [query, patterns, seed] = self.data();
        let case = Self { gradient: Gradient::Implicit { terms }, ..*self };
        let (want, left) = solved;
        let name = format!("{} {variant:?}", case.name());
        assert!(*left < 1e-8, "{name}: {left} is left of the series, choose other data");
        let inputs = [
            Input::Trainable(&[self.rows, self.features], &query),
            Input::Trainable(&[self.slots, self.features], &patterns),
            Input::Constant(&[1], &[self.beta]),
        ];
        // The query has another use, whose gradient alone must reach it.
        let other = fill(query.len(), 4);
        let got = run_case(gpu, variant, &inputs, &[&seed, &other], |t, v| {
            let retrieved = hopfield(t, v[0], v[1], v[2], &case.options())?.retrieved;
            Ok(vec![retrieved, affine(t, v[0], 1.0, 0.0)?])
        })
        .unwrap();
        assert_eq!(got.grads[0], other, "{name}: gradient of the query");
        assert_eq!(got.outputs[0], self.run(gpu, variant, [false; 2]).outputs[0], "{name}: output");
        let worst = close(&name, &got.grads[1], want, self.depth(terms)).unwrap();
        println!("hopfield {name}: {left:.1e} left, worst {worst:.3} of the allowance");
        let constant = case.run(gpu, variant, [false, true]);
        assert_eq!(got.grads[1], constant.grads[1], "{name}: with a constant query");
    }

    fn solved(&self, terms: usize) -> (Out, f64) {
        let [query, patterns, seed] = self.data().map(|v| wide(&v));
        reference::implicit(&query, &patterns, self.features, &seed, self.setting(), terms)
    }

    /// As in [`Self::check`], for the patterns' gradient.
    fn depth(&self, steps: usize) -> f64 {
        ((self.features + self.slots + self.rows * steps) as f64).sqrt()
    }
}

/// Sharp and shallow retrievals that contract; the first has not converged.
fn implicit_cases() -> Vec<(Case, usize)> {
    let plain = Case::new;
    let unit = |sizes, steps, beta| Case { renormalise: true, ..Case::new(sizes, steps, beta) };
    vec![
        (plain([5, 7, 11], 1, 0.5), 30),
        (plain([1, 1, 1], 1, 2.0), 1),
        (plain([9, 9, 9], 40, 1.0), 40),
        (unit([7, 31, 33], 60, 20.0), 60),
        (Case { tolerance: 1e-4, ..plain([31, 63, 65], 40, 2.0) }, 30),
        (plain([33, 65, 63], 40, 1.5), 20),
        (plain([8, 64, 64], 40, 40.0), 30),
        (unit([70, 12, 150], 60, 12.0), 40),
    ]
}

#[test]
fn implicit_gradients_solve_the_linear_system() {
    let cases = implicit_cases();
    let solved: Vec<_> = cases.iter().map(|(case, terms)| case.solved(*terms)).collect();
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for variant in variants(gpu) {
            for ((case, terms), solved) in cases.iter().zip(&solved) {
                case.check_implicit(gpu, variant, *terms, solved);
            }
        }
    }
}

#[test]
fn a_long_unroll_comes_to_the_implicit_gradient() {
    let Some(gpu) = gpu(false) else { return };
    for variant in variants(gpu) {
        for case in [
            Case::new([9, 20, 33], 64, 1.5),
            Case { renormalise: true, ..Case::new([35, 9, 40], 64, 16.0) },
        ] {
            let got = case.run(gpu, variant, [true; 2]);
            let (want, left) = case.solved(case.steps);
            assert!(left < 1e-8, "{}: {left} is left, choose other data", case.name());
            close(&case.name(), &got.grads[1], &want, case.depth(case.steps)).unwrap();
            let largest = got.grads[0].iter().fold(0.0_f32, |most, g| most.max(g.abs()));
            assert!(largest < 1e-7, "{}: the query still matters, {largest}", case.name());
        }
    }
}

#[test]
fn implicit_terms_are_split_over_dispatches() {
    // As in a_long_retrieval_is_split_over_dispatches; more terms than one dispatch takes, but one step.
    let Some(gpu) = gpu(false) else { return };
    for variant in variants(gpu) {
        let many = Case::new([8300, 3, 2], 9, 0.2);
        many.check_implicit(gpu, variant, 9, &many.solved(9));
        let bounded = gpu.report().class == AdapterClass::Software;
        if variant != Variant::Tiled || !bounded {
            let wide = Case::new([3, 5, 300], 1, 0.5);
            wide.check_implicit(gpu, variant, 60, &wide.solved(60));
        }
    }
}

#[test]
fn a_query_alone_gets_no_implicit_gradient() {
    let Some(gpu) = gpu(false) else { return };
    for variant in variants(gpu) {
        let gradient = Gradient::Implicit { terms: 2 };
        let case = Case { gradient, ..Case::new([3, 4, 5], 2, 1.0) };
        let mut store = Store::new();
        let slab = store.slab("inputs");
        let mut tape = Tape::new(variant);
        let mut input = |shape: &[usize], trainable| {
            let var = store.declare(slab, &format!("{shape:?}"), shape, Element::F32, trainable);
            tape.variable(&store, var.unwrap())
        };
        let [q, w, beta] = [input(&[3, 5], true), input(&[4, 5], false), input(&[1], false)];
        let r = hopfield(&mut tape, q, w, beta, &case.options()).unwrap();
        assert!(tape.needs_grad(q) && !tape.needs_grad(r.retrieved));
    }
}

#[test]
fn queries_stop_one_by_one() {
    // The same data must show stops at several steps, within a block too, or the test proves nothing.
    let case = Case { tolerance: 0.02, ..Case::new([33, 65, 63], 5, 4.0) };
    let [query, patterns, _] = case.data().map(|v| wide(&v));
    let steps = reference::retrieve(&query, &patterns, 63, case.setting()).steps;
    println!("{steps:?}");
    assert!(steps[..8].iter().any(|s| *s != steps[0]) && steps.iter().any(|s| *s < 5), "{steps:?}");
}

#[test]
fn without_a_gradient_the_outputs_are_the_same_bits() {
    let Some(gpu) = gpu(false) else { return };
    for variant in variants(gpu) {
        let case = Case { tolerance: 1e-3, ..Case::new([19, 40, 21], 16, 5.0) };
        let (with, without) =
            (case.run(gpu, variant, [true; 2]), case.run(gpu, variant, [false; 2]));
        assert_eq!(with.outputs, without.outputs);
        let query_only = case.run(gpu, variant, [true, false]);
        let patterns_only = case.run(gpu, variant, [false, true]);
        assert_eq!(with.grads[0], query_only.grads[0]);
        assert_eq!(with.grads[1], patterns_only.grads[1]);
        // Bindings are writable on the device, whatever the shader says.
        let [query, patterns, _] = case.data();
        assert_eq!(with.inputs, [query, patterns, vec![case.beta]]);
        let again = case.run(gpu, variant, [true; 2]);
        assert!(with.outputs == again.outputs && with.grads == again.grads, "not deterministic");
    }
}

#[test]
fn a_long_retrieval_is_split_over_dispatches() {
    // 8,300 queries are more than one dispatch takes, and with 9 steps more than one chunk; so are 9 steps of
    // 2,000 features where a driver bounds the loops of an invocation.
    let Some(gpu) = gpu(false) else { return };
    for variant in variants(gpu) {
        Case::new([8300, 3, 2], 9, 1.0).check(gpu, variant);
        // The tiled kernels are for GPUs, which have no such bound, and are not split.
        let bounded = gpu.report().class == AdapterClass::Software;
        if variant != Variant::Tiled || !bounded {
            Case { renormalise: true, ..Case::new([3, 5, 2000], 9, 0.5) }.check(gpu, variant);
        }
    }
}

#[test]
fn entropy_and_slot_of_known_weights() {
    // Far apart patterns: one slot takes all. The same pattern everywhere: entropy 1, the first slot.
    let Some(gpu) = gpu(false) else { return };
    for variant in variants(gpu) {
        let run = |patterns: &[f32]| {
            let inputs = [
                Input::Constant(&[1, 2], &[0.9, 0.1]),
                Input::Constant(&[3, 2], patterns),
                Input::Constant(&[1], &[50.0]),
            ];
            let options = Case { tolerance: 1e-4, ..Case::new([1, 3, 2], 9, 50.0) }.options();
            let record = |t: &mut _, v: &[_]| {
                let r = hopfield(t, v[0], v[1], v[2], &options)?;
                Ok(vec![r.retrieved, r.slot, r.entropy, r.steps])
            };
            run_case(gpu, variant, &inputs, &[&[], &[], &[], &[]], record).unwrap().outputs
        };
        let sharp = run(&[0.0, 1.0, 1.0, 0.0, -1.0, 0.0]);
        assert!((sharp[0][0] - 1.0).abs() < 1e-6 && sharp[0][1].abs() < 1e-6, "{sharp:?}");
        assert_eq!(sharp[1][0].to_bits(), 1);
        assert!(sharp[2][0] < 1e-6 && sharp[3][0].to_bits() == 2, "{sharp:?}");
        let flat = run(&[0.5, 0.25, 0.5, 0.25, 0.5, 0.25]);
        assert!((flat[0][0] - 0.5).abs() < 1e-6 && (flat[0][1] - 0.25).abs() < 1e-6, "{flat:?}");
        assert_eq!(flat[1][0].to_bits(), 0);
        assert!((flat[2][0] - 1.0).abs() < 1e-6 && flat[3][0].to_bits() == 2, "{flat:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..Default::default() })]
    #[test]
    fn any_shape(rows in 1usize..40, slots in 1usize..80, features in 1usize..80, steps in 1usize..4, beta in 0.5f32..6.0, renormalise: bool) {
        if let Some(gpu) = gpu(false) {
            for variant in variants(gpu) {
                Case { renormalise, ..Case::new([rows, slots, features], steps, beta) }.check(gpu, variant);
            }
        }
    }
}

#[test]
fn wrong_shapes_are_errors_that_name_them() {
    let Some(gpu) = gpu(false) else { return };
    let (x, one) = (fill(30, 1), [1.0, 2.0]);
    let with =
        |query: [usize; 2], patterns: [usize; 2], beta: usize, steps, tolerance, gradient| {
            let inputs = [
                Input::Trainable(&query, &x[..query[0] * query[1]]),
                Input::Trainable(&patterns, &x[..patterns[0] * patterns[1]]),
                Input::Constant(&[beta], &one[..beta]),
            ];
            let options = HopfieldOptions { steps, tolerance, renormalise: false, gradient };
            let record =
                |t: &mut _, v: &[_]| hopfield(t, v[0], v[1], v[2], &options).map(|_| Vec::new());
            run_case(gpu, Variant::Simple, &inputs, &[], record).err().unwrap().to_string()
        };
    let fails = |query, patterns, beta, steps, tolerance| {
        with(query, patterns, beta, steps, tolerance, Gradient::Unrolled)
    };
    let no_term = with([3, 5], [4, 5], 1, 1, 0.0, Gradient::Implicit { terms: 0 });
    assert!(no_term.contains("terms: 0") && no_term.contains("at least one term"), "{no_term}");
    assert!(fails([3, 5], [4, 6], 1, 1, 0.0).contains("hopfield: query [3, 5], patterns [4, 6]"));
    assert!(fails([3, 5], [4, 5], 2, 1, 0.0).contains("beta [2]"));
    assert!(fails([3, 5], [4, 5], 1, 0, 0.0).contains("0 steps"));
    assert!(fails([3, 5], [4, 5], 1, 1, -1.0).contains("tolerance -1"));
    assert!(fails([3, 5], [4, 5], 1, 1, f32::NAN).contains("tolerance NaN"));
    assert!(fails([0, 5], [4, 5], 1, 1, 0.0).contains("at least 1"));
}

#[test]
fn usage_is_marked_and_stays() {
    let Some(gpu) = gpu(false) else { return };
    for (rows, slots) in [(1, 1), (63, 7), (65, 130)] {
        // Slot 0 stays unused where there is another: a row too many would read 0 and mark it.
        let slot = |r: usize| if slots == 1 { 0 } else { 1 + r * 5 % (slots - 1) };
        let slot: Vec<u32> = (0..rows).map(|r| slot(r) as u32).collect();
        let before: Vec<u32> = (0..slots).map(|m| u32::from(m % 3 == 2)).collect();
        let inputs = [Input::Integers(&[rows], &slot), Input::Integers(&[slots], &before)];
        let outcome = run_case(gpu, Variant::Simple, &inputs, &[], |t, v| {
            anomem::ops::hopfield::mark_used(t, v[0], v[1])?;
            Ok(Vec::new())
        })
        .unwrap();
        let after: Vec<u32> = outcome.inputs[1].iter().map(|v| v.to_bits()).collect();
        let want: Vec<u32> =
            (0..slots as u32).map(|m| u32::from(m % 3 == 2 || slot.contains(&m))).collect();
        assert_eq!(after, want);
    }
}

#[test]
fn a_forward_only_tape_keeps_no_iterates() {
    let Some(gpu) = gpu(false) else { return };
    const STEPS: usize = 16;
    let (rows, slots, features) = (512, 32, 64);
    let (query, patterns) = (fill(rows * features, 1), fill(slots * features, 2));
    let of = |mut tape: Tape| {
        let mut store = Store::new();
        let slab = store.slab("inputs");
        let q = store.declare(slab, "q", &[rows, features], Element::F32, true).unwrap();
        let w = store.declare(slab, "w", &[slots, features], Element::F32, true).unwrap();
        let b = store.declare(slab, "b", &[1], Element::F32, false).unwrap();
        store.allocate(gpu).unwrap();
        store.upload(gpu, q, &query).unwrap();
        store.upload(gpu, w, &patterns).unwrap();
        store.upload(gpu, b, &[2.0_f32]).unwrap();
        let [q, w, b] = [q, w, b].map(|id| tape.variable(&store, id));
        let options = HopfieldOptions {
            steps: STEPS,
            tolerance: 0.0,
            renormalise: false,
            gradient: Gradient::Unrolled,
        };
        let y = hopfield(&mut tape, q, w, b, &options).unwrap().retrieved;
        tape.keep(y);
        let plan = Plan::compile(gpu, &tape, &store, &PlanOptions::default()).unwrap();
        plan.run(gpu).unwrap();
        (plan.read::<f32>(gpu, y).unwrap(), plan.temporary_bytes())
    };
    let variant = gpu.report().variant();
    let (trained, all) = of(Tape::new(variant));
    let (scored, less) = of(Tape::forward_only(variant));
    assert_eq!(trained, scored);
    // All iterates but the first, which is the query, and the last, which is the result.
    let iterates = ((STEPS - 2) * rows * features * 4) as u64;
    assert!(
        all >= less + iterates,
        "{all} bytes with gradients, {less} without, {iterates} of iterates"
    );
}
