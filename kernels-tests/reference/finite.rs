/// How many values are infinite or NaN.
pub fn count(x: &[f32]) -> u32 {
    x.iter().filter(|x| !x.is_finite()).count() as u32
}

#[test]
fn by_hand() {
    assert_eq!(count(&[1.0, f32::NAN, f32::INFINITY, f32::MAX, -f32::INFINITY, 0.0]), 3);
}
