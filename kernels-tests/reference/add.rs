use super::Out;

/// a + b.
pub fn forward(a: &[f64], b: &[f64]) -> Out {
    Out {
        value: a.iter().zip(b).map(|(a, b)| a + b).collect(),
        mag: a.iter().zip(b).map(|(a, b)| a.abs() + b.abs()).collect(),
    }
}

#[test]
fn by_hand() {
    let out = forward(&[1.0, -2.0], &[0.5, 3.0]);
    assert_eq!((out.value, out.mag), (vec![1.5, 1.0], vec![1.5, 5.0]));
}
