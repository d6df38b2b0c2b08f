//! Modern Hopfield retrieval, xi <- softmax(beta xi W^T) W (Ramsauer et al. 2021, eq. 5), iterated, and the
//! gradient through the unrolled steps. `mag` follows the rounding errors through every step to first
//! order, added as independent ones (root of squares): the worst case would allow a hundred times what
//! happens, and hide faults. A sum adds its value and the root of its squared terms for its own roundings.

use super::Out;

#[derive(Clone, Copy)]
pub struct Setting {
    pub beta: f64,
    pub steps: usize,
    pub tolerance: f64,
    pub renormalise: bool,
}

/// A quantity and its first-order error, per element.
type Pair = (Vec<f64>, Vec<f64>);

/// One taken step of one query.
struct Step {
    input: Pair,
    weights: Pair,
    /// softmax(...) W, not yet renormalised.
    sum: Pair,
    output: Pair,
    /// Largest change of a coordinate.
    change: f64,
}

pub struct Retrieval {
    pub retrieved: Out,
    pub entropy: Out,
    pub slot: Vec<usize>,
    pub steps: Vec<usize>,
    /// Smallest distance, relative, of any change from the tolerance: below f32's resolution the number
    /// of steps may differ.
    pub stop_margin: f64,
    /// Smallest lead of a largest weight over the next.
    pub slot_margin: f64,
}

pub struct Grads {
    pub query: Out,
    pub patterns: Out,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn root(squares: impl Iterator<Item = f64>) -> f64 {
    squares.sum::<f64>().sqrt()
}

/// Error of a sum of products with exact factors: of its terms, of the terms' errors, of the total.
fn of_sum(a: &Pair, b: &[f64]) -> f64 {
    let terms = a.0.iter().zip(&a.1).zip(b).map(|((a, e), b)| (a * a + e * e) * b * b);
    root(terms) + dot(&a.0, b).abs()
}

/// Error of a sum of products where both factors have one.
fn of_product(a: &Pair, b: &Pair) -> f64 {
    let terms = (0..a.0.len()).map(|i| {
        let (a, ea, b, eb) = (a.0[i], a.1[i], b.0[i], b.1[i]);
        (a * b).powi(2) + (ea * b).powi(2) + (a * eb).powi(2)
    });
    root(terms) + dot(&a.0, &b.0).abs()
}

fn softmax_step(input: &Pair, patterns: &[Vec<f64>], o: Setting) -> Step {
    let scores: Vec<f64> = patterns.iter().map(|w| o.beta * dot(&input.0, w)).collect();
    let errors: Vec<f64> = patterns.iter().map(|w| o.beta * of_sum(input, w)).collect();
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|s| (s - top).exp()).sum();
    let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp() / total).collect();
    let common = root(weights.iter().zip(&errors).map(|(p, e)| (p * e).powi(2)));
    // WGSL: exp(x) may be off by 3 + 2 |x| units in the last place.
    let errors: Vec<f64> = (0..scores.len())
        .map(|m| weights[m] * (errors[m] + common + 4.0 + 2.0 * (top - scores[m])))
        .collect();
    let weights = (weights, errors);
    let column = |d: usize| patterns.iter().map(|w| w[d]).collect::<Vec<f64>>();
    let mixed = |of: &dyn Fn(&[f64]) -> f64| (0..input.0.len()).map(|d| of(&column(d))).collect();
    let sum = (mixed(&|w| dot(&weights.0, w)), mixed(&|w| of_sum(&weights, w)));
    let output = if o.renormalise { unit(&sum) } else { sum.clone() };
    let change = input.0.iter().zip(&output.0).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    Step { input: input.clone(), weights, sum, output, change }
}

/// x / max(|x|, 1e-12).
fn unit(x: &Pair) -> Pair {
    let norm = dot(&x.0, &x.0).sqrt().max(1e-12);
    let of_norm = of_product(x, x) / norm / norm;
    let value: Vec<f64> = x.0.iter().map(|x| x / norm).collect();
    let error =
        (0..value.len()).map(|d| x.1[d] / norm + value[d].abs() * (of_norm + 2.0)).collect();
    (value, error)
}

fn unroll(query: &[f64], patterns: &[Vec<f64>], o: Setting) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    while steps.len() < o.steps {
        let input =
            steps.last().map_or((query.to_vec(), vec![0.0; query.len()]), |s| s.output.clone());
        steps.push(softmax_step(&input, patterns, o));
        // A tolerance of 0 never stops.
        if o.tolerance > 0.0 && steps[steps.len() - 1].change <= o.tolerance {
            break;
        }
    }
    steps
}

fn rows(x: &[f64], width: usize) -> Vec<Vec<f64>> {
    x.chunks_exact(width).map(<[f64]>::to_vec).collect()
}

