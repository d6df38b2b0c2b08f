use super::Out;
use super::slope;

/// y = softmax(scale x) of each row of x: [rows, cols].
///
/// The magnitude counts what moves an exponential: its argument's roundings (scale x, minus the
/// maximum), WGSL's allowance for exp of 3 + 2 |t| ulp, and the same for every term of the divisor.
pub fn forward(x: &[f64], cols: usize, scale: f64) -> Out {
    let mut out = Out { value: vec![], mag: vec![] };
    for row in x.chunks(cols) {
        let max = row.iter().map(|x| scale * x).fold(f64::NEG_INFINITY, f64::max);
        let exp: Vec<f64> = row.iter().map(|x| (scale * x - max).exp()).collect();
        let sum: f64 = exp.iter().sum();
        let weight = |x: f64| 1.0 + (scale * x).abs() + (scale * x - max).abs();
        let of_sum: f64 = row.iter().zip(&exp).map(|(x, e)| e / sum * weight(*x)).sum();
        out.value.extend(exp.iter().map(|e| e / sum));
        out.mag.extend(row.iter().zip(&exp).map(|(x, e)| e / sum * (weight(*x) + of_sum)));
    }
    out
}

/// dL/dx_i = scale y_i (dL/dy_i - sum_j y_j dL/dy_j).
pub fn backward(x: &[f64], grad_y: &[f64], cols: usize, scale: f64) -> Out {
    let y = forward(x, cols, scale);
    let mut out = Out { value: vec![], mag: vec![] };
    for r in 0..x.len() / cols {
        let at = r * cols..(r + 1) * cols;
        let (g, p, m) = (&grad_y[at.clone()], &y.value[at.clone()], &y.mag[at]);
        let dot: f64 = (0..cols).map(|j| p[j] * g[j]).sum();
        let dot_mag: f64 = (0..cols).map(|j| m[j] * g[j].abs()).sum();
        for i in 0..cols {
            out.value.push(scale * p[i] * (g[i] - dot));
            out.mag.push(scale.abs() * (m[i] * (g[i].abs() + dot.abs()) + p[i] * dot_mag));
        }
    }
    out
}

/// Scale 2 and x = (ln 3 / 2, 0): weights 3 and 1, so y = (3/4, 1/4). With dL/dy = (1, 0):
/// dL/dx = 2 * 3/4 * (1 - 3/4) and 2 * 1/4 * (0 - 3/4).
#[test]
fn by_hand() {
    let x = [3f64.ln() / 2.0, 0.0];
    let near =
        |got: Vec<f64>, want: [f64; 2]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-15);
    assert!(near(forward(&x, 2, 2.0).value, [0.75, 0.25]));
    assert!(near(backward(&x, &[1.0, 0.0], 2, 2.0).value, [0.375, -0.375]));
}

#[test]
fn backward_is_the_derivative() {
    let (x, g) = ([-0.7, 0.3, 1.9, 0.1, -1.2, 0.8], [0.4, -1.1, 2.0, 0.3, 0.9, -0.5]);
    let loss = |x: &[f64]| forward(x, 3, 1.7).value.iter().zip(&g).map(|(y, g)| y * g).sum();
    let analytic = backward(&x, &g, 3, 1.7).value;
    for (i, analytic) in analytic.iter().enumerate() {
        assert!((slope(&x, i, loss) - analytic).abs() < 1e-8);
    }
}
