use super::Out;

fn exact(value: Vec<f64>) -> Out {
    let mag = value.iter().map(|v| v.abs()).collect();
    Out { value, mag }
}

/// Row r of a where choose[r / per] is not 0, else of b; both [rows, cols].
pub fn rows(a: &[f64], b: &[f64], choose: &[f64], per: usize, cols: usize) -> Out {
    let mut y = Vec::new();
    for r in 0..a.len() / cols {
        let from = if choose[r / per] != 0.0 { a } else { b };
        y.extend_from_slice(&from[r * cols..(r + 1) * cols]);
    }
    exact(y)
}

/// dL/da and dL/db: each row's gradient for the side that it came from, zeros for the other.
pub fn rows_backward(grad_y: &[f64], choose: &[f64], per: usize, cols: usize) -> [Out; 2] {
    let zeros = vec![0.0; grad_y.len()];
    [
        rows(grad_y, &zeros, choose, per, cols), //
        rows(&zeros, grad_y, choose, per, cols),
    ]
}

#[test]
fn by_hand() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [-1.0; 8]);
    let want = [-1.0, -1.0, -1.0, -1.0, 5.0, 6.0, 7.0, 8.0];
    assert_eq!(rows(&a, &b, &[0.0, 1.0], 2, 2).value, want);
    let [of_a, of_b] = rows_backward(&a, &[0.0, 1.0], 2, 2);
    assert_eq!(of_a.value, [0.0, 0.0, 0.0, 0.0, 5.0, 6.0, 7.0, 8.0]);
    assert_eq!(of_b.value, [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn backward_is_the_derivative() {
    let a: Vec<f64> = (0..18).map(|i| (i as f64 * 1.7).sin()).collect();
    let b: Vec<f64> = (0..18).map(|i| (i as f64 * 0.9).cos()).collect();
    let g: Vec<f64> = (0..18).map(|i| (i as f64 * 2.3).cos()).collect();
    let choose = [1.0, 0.0, 1.0];
    let dot = |y: Out| y.value.iter().zip(&g).map(|(y, g)| y * g).sum();
    let [of_a, of_b] = rows_backward(&g, &choose, 2, 3);
    super::derivative(&a, &of_a.value, |a| dot(rows(a, &b, &choose, 2, 3)));
    super::derivative(&b, &of_b.value, |b| dot(rows(&a, b, &choose, 2, 3)));
}