pub fn retrieve(query: &[f64], patterns: &[f64], features: usize, o: Setting) -> Retrieval {
    let patterns = rows(patterns, features);
    let scale = if patterns.len() > 1 { 1.0 / (patterns.len() as f64).ln() } else { 0.0 };
    let out = || Out { value: Vec::new(), mag: Vec::new() };
    let mut r = Retrieval {
        retrieved: out(),
        entropy: out(),
        slot: Vec::new(),
        steps: Vec::new(),
        stop_margin: f64::INFINITY,
        slot_margin: f64::INFINITY,
    };
    for q in rows(query, features) {
        let steps = unroll(&q, &patterns, o);
        if o.tolerance > 0.0 {
            let margins = steps.iter().map(|s| (s.change / o.tolerance - 1.0).abs());
            r.stop_margin = margins.fold(r.stop_margin, f64::min);
        }
        let last = &steps[steps.len() - 1];
        r.retrieved.value.extend(&last.output.0);
        r.retrieved.mag.extend(&last.output.1);
        let (p, e) = &last.weights;
        let surprise = |p: f64| if p > 0.0 { -p.ln() } else { 0.0 };
        r.entropy.value.push(scale * p.iter().map(|p| p * surprise(*p)).sum::<f64>());
        let surprises = p.iter().map(|p| surprise(*p) + 1.0).collect::<Vec<f64>>();
        let mag = of_sum(&(p.clone(), e.clone()), &surprises);
        r.entropy.mag.push(scale * mag);
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
        r.slot.push(order[0]);
        r.slot_margin = order.get(1).map_or(1.0, |m| p[order[0]] - p[*m]).min(r.slot_margin);
        r.steps.push(steps.len());
    }
    r
}

/// Gradients of sum(grad * retrieved).
pub fn backward(
    query: &[f64],
    patterns: &[f64],
    features: usize,
    grad: &[f64],
    o: Setting,
) -> Grads {
    let patterns = rows(patterns, features);
    let mut of_query = Out { value: Vec::new(), mag: Vec::new() };
    let zeros = vec![0.0; patterns.len() * features];
    let mut of_patterns = Out { value: zeros.clone(), mag: zeros };
    for (q, g) in rows(query, features).iter().zip(rows(grad, features)) {
        let mut g: Pair = (g, vec![0.0; features]);
        for step in unroll(q, &patterns, o).iter().rev() {
            if o.renormalise {
                g = unit_backward(&step.sum, &step.output, &g);
            }
            g = step_backward(step, &patterns, &g, o.beta, &mut of_patterns);
        }
        of_query.mag.extend(g.1);
        of_query.value.extend(g.0);
    }
    for (mag, value) in of_patterns.mag.iter_mut().zip(&of_patterns.value) {
        *mag = mag.sqrt() + value.abs();
    }
    Grads { query: of_query, patterns: of_patterns }
}

fn unit_backward(sum: &Pair, unit: &Pair, g: &Pair) -> Pair {
    let norm = dot(&sum.0, &sum.0).sqrt().max(1e-12);
    let relative = of_product(sum, sum) / norm / norm;
    let (along, along_error) = (dot(&unit.0, &g.0), of_product(unit, g));
    let value: Vec<f64> = g.0.iter().zip(&unit.0).map(|(g, n)| (g - n * along) / norm).collect();
    let error = (0..value.len())
        .map(|d| {
            let terms = [g.0[d], g.1[d], unit.0[d] * along_error, unit.1[d] * along];
            root(terms.iter().map(|t| t * t)) / norm + relative * value[d].abs()
        })
        .collect();
    (value, error)
}

/// dL/d(input) from dL/d(sum). Adds to the patterns' gradient; its errors as squares.
fn step_backward(
    step: &Step,
    patterns: &[Vec<f64>],
    g: &Pair,
    beta: f64,
    of_patterns: &mut Out,
) -> Pair {
    let features = g.0.len();
    let (p, p_error) = &step.weights;
    let of_weights: Pair = patterns.iter().map(|w| (dot(&g.0, w), of_sum(g, w))).unzip();
    let mean = dot(p, &of_weights.0);
    let mean_error = of_product(&step.weights, &of_weights);
    let of_scores: Pair = (0..p.len())
        .map(|m| {
            let apart = of_weights.0[m] - mean;
            let terms =
                [p[m] * of_weights.1[m], p[m] * mean_error, p_error[m] * apart, p[m] * apart];
            (beta * p[m] * apart, beta * root(terms.iter().map(|t| t * t)))
        })
        .unzip();
    for m in 0..p.len() {
        for d in 0..features {
            let ((w, ew), (h, eh)) = ((p[m], p_error[m]), (of_scores.0[m], of_scores.1[m]));
            let ((g, eg), (x, ex)) = ((g.0[d], g.1[d]), (step.input.0[d], step.input.1[d]));
            let terms = [w * g, ew * g, w * eg, h * x, eh * x, h * ex];
            of_patterns.value[m * features + d] += w * g + h * x;
            of_patterns.mag[m * features + d] += terms.iter().map(|t| t * t).sum::<f64>();
        }
    }
    let column = |d: usize| patterns.iter().map(|w| w[d]).collect::<Vec<f64>>();
    (0..features).map(|d| (dot(&of_scores.0, &column(d)), of_sum(&of_scores, &column(d)))).unzip()
}

