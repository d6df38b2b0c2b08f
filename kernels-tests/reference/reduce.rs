use super::Out;
use super::slope;

/// Sum of all x.
pub fn sum(x: &[f64]) -> Out {
    Out { value: vec![x.iter().sum()], mag: vec![x.iter().map(|x| x.abs()).sum()] }
}

/// Sum of all x^2.
pub fn sum_of_squares(x: &[f64]) -> Out {
    let total = x.iter().map(|x| x * x).sum();
    Out { value: vec![total], mag: vec![total] }
}

/// dL/dx = dL/dsum for every element.
pub fn sum_backward(x: &[f64], grad: f64) -> Out {
    Out { value: vec![grad; x.len()], mag: vec![grad.abs(); x.len()] }
}

/// dL/dx = 2 x dL/dsum.
pub fn sum_of_squares_backward(x: &[f64], grad: f64) -> Out {
    let value: Vec<f64> = x.iter().map(|x| 2.0 * x * grad).collect();
    let mag = value.iter().map(|v| v.abs()).collect();
    Out { value, mag }
}

#[test]
fn by_hand() {
    assert_eq!(sum(&[1.0, -2.0, 4.0]).value, [3.0]);
    assert_eq!(sum(&[1.0, -2.0, 4.0]).mag, [7.0]);
    assert_eq!(sum_of_squares(&[1.0, -2.0, 4.0]).value, [21.0]);
    assert_eq!(sum_backward(&[1.0, -2.0], 3.0).value, [3.0, 3.0]);
    assert_eq!(sum_of_squares_backward(&[1.0, -2.0], 3.0).value, [6.0, -12.0]);
}

#[test]
fn backward_is_the_derivative() {
    let (x, g) = ([-0.7, 0.3, 1.9], 1.7);
    let (plain, squares) = (sum_backward(&x, g).value, sum_of_squares_backward(&x, g).value);
    for i in 0..x.len() {
        assert!((slope(&x, i, |x| g * sum(x).value[0]) - plain[i]).abs() < 1e-8);
        assert!((slope(&x, i, |x| g * sum_of_squares(x).value[0]) - squares[i]).abs() < 1e-8);
    }
}
