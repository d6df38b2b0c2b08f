use super::Out;

/// Smallest squared distance from each row of `a` to a row of `b`, and the first such row.
pub fn nearest(a: &[f64], b: &[f64], dim: usize) -> (Out, Vec<u32>) {
    let mut out = Out { value: Vec::new(), mag: Vec::new() };
    let mut index = Vec::new();
    for x in a.chunks(dim) {
        let mut best = (f64::INFINITY, 0);
        for (s, y) in b.chunks(dim).enumerate() {
            let d: f64 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
            if d < best.0 {
                best = (d, s as u32);
            }
        }
        out.value.push(best.0);
        out.mag.push(best.0);
        index.push(best.1);
    }
    (out, index)
}

#[test]
fn by_hand() {
    let (d, i) = nearest(&[0.0, 0.0, 5.0, 5.0], &[3.0, 4.0, 1.0, 1.0, 5.0, 7.0, 1.0, -1.0], 2);
    assert_eq!((d.value, i), (vec![2.0, 4.0], vec![1, 2]));
}
