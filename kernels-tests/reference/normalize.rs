use super::Out;

fn out() -> Out {
    Out { value: Vec::new(), mag: Vec::new() }
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// x / max(||x||, eps) for rows of `d` values.
pub fn l2(x: &[f64], d: usize, eps: f64) -> Out {
    let mut y = out();
    for row in x.chunks(d) {
        let n = norm(row).max(eps);
        y.value.extend(row.iter().map(|v| v / n));
        y.mag.extend(row.iter().map(|v| v.abs() / n));
    }
    y
}

/// (g - y (y . g)) / ||x||; below eps the divisor is a constant: g / eps.
pub fn l2_backward(x: &[f64], d: usize, grad_y: &[f64], eps: f64) -> Out {
    let mut grad = out();
    for (row, g) in x.chunks(d).zip(grad_y.chunks(d)) {
        let n = norm(row);
        if n < eps {
            grad.value.extend(g.iter().map(|g| g / eps));
            grad.mag.extend(g.iter().map(|g| g.abs() / eps));
            continue;
        }
        let dot: f64 = row.iter().zip(g).map(|(x, g)| x / n * g).sum();
        let dot_mag: f64 = row.iter().zip(g).map(|(x, g)| (x / n * g).abs()).sum();
        for (x, g) in row.iter().zip(g) {
            grad.value.push((g - x / n * dot) / n);
            grad.mag.push((g.abs() + (x / n).abs() * dot_mag) / n);
        }
    }
    grad
}

/// Mean, magnitude of the mean, and deviation of a row.
fn moments(row: &[f64], eps: f64) -> (f64, f64, f64) {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    (mean, row.iter().map(|v| v.abs()).sum::<f64>() / n, (variance + eps).sqrt())
}

/// (x - mean) / sqrt(variance + eps) with a row's own mean and biased variance (Ba, Kiros and
/// Hinton 2016, without gain and bias).
pub fn layer(x: &[f64], d: usize, eps: f64) -> Out {
    let mut y = out();
    for row in x.chunks(d) {
        let (mean, mag, s) = moments(row, eps);
        y.value.extend(row.iter().map(|v| (v - mean) / s));
        y.mag.extend(row.iter().map(|v| (v.abs() + mag) / s));
    }
    y
}

/// (g - mean(g) - y mean(g y)) / sqrt(variance + eps).
pub fn layer_backward(x: &[f64], d: usize, grad_y: &[f64], eps: f64) -> Out {
    let forward = layer(x, d, eps);
    let mut grad = out();
    let n = d as f64;
    for (r, (row, g)) in x.chunks(d).zip(grad_y.chunks(d)).enumerate() {
        let (_, _, s) = moments(row, eps);
        let y = &forward.value[r * d..][..d];
        let y_mag = &forward.mag[r * d..][..d];
        let mean_of = |f: &dyn Fn(usize) -> f64| (0..d).map(f).sum::<f64>() / n;
        let mean_g = mean_of(&|i| g[i]);
        let mean_gy = mean_of(&|i| g[i] * y[i]);
        let (mag_g, mag_gy) = (mean_of(&|i| g[i].abs()), mean_of(&|i| g[i].abs() * y_mag[i]));
        let abs_gy = mean_of(&|i| (g[i] * y[i]).abs());
        for i in 0..d {
            grad.value.push((g[i] - mean_g - y[i] * mean_gy) / s);
            grad.mag.push((g[i].abs() + mag_g + y[i].abs() * mag_gy + y_mag[i] * abs_gy) / s);
        }
    }
    grad
}

#[test]
fn by_hand() {
    assert_eq!(l2(&[3.0, -4.0, 0.0, 0.5], 2, 1.0).value, [0.6, -0.8, 0.0, 0.5]);
    // y = (0.6, -0.8), y . g = 0.6: (1 - 0.36) / 5 and (0 + 0.48) / 5.
    let g = l2_backward(&[3.0, -4.0, 0.0, 0.5], 2, &[1.0, 0.0, 2.0, 3.0], 2.0).value;
    let want = [0.128, 0.096, 1.0, 1.5];
    assert!(g.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12), "{g:?}");
    // Mean 2, variance 1, eps 3: deviation 2.
    assert_eq!(layer(&[1.0, 3.0], 2, 3.0).value, [-0.5, 0.5]);
    // mean(g) = 1/2, mean(g y) = -1/4: (1 - 1/2 - 1/8) / 2 and (-1/2 + 1/8) / 2.
    assert_eq!(layer_backward(&[1.0, 3.0], 2, &[1.0, 0.0], 3.0).value, [0.1875, -0.1875]);
}

#[test]
fn backward_is_the_derivative() {
    let x = [0.3, -1.2, 0.7, 2.1, -0.4, 0.9, 0.01, 0.02, -0.03];
    let g = [0.5, -1.0, 0.25, 0.8, -0.3, 0.6, 1.1, -0.7, 0.4];
    let loss = |y: Out| y.value.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>();
    // The last row is shorter than eps.
    super::derivative(&x, &l2_backward(&x, 3, &g, 0.1).value, |x| loss(l2(x, 3, 0.1)));
    super::derivative(&x, &layer_backward(&x, 3, &g, 0.1).value, |x| loss(layer(x, 3, 0.1)));
}