/// Gradient of sum(grad * retrieved) to the patterns with every last iterate x taken for a fixed point of
/// F(x, W): (dF/dW)^T u with (I - J^T) u = grad, J = dF/dx, solved by elimination. `mag` is that of `terms` terms
/// of the series u = grad + J^T grad + (J^T)^2 grad + ..; second, the largest part of grad that is left after
/// them, per element.
pub fn implicit(
    query: &[f64],
    patterns: &[f64],
    features: usize,
    grad: &[f64],
    o: Setting,
    terms: usize,
) -> (Out, f64) {
    let patterns = rows(patterns, features);
    let zeros = vec![0.0; patterns.len() * features];
    let mut series = Out { value: zeros.clone(), mag: zeros.clone() };
    let (mut value, mut left) = (zeros, 0.0_f64);
    for (q, g) in rows(query, features).iter().zip(rows(grad, features)) {
        let steps = unroll(q, &patterns, o);
        let x = &steps[steps.len() - 1].output;
        let step = softmax_step(x, &patterns, o);
        let mut term: Pair = (g.clone(), vec![0.0; features]);
        for _ in 0..terms {
            if o.renormalise {
                term = unit_backward(&step.sum, &step.output, &term);
            }
            term = step_backward(&step, &patterns, &term, o.beta, &mut series);
        }
        left = term.0.iter().fold(left, |left, t| left.max(t.abs()));

        let p = &step.weights.0;
        let mean = &step.sum.0;
        // d(sum)/dx = beta (sum_m p_m w_m w_m^T - mean mean^T), symmetric.
        let slope = |a: usize, b: usize| {
            let square: f64 = p.iter().zip(&patterns).map(|(p, w)| p * w[a] * w[b]).sum();
            o.beta * (square - mean[a] * mean[b])
        };
        // d(unit)/d(sum) = (I - n n^T) / norm, symmetric too; without renormalisation I.
        let norm = if o.renormalise { dot(mean, mean).sqrt() } else { 1.0 };
        let n: Vec<f64> = mean.iter().map(|v| if o.renormalise { v / norm } else { 0.0 }).collect();
        let all = 0..features;
        let mut system = Vec::with_capacity(features);
        for a in all.clone() {
            let slopes: Vec<f64> = all.clone().map(|b| slope(a, b)).collect();
            let along = dot(&slopes, &n);
            let entry = |b: usize| f64::from(u8::from(a == b)) - (slopes[b] - along * n[b]) / norm;
            system.push(all.clone().map(entry).collect());
        }
        let u = solve(system, g);
        let along = dot(&n, &u);
        let u: Vec<f64> = all.clone().map(|a| (u[a] - n[a] * along) / norm).collect();
        let along = dot(mean, &u);
        for (m, w) in patterns.iter().enumerate() {
            let of_score = o.beta * p[m] * (dot(w, &u) - along);
            for d in all.clone() {
                value[m * features + d] += p[m] * u[d] + of_score * x.0[d];
            }
        }
    }
    let mag = series.mag.iter().zip(&value).map(|(mag, v)| mag.sqrt() + v.abs()).collect();
    (Out { value, mag }, left)
}

/// x of a x = b, by Gaussian elimination with row exchanges.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        let pivot = (k..n).max_by(|i, j| a[*i][k].abs().total_cmp(&a[*j][k].abs())).unwrap_or(k);
        a.swap(k, pivot);
        b.swap(k, pivot);
        let (top, below) = a.split_at_mut(k + 1);
        for (i, row) in below.iter_mut().enumerate() {
            let factor = row[k] / top[k][k];
            row.iter_mut().zip(&top[k]).for_each(|(x, of_pivot)| *x -= factor * of_pivot);
            b[k + 1 + i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        b[k] = (b[k] - dot(&a[k][k + 1..], &b[k + 1..])) / a[k][k];
    }
    b
}

