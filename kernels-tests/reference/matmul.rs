use super::Out;

/// a [m, k] times b [k, n].
pub fn matmul(a: &[f64], b: &[f64], m: usize, k: usize, n: usize) -> Out {
    let mut out = Out { value: vec![0.0; m * n], mag: vec![0.0; m * n] };
    for row in 0..m {
        for column in 0..n {
            for i in 0..k {
                let term = a[row * k + i] * b[i * n + column];
                out.value[row * n + column] += term;
                out.mag[row * n + column] += term.abs();
            }
        }
    }
    out
}

/// [rows, columns] to [columns, rows].
pub fn transpose(v: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; v.len()];
    for r in 0..rows {
        for c in 0..columns {
            out[c * rows + r] = v[r * columns + c];
        }
    }
    out
}

/// x [n, i] times the transpose of weight [o, i], plus bias [o].
pub fn linear(x: &[f64], weight: &[f64], bias: &[f64], n: usize, i: usize) -> Out {
    let o = bias.len();
    let mut out = matmul(x, &transpose(weight, o, i), n, i, o);
    for at in 0..n * o {
        out.value[at] += bias[at % o];
        out.mag[at] += bias[at % o].abs();
    }
    out
}

/// Sums over the rows of [rows, columns].
pub fn column_sum(v: &[f64], rows: usize, columns: usize) -> Out {
    let mut out = Out { value: vec![0.0; columns], mag: vec![0.0; columns] };
    for row in v[..rows * columns].chunks(columns) {
        for (column, v) in row.iter().enumerate() {
            out.value[column] += v;
            out.mag[column] += v.abs();
        }
    }
    out
}

#[test]
fn by_hand() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, -1.0, 2.0, 10.0, 1.0]);
    assert_eq!(matmul(&a, &b, 2, 3, 2).value, [29.0, 7.0, 59.0, 16.0]);
    assert_eq!(matmul(&a, &b, 2, 3, 2).mag, [33.0, 7.0, 69.0, 16.0]);
    assert_eq!(transpose(&a, 2, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    assert_eq!(linear(&[1.0, 2.0], &a, &[0.5, 0.0, -1.0], 1, 2).value, [5.5, 11.0, 16.0]);
    assert_eq!(column_sum(&a, 3, 2).value, [9.0, 12.0]);
}

/// With y = a b and g = dL/dy: dL/da = g bT, dL/db = aT g; of the bias, the column sum of g.
#[test]
fn backward_is_the_derivative() {
    let (m, k, n) = (2, 3, 4);
    let data = |len: usize, seed: f64| -> Vec<f64> {
        (0..len).map(|i| ((i as f64 + seed) * 2.3).sin()).collect()
    };
    let (a, b, bias, g) = (data(6, 0.1), data(12, 5.2), data(4, 3.3), data(8, 1.7));
    let loss = |a: &[f64], b: &[f64], bias: &[f64]| -> f64 {
        let y = linear(a, &transpose(b, k, n), bias, m, k).value;
        y.iter().zip(&g).map(|(y, g)| y * g).sum()
    };
    let check = |grad: &[f64], at: &dyn Fn(usize, f64) -> f64| {
        for (i, grad) in grad.iter().enumerate() {
            assert!(((at(i, 1e-5) - at(i, -1e-5)) / 2e-5 - grad).abs() < 1e-8);
        }
    };
    let moved = |v: &[f64], i: usize, d: f64| {
        let mut v = v.to_vec();
        v[i] += d;
        v
    };
    let grad_a = matmul(&g, &transpose(&b, k, n), m, n, k).value;
    check(&grad_a, &|i, d| loss(&moved(&a, i, d), &b, &bias));
    let grad_b = matmul(&transpose(&a, m, k), &g, k, m, n).value;
    check(&grad_b, &|i, d| loss(&a, &moved(&b, i, d), &bias));
    check(&column_sum(&g, m, n).value, &|i, d| loss(&a, &b, &moved(&bias, i, d)));
}
