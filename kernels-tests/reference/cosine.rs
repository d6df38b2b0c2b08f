use super::Out;
use super::slope;

const EPS: f64 = 1e-8;

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// dot(a_r, b_s) / (max(|a_r|, eps) max(|b_s|, eps)) of all rows of a: [R, dims] and b: [S, dims], eps =
/// 1e-8, as torch.nn.functional.cosine_similarity. The magnitude counts the dot and both norms.
pub fn forward(a: &[f64], b: &[f64], dims: usize) -> Out {
    let mut out = Out { value: vec![], mag: vec![] };
    for a in a.chunks(dims) {
        for b in b.chunks(dims) {
            let product = norm(a).max(EPS) * norm(b).max(EPS);
            let dot: f64 = (0..dims).map(|d| a[d] * b[d]).sum();
            let mag: f64 = (0..dims).map(|d| (a[d] * b[d]).abs()).sum();
            out.value.push(dot / product);
            out.mag.push(3.0 * mag / product);
        }
    }
    out
}

/// dL/da from g = dL/dy: [R, S]. Where |a_r| is above eps
/// dy_rs/da_r = b_s / (|a_r| |b_s|) - y_rs a_r / |a_r|^2; below, the norm counts as the constant eps.
pub fn backward_a(a: &[f64], b: &[f64], g: &[f64], dims: usize) -> Out {
    let y = forward(a, b, dims);
    let others = b.len() / dims;
    let mut out = Out { value: vec![], mag: vec![] };
    for (r, row) in a.chunks(dims).enumerate() {
        let n = norm(row);
        for d in 0..dims {
            let (mut value, mut mag) = (0.0, 0.0);
            for (s, other) in b.chunks(dims).enumerate() {
                let i = r * others + s;
                let direct = other[d] / (n.max(EPS) * norm(other).max(EPS));
                let through_norm = if n > EPS { row[d] / (n * n) } else { 0.0 };
                value += g[i] * (direct - y.value[i] * through_norm);
                mag += g[i].abs() * (direct.abs() + y.mag[i] * through_norm.abs());
            }
            out.value.push(value);
            out.mag.push(mag);
        }
    }
    out
}

/// dL/db: the roles exchanged.
pub fn backward_b(a: &[f64], b: &[f64], g: &[f64], dims: usize) -> Out {
    let (rows, others) = (a.len() / dims, b.len() / dims);
    let turned: Vec<f64> = (0..others * rows).map(|i| g[(i % rows) * others + i / rows]).collect();
    backward_a(b, a, &turned, dims)
}

/// a = (3, 4), |a| = 5; b = (1, 0) and (0, 0): y = 3/5 and 0. With g = (1, 0): dL/da = b/5 - y a/25 =
/// (0.2 - 0.072, -0.096), and dL/db_0 = a/5 - y b = (0, 0.8).
#[test]
fn by_hand() {
    let (a, b) = ([3.0, 4.0], [1.0, 0.0, 0.0, 0.0]);
    let near =
        |got: Vec<f64>, want: &[f64]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-15);
    assert!(near(forward(&a, &b, 2).value, &[0.6, 0.0]));
    assert!(near(backward_a(&a, &b, &[1.0, 0.0], 2).value, &[0.128, -0.096]));
    assert!(near(backward_b(&a, &b, &[1.0, 0.0], 2).value, &[0.0, 0.8, 0.0, 0.0]));
    // A zero row's norm is the constant eps.
    let grad = backward_b(&a, &b, &[0.0, 2.0], 2).value;
    assert!((grad[2] / (2.0 * 0.6 / EPS) - 1.0).abs() < 1e-12 && grad[0] == 0.0);
}

#[test]
fn backward_is_the_derivative() {
    let a = [0.4, -0.7, 1.1, 0.9, 0.2, -0.3];
    let b = [1.2, 0.1, -0.5, 0.6, -0.8, 0.3, -0.2, 0.9, 1.4, 0.5, 0.7, -1.0];
    let g = [0.3, -0.6, 1.0, 0.8, -0.4, 0.5, 0.9, -1.1];
    let dot = |y: Out| y.value.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>();
    let (of_a, of_b) = (backward_a(&a, &b, &g, 3).value, backward_b(&a, &b, &g, 3).value);
    for (i, of_a) in of_a.iter().enumerate() {
        assert!((slope(&a, i, |a| dot(forward(a, &b, 3))) - of_a).abs() < 1e-8);
    }
    for (i, of_b) in of_b.iter().enumerate() {
        assert!((slope(&b, i, |b| dot(forward(&a, b, 3))) - of_b).abs() < 1e-8);
    }
}