#[test]
fn by_hand() {
    // Two patterns 1 and -1, query 0: weights 1/2 each, retrieved 0, entropy 1 in units of ln 2.
    let o = Setting { beta: 3.0, steps: 4, tolerance: 0.0, renormalise: false };
    let r = retrieve(&[0.0], &[1.0, -1.0], 1, o);
    assert_eq!((r.retrieved.value[0], r.steps[0]), (0.0, 4));
    assert!((r.entropy.value[0] - 1.0).abs() < 1e-15);
    // One step from x: tanh(beta x); its slope at 0 is beta.
    let one = Setting { steps: 1, ..o };
    let r = retrieve(&[0.2], &[1.0, -1.0], 1, one);
    assert!((r.retrieved.value[0] - 0.6f64.tanh()).abs() < 1e-15 && r.slot[0] == 0);
    let g = backward(&[0.0], &[1.0, -1.0], 1, &[1.0], one);
    assert!((g.query.value[0] - 3.0).abs() < 1e-15);
    // At the fixed point 0 of a map of slope 1/2: df/dW = 1/2 for both, times 1 / (1 - 1/2).
    let shallow = Setting { beta: 0.5, ..o };
    let (g, _) = implicit(&[0.0], &[1.0, -1.0], 1, &[1.0], shallow, 1);
    assert!((g.value[0] - 1.0).abs() < 1e-15 && (g.value[1] - 1.0).abs() < 1e-15);
    // A fixed point stops after one step. From 0.2 the changes are 0.34, 0.39 and 0.07: the third is within
    // the tolerance, and its value is taken.
    let r = retrieve(&[0.0, 0.2], &[1.0, -1.0], 1, Setting { tolerance: 0.1, ..o });
    assert_eq!(r.steps, [1, 3]);
    let third = (3.0 * (3.0 * 0.6f64.tanh()).tanh()).tanh();
    assert!((r.retrieved.value[1] - third).abs() < 1e-15);
}

#[test]
fn backward_is_the_derivative() {
    let (rows, slots, features) = (3, 4, 5);
    let value = |i: usize, k: f64| (k * (i as f64 + 1.0)).sin();
    let query: Vec<f64> = (0..rows * features).map(|i| value(i, 1.3)).collect();
    let patterns: Vec<f64> = (0..slots * features).map(|i| value(i, 2.1)).collect();
    let g: Vec<f64> = (0..rows * features).map(|i| value(i, 0.7)).collect();
    for (renormalise, tolerance) in [(false, 0.0), (true, 0.0), (false, 0.3), (true, 0.3)] {
        let o = Setting { beta: 1.1, steps: 3, tolerance, renormalise };
        let r = retrieve(&query, &patterns, features, o);
        assert!(r.stop_margin > 1e-3, "a step number on the edge has no derivative");
        let analytic = backward(&query, &patterns, features, &g, o);
        let loss = |q: &[f64], w: &[f64]| dot(&retrieve(q, w, features, o).retrieved.value, &g);
        let slope = |x: &[f64], i: usize, f: &dyn Fn(&[f64]) -> f64| {
            let (mut low, mut high) = (x.to_vec(), x.to_vec());
            low[i] -= 1e-5;
            high[i] += 1e-5;
            (f(&high) - f(&low)) / 2e-5
        };
        for i in 0..query.len() {
            let want = slope(&query, i, &|q| loss(q, &patterns));
            assert!((want - analytic.query.value[i]).abs() < 1e-8, "query {i}");
        }
        for i in 0..patterns.len() {
            let want = slope(&patterns, i, &|w| loss(&query, w));
            assert!((want - analytic.patterns.value[i]).abs() < 1e-8, "patterns {i}");
        }
    }
}

#[test]
fn implicit_is_the_derivative_of_the_fixed_point() {
    let (rows, slots, features) = (3, 4, 5);
    let value = |i: usize, k: f64| (k * (i as f64 + 1.0)).sin();
    let query: Vec<f64> = (0..rows * features).map(|i| value(i, 1.3)).collect();
    let patterns: Vec<f64> = (0..slots * features).map(|i| value(i, 2.1)).collect();
    let g: Vec<f64> = (0..rows * features).map(|i| value(i, 0.7)).collect();
    for renormalise in [false, true] {
        let o = Setting { beta: 1.1, steps: 400, tolerance: 0.0, renormalise };
        let (analytic, left) = implicit(&query, &patterns, features, &g, o, 400);
        assert!(left < 1e-9, "{left}: not contracting, choose other data");
        let loss = |w: &[f64]| dot(&retrieve(&query, w, features, o).retrieved.value, &g);
        for i in 0..patterns.len() {
            let (mut low, mut high) = (patterns.clone(), patterns.clone());
            low[i] -= 1e-5;
            high[i] += 1e-5;
            let want = (loss(&high) - loss(&low)) / 2e-5;
            assert!((want - analytic.value[i]).abs() < 1e-7, "patterns {i}: {want}");
        }
    }
}
