use super::Out;

/// Where output place `i` of `to` lies among `from` inputs, with pixels as squares: the lower and
/// upper neighbour and the upper one's weight.
fn taps(i: usize, from: usize, to: usize) -> (usize, usize, f64) {
    let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
    let low = at.floor() as usize;
    (low, (low + 1).min(from - 1), at - low as f64)
}

/// For every output element its four inputs and their weights.
fn terms(shape: [usize; 4], height: usize, width: usize) -> Vec<[(usize, f64); 4]> {
    let [n, h, w, c] = shape;
    let mut list = Vec::new();
    for n in 0..n {
        for i in 0..height {
            for j in 0..width {
                for c_at in 0..c {
                    let at = |y: usize, x: usize| ((n * h + y) * w + x) * c + c_at;
                    let (y0, y1, fy) = taps(i, h, height);
                    let (x0, x1, fx) = taps(j, w, width);
                    list.push([
                        (at(y0, x0), (1.0 - fy) * (1.0 - fx)),
                        (at(y0, x1), (1.0 - fy) * fx),
                        (at(y1, x0), fy * (1.0 - fx)),
                        (at(y1, x1), fy * fx),
                    ]);
                }
            }
        }
    }
    list
}

/// Bilinear resizing of `x: [n, h, w, c]`.
pub fn bilinear(x: &[f64], shape: [usize; 4], height: usize, width: usize) -> Out {
    let mut y = Out { value: Vec::new(), mag: Vec::new() };
    for t in terms(shape, height, width) {
        y.value.push(t.iter().map(|(i, f)| f * x[*i]).sum());
        // The neighbours themselves: a rounded weight moves the value by their difference.
        y.mag.push(t.iter().map(|(i, _)| x[*i].abs()).fold(0.0, f64::max));
    }
    y
}

/// The transpose: every output's gradient goes to its inputs by their weights.
pub fn backward(grad_y: &[f64], shape: [usize; 4], height: usize, width: usize) -> Out {
    let len = shape.iter().product();
    let mut grad = Out { value: vec![0.0; len], mag: vec![0.0; len] };
    for (t, g) in terms(shape, height, width).iter().zip(grad_y) {
        for (i, f) in t {
            grad.value[*i] += f * g;
            grad.mag[*i] += g.abs() * (f + f64::from(f32::EPSILON));
        }
    }
    grad
}

#[test]
fn by_hand() {
    // Two to four: places -1/4 (clamped to 0), 1/4, 3/4, 5/4 (past the last).
    let y = bilinear(&[1.0, 5.0], [1, 1, 2, 1], 1, 4).value;
    assert_eq!(y, [1.0, 2.0, 4.0, 5.0]);
    assert_eq!(backward(&[1.0, 2.0, 4.0, 8.0], [1, 1, 2, 1], 1, 4).value, [3.5, 11.5]);
    // Four to two: the middle of each pair. Five to two: places 3/4 and 13/4.
    assert_eq!(bilinear(&[1.0, 3.0, 5.0, 9.0], [1, 4, 1, 1], 2, 1).value, [2.0, 7.0]);
    assert_eq!(bilinear(&[0.0, 4.0, 5.0, 8.0, 16.0], [1, 5, 1, 1], 2, 1).value, [3.0, 10.0]);
}

#[test]
fn backward_is_the_derivative() {
    for (height, width) in [(5, 7), (2, 1), (3, 4)] {
        let shape = [2, 3, 4, 2];
        let x: Vec<f64> = (0..48).map(|i| (f64::from(i) * 1.7).sin()).collect();
        let g: Vec<f64> = (0..4 * height * width).map(|i| (i as f64).cos()).collect();
        let loss = |x: &[f64]| {
            let y = bilinear(x, shape, height, width).value;
            y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
        };
        super::derivative(&x, &backward(&g, shape, height, width).value, loss);
    }
}
