use super::Out;

fn exact(value: Vec<f64>) -> Out {
    let mag = value.iter().map(|v| v.abs()).collect();
    Out { value, mag }
}

/// max(x, 0).
pub fn relu(x: &[f64]) -> Out {
    exact(x.iter().map(|x| x.max(0.0)).collect())
}

/// dL/dx from dL/dy: passed where x > 0. The derivative at 0 is 0.
pub fn relu_backward(x: &[f64], grad_y: &[f64]) -> Out {
    exact(x.iter().zip(grad_y).map(|(x, g)| if *x > 0.0 { *g } else { 0.0 }).collect())
}

#[test]
fn by_hand() {
    assert_eq!(relu(&[-1.0, 0.0, 2.5]).value, [0.0, 0.0, 2.5]);
    assert_eq!(relu_backward(&[-1.0, 0.0, 2.5], &[7.0, 8.0, 9.0]).value, [0.0, 0.0, 9.0]);
}

#[test]
fn backward_is_the_derivative() {
    let (x, g) = ([-0.7, 0.3, 1.9], [0.4, -1.1, 2.0]);
    let h = 1e-6;
    let analytic = relu_backward(&x, &g).value;
    for i in 0..x.len() {
        let at = |d: f64| {
            let mut moved = x;
            moved[i] += d;
            relu(&moved).value.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
        };
        assert!(((at(h) - at(-h)) / (2.0 * h) - analytic[i]).abs() < 1e-8);
    }
}
