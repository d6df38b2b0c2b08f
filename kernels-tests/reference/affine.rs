use super::Out;

/// factor * x + offset.
pub fn forward(x: &[f64], factor: f64, offset: f64) -> Out {
    Out {
        value: x.iter().map(|x| factor * x + offset).collect(),
        mag: x.iter().map(|x| (factor * x).abs() + offset.abs()).collect(),
    }
}

#[test]
fn by_hand() {
    assert_eq!(forward(&[1.0, -2.0], 3.0, 0.5).value, [3.5, -5.5]);
}
