use super::Out;

/// Per channel over all rows of `x: [rows, channels]`: mean, biased and unbiased variance.
pub struct Statistics {
    pub mean: Out,
    pub variance: Out,
    pub unbiased: Out,
}

fn column(x: &[f64], channels: usize, c: usize) -> Vec<f64> {
    x.iter().skip(c).step_by(channels).copied().collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean, sum of squared deviations over n, and over n - 1 (Ioffe and Szegedy 2015, algorithm 1;
/// PyTorch keeps the unbiased variance for evaluation).
pub fn statistics(x: &[f64], channels: usize) -> Statistics {
    let new = || Out { value: Vec::new(), mag: Vec::new() };
    let mut out = Statistics { mean: new(), variance: new(), unbiased: new() };
    for c in 0..channels {
        let values = column(x, channels, c);
        let n = values.len() as f64;
        let m = mean(&values);
        let squares: f64 = values.iter().map(|v| (v - m) * (v - m)).sum();
        out.mean.value.push(m);
        out.mean.mag.push(values.iter().map(|v| v.abs()).sum::<f64>() / n);
        for (variance, over) in [(&mut out.variance, n), (&mut out.unbiased, n - 1.0)] {
            variance.value.push(squares / over);
            variance.mag.push(squares / over);
        }
    }
    out
}

/// gamma (x - mean) / sqrt(variance + eps) + beta.
pub fn normalise(
    x: &[f64],
    gamma: &[f64],
    beta: &[f64],
    (mean, variance): (&[f64], &[f64]),
    eps: f64,
) -> Out {
    let channels = gamma.len();
    let mut out = Out { value: Vec::new(), mag: Vec::new() };
    for (i, x) in x.iter().enumerate() {
        let c = i % channels;
        let k = gamma[c] / (variance[c] + eps).sqrt();
        out.value.push((x - mean[c]) * k + beta[c]);
        out.mag.push((x.abs() + mean[c].abs()) * k.abs() + beta[c].abs());
    }
    out
}

/// Normalisation by the batch's own statistics.
pub fn forward(x: &[f64], gamma: &[f64], beta: &[f64], eps: f64) -> Out {
    let s = statistics(x, gamma.len());
    let mut out = normalise(x, gamma, beta, (&s.mean.value, &s.variance.value), eps);
    // The mean is rounded in proportion to the terms of its sum, which may cancel.
    for (i, mag) in out.mag.iter_mut().enumerate() {
        let c = i % gamma.len();
        *mag += s.mean.mag[c] * gamma[c].abs() / (s.variance.value[c] + eps).sqrt();
    }
    out
}

/// Gradients to x, gamma, beta.
pub struct Grads {
    pub x: Out,
    pub gamma: Out,
    pub beta: Out,
}

/// Backward of [`normalise`] with constant statistics, or (`batch`) of [`forward`], where the
/// gradient also flows through both statistics:
/// dx = gamma/s (g - mean(g) - xhat mean(g xhat)) with xhat = (x - mean)/s.
pub fn backward(
    x: &[f64],
    gamma: &[f64],
    (mean_of, variance): (&[f64], &[f64]),
    grad_y: &[f64],
    eps: f64,
    batch: bool,
) -> Grads {
    let channels = gamma.len();
    let zeros = |n: usize| Out { value: vec![0.0; n], mag: vec![0.0; n] };
    let mut out = Grads { x: zeros(x.len()), gamma: zeros(channels), beta: zeros(channels) };
    for c in 0..channels {
        let s = (variance[c] + eps).sqrt();
        let g = column(grad_y, channels, c);
        let n = g.len() as f64;
        let xs = column(x, channels, c);
        let hat: Vec<f64> = xs.iter().map(|x| (x - mean_of[c]) / s).collect();
        // What xhat's rounding is proportional to.
        let abs = |a: &[f64]| -> Vec<f64> { a.iter().map(|a| a.abs()).collect() };
        let centre = if batch { mean(&abs(&xs)) } else { mean_of[c].abs() };
        let hat_mag: Vec<f64> = xs.iter().map(|x| (x.abs() + centre) / s).collect();
        let product =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
        let terms = product(&g, &hat);
        out.gamma.value[c] = terms.iter().sum();
        out.gamma.mag[c] = product(&abs(&g), &hat_mag).iter().sum();
        out.beta.value[c] = g.iter().sum();
        out.beta.mag[c] = abs(&g).iter().sum();
        let k = gamma[c] / s;
        let (mean_g, mean_terms) = (mean(&g), mean(&terms));
        let (mag_g, mag_terms) = (out.beta.mag[c] / n, out.gamma.mag[c] / n);
        let mean_abs_terms = mean(&abs(&terms));
        for (r, (g_r, hat_r)) in g.iter().zip(&hat).enumerate() {
            let i = r * channels + c;
            if batch {
                out.x.value[i] = k * (g_r - mean_g - hat_r * mean_terms);
                out.x.mag[i] = k.abs()
                    * (g_r.abs() + mag_g + hat_r.abs() * mag_terms + hat_mag[r] * mean_abs_terms);
            } else {
                out.x.value[i] = k * g_r;
                out.x.mag[i] = (k * g_r).abs();
            }
        }
    }
    out
}

#[test]
fn by_hand() {
    // Mean 2, variance 1, eps 3: deviation 2, xhat -1/2 and 1/2.
    let (x, gamma, beta, eps) = ([1.0, 3.0], [4.0], [5.0], 3.0);
    let s = statistics(&x, 1);
    assert_eq!((s.mean.value[0], s.variance.value[0], s.unbiased.value[0]), (2.0, 1.0, 2.0));
    assert_eq!(forward(&x, &gamma, &beta, eps).value, [3.0, 7.0]);
    let g = backward(&x, &gamma, (&[2.0], &[1.0]), &[1.0, 0.0], eps, true);
    assert_eq!((g.gamma.value[0], g.beta.value[0]), (-0.5, 1.0));
    assert_eq!(g.x.value, [0.75, -0.75]);
    let g = backward(&x, &gamma, (&[2.0], &[1.0]), &[1.0, 0.0], eps, false);
    assert_eq!(g.x.value, [2.0, 0.0]);
}

#[test]
fn backward_is_the_derivative() {
    let x = [0.3, -1.2, 0.7, 2.1, -0.4, 0.9, 1.7, 0.2, -0.8, 1.1];
    let (gamma, beta, eps) = ([1.3, -0.6], [0.2, 0.5], 0.1);
    let g = [0.5, -1.0, 0.25, 0.8, -0.3, 0.6, 1.1, -0.7, 0.4, 0.9];
    let s = statistics(&x, 2);
    let fixed = (s.mean.value.as_slice(), s.variance.value.as_slice());
    for batch in [true, false] {
        let loss = |v: &[f64]| -> f64 {
            let (x, rest) = v.split_at(10);
            let (gamma, beta) = rest.split_at(2);
            let y = match batch {
                true => forward(x, gamma, beta, eps),
                false => normalise(x, gamma, beta, fixed, eps),
            };
            y.value.iter().zip(&g).map(|(y, g)| y * g).sum()
        };
        let grads = backward(&x, &gamma, fixed, &g, eps, batch);
        let analytic = [grads.x.value, grads.gamma.value, grads.beta.value].concat();
        let at = [x.as_slice(), &gamma, &beta].concat();
        super::derivative(&at, &analytic, loss);
    }
}
