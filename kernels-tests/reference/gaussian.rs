use super::Out;

/// Smoothing along one axis: `x` is `[.., length, stride]`; `mag` of `x` comes with it.
fn line(x: &Out, length: usize, stride: usize, sigma: f64) -> Out {
    let radius = (3.0 * sigma).ceil() as i64;
    let mut y = Out { value: vec![], mag: vec![] };
    for i in 0..x.value.len() {
        let at = (i / stride % length) as i64;
        let (mut sum, mut total, mut mag) = (0.0, 0.0, 0.0);
        for k in -radius..=radius {
            let t = k as f64 / sigma;
            let weight = (-0.5 * t * t).exp();
            let there = (at + k).clamp(0, length as i64 - 1) - at;
            let j = (i as i64 + there * stride as i64) as usize;
            sum += weight * x.value[j];
            total += weight;
            // WGSL's exp may be off by 3 + 2 |argument| ulp, in the sum and in its divisor.
            mag += weight * x.mag[j] * (1.0 + t * t);
        }
        y.value.push(sum / total);
        y.mag.push(mag / total);
    }
    y
}

/// `x: [n, h, w, c]` smoothed by a Gaussian of deviation `sigma`, borders repeated.
pub fn smooth(x: &[f64], [_, h, w, c]: [usize; 4], sigma: f64) -> Out {
    let x = Out { value: x.to_vec(), mag: x.iter().map(|v| v.abs()).collect() };
    line(&line(&x, w, c, sigma), h, w * c, sigma)
}

#[test]
fn by_hand() {
    // sigma with exp(-1 / (2 sigma^2)) = 1/2; radius ceil(3 * 0.849) = 3, weights 1/2, 1/16, 1/512.
    let sigma = (0.5 / 2_f64.ln()).sqrt();
    let total = 1.0 + 2.0 * (0.5 + 0.0625 + 1.0 / 512.0);
    let y = smooth(&[0.0, 0.0, 1.0, 0.0, 0.0], [1, 1, 5, 1], sigma).value;
    let want = [0.0625, 0.5, 1.0, 0.5, 0.0625].map(|w| w / total);
    for (y, want) in y.iter().zip(want) {
        assert!((y - want).abs() < 1e-12, "{y} {want}");
    }
    // One row to a column: the same; a border is its own neighbour.
    let column = smooth(&[1.0, 0.0], [1, 2, 1, 1], sigma).value;
    assert!((column[0] - (total + 1.0) / 2.0 / total).abs() < 1e-12, "{column:?}");
}
