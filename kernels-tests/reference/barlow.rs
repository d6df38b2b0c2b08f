use super::Out;

/// The columns of x `[R, D]` over the rows that count, less their mean and divided by their length, which takes
/// `eps` times the number of rows more under its root; other rows become 0, and all where fewer than two count.
pub fn standardise(x: &[f64], dim: usize, valid: &[f64], eps: f64) -> Out {
    let rows: Vec<usize> = (0..valid.len()).filter(|r| valid[*r] != 0.0).collect();
    let n = rows.len() as f64;
    let mut out = Out { value: vec![0.0; x.len()], mag: vec![0.0; x.len()] };
    for d in (0..dim).filter(|_| rows.len() >= 2) {
        let column = || rows.iter().map(|r| x[r * dim + d]);
        let mean = column().sum::<f64>() / n;
        let of_mean = column().map(f64::abs).sum::<f64>() / n;
        let square = column().map(|v| (v - mean).powi(2)).sum::<f64>() + n * eps;
        // A difference from the mean carries the roundings of both.
        let of_square = column()
            .map(|v| (v - mean).abs() * ((v - mean).abs() + 2.0 * (v.abs() + of_mean)))
            .sum::<f64>();
        for r in &rows {
            let off = x[r * dim + d] - mean;
            out.value[r * dim + d] = off / square.sqrt();
            let own = x[r * dim + d].abs() + of_mean;
            out.mag[r * dim + d] = (own + off.abs() * of_square / square) / square.sqrt();
        }
    }
    out
}

/// dL/dx of [`standardise`]: (g - mean g - y (y . g)) / length, sums over the rows that count.
pub fn standardise_backward(x: &[f64], dim: usize, valid: &[f64], eps: f64, g: &[f64]) -> Out {
    let y = standardise(x, dim, valid, eps);
    let rows: Vec<usize> = (0..valid.len()).filter(|r| valid[*r] != 0.0).collect();
    let n = rows.len() as f64;
    let mut out = Out { value: vec![0.0; x.len()], mag: vec![0.0; x.len()] };
    for d in (0..dim).filter(|_| rows.len() >= 2) {
        let at = |r: &usize| r * dim + d;
        let mean = rows.iter().map(|r| x[at(r)]).sum::<f64>() / n;
        let length = (rows.iter().map(|r| (x[at(r)] - mean).powi(2)).sum::<f64>() + n * eps).sqrt();
        let of_g = rows.iter().map(|r| g[at(r)]).sum::<f64>() / n;
        let mag_g = rows.iter().map(|r| g[at(r)].abs()).sum::<f64>() / n;
        let dot: f64 = rows.iter().map(|r| y.value[at(r)] * g[at(r)]).sum();
        let mag_dot: f64 = rows.iter().map(|r| y.mag[at(r)] * g[at(r)].abs()).sum();
        for r in &rows {
            out.value[at(r)] = (g[at(r)] - of_g - y.value[at(r)] * dot) / length;
            let own = g[at(r)].abs() + mag_g + y.mag[at(r)] * mag_dot;
            // The length has roundings of its own.
            let worst = y.mag[at(r)].max(y.value[at(r)].abs()) / y.value[at(r)].abs().max(1e-3);
            out.mag[at(r)] = own * (1.0 + worst) / length;
        }
    }
    out
}

/// Per element of C `[D, D]`: (1 - C)^2 on the diagonal, lambda C^2 elsewhere (Zbontar et al. 2021, eq. 1).
pub fn penalty(c: &[f64], dim: usize, lambda: f64) -> Out {
    let on = |i: usize| i / dim == i % dim;
    let term = |(i, c): (usize, &f64)| if on(i) { (1.0 - c).powi(2) } else { lambda * c * c };
    let mag = |(i, c): (usize, &f64)| {
        if on(i) { (1.0 - c).abs() * (1.0 + c.abs()) } else { lambda * c * c }
    };
    Out {
        value: c.iter().enumerate().map(term).collect(),
        mag: c.iter().enumerate().map(mag).collect(),
    }
}

/// Its derivative times `grad`.
pub fn penalty_backward(c: &[f64], dim: usize, lambda: f64, grad: &[f64]) -> Out {
    let slope = |(i, c): (usize, &f64)| {
        if i / dim == i % dim { -2.0 * (1.0 - c) * grad[i] } else { 2.0 * lambda * c * grad[i] }
    };
    let mag = |(i, c): (usize, &f64)| {
        let of_c = if i / dim == i % dim { 1.0 + c.abs() } else { lambda * c.abs() };
        2.0 * of_c * grad[i].abs()
    };
    Out {
        value: c.iter().enumerate().map(slope).collect(),
        mag: c.iter().enumerate().map(mag).collect(),
    }
}

/// Barlow Twins (Zbontar et al. 2021, eqs. 1-2) of a and b `[R, D]`: C_ij correlates column i of a with
/// column j of b over the rows that count.
pub fn forward(a: &[f64], b: &[f64], dim: usize, valid: &[f64], lambda: f64, eps: f64) -> f64 {
    let [a, b] = [a, b].map(|x| standardise(x, dim, valid, eps).value);
    let mut c = vec![0.0; dim * dim];
    for (a, b) in a.chunks(dim).zip(b.chunks(dim)) {
        for i in 0..dim {
            for j in 0..dim {
                c[i * dim + j] += a[i] * b[j];
            }
        }
    }
    penalty(&c, dim, lambda).value.iter().sum()
}

/// Columns (0, 2) and (1, 5) over two rows are (-1, 1) / sqrt 2 both, so every correlation is 1.
#[test]
fn by_hand() {
    let x = [0.0, 1.0, 9.0, 9.0, 2.0, 5.0];
    let valid = [1.0, 0.0, 1.0];
    let root = 0.5f64.sqrt();
    let want = [-root, -root, 0.0, 0.0, root, root];
    let y = standardise(&x, 2, &valid, 0.0).value;
    assert!(y.iter().zip(want).all(|(y, want)| (y - want).abs() < 1e-15));
    assert!((forward(&x, &x, 2, &valid, 0.25, 0.0) - 0.5).abs() < 1e-15);
    let mirrored: Vec<f64> = x.iter().map(|v| -v).collect();
    assert!((forward(&x, &mirrored, 2, &valid, 0.25, 0.0) - 8.5).abs() < 1e-14);
    assert_eq!(forward(&x, &x, 2, &[0.0, 0.0, 1.0], 0.25, 0.0), 2.0);
}

#[test]
fn backward_is_the_derivative() {
    let x = [0.4, -3.7, 1.1, 0.9, 2.2, -0.3, -0.5, 0.8, 0.6, 1.2, -2.9, 0.1];
    let g = [0.3, 1.7, -0.2, -1.1, 0.6, 0.4, 2.0, 5.0, 1.5, -0.7, 0.8, -1.9];
    let valid = [1.0, 1.0, 0.0, 1.0];
    let grad = standardise_backward(&x, 3, &valid, 0.1, &g).value;
    super::derivative(&x, &grad, |x| {
        standardise(x, 3, &valid, 0.1).value.iter().zip(&g).map(|(y, g)| y * g).sum()
    });
    let (c, seeds) = ([0.4, -0.7, 1.1, 0.9], [0.3, 1.7, -0.2, -1.1]);
    let grad = penalty_backward(&c, 2, 0.3, &seeds).value;
    super::derivative(&c, &grad, |c| {
        penalty(c, 2, 0.3).value.iter().zip(&seeds).map(|(y, g)| y * g).sum()
    });
}
