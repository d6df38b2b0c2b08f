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

/// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|). The magnitude holds WGSL's allowance for exp of 3 + 2 |x| ulp.
pub fn softplus(x: &[f64]) -> Out {
    let rest = |x: f64| (-x.abs()).exp().ln_1p();
    Out {
        value: x.iter().map(|x| x.max(0.0) + rest(*x)).collect(),
        mag: x.iter().map(|x| x.max(0.0) + (2.0 + x.abs()) * rest(*x)).collect(),
    }
}

/// dL/dx = dL/dy / (1 + e^-x). The exponential's error reaches the quotient by the share 1 / (1 + e^x).
pub fn softplus_backward(x: &[f64], grad_y: &[f64]) -> Out {
    let mut out = Out { value: vec![], mag: vec![] };
    for (x, g) in x.iter().zip(grad_y) {
        let slope = 1.0 / (1.0 + (-x).exp());
        out.value.push(g * slope);
        out.mag.push((g * slope).abs() * (1.5 + (1.0 + x.abs()) / (1.0 + x.exp())));
    }
    out
}

/// e^x = 3 gives ln 4 and 3/4, e^x = 1/3 gives ln 4 - ln 3 and 1/4, 0 gives ln 2 and 1/2.
#[test]
fn softplus_by_hand() {
    let x = [3f64.ln(), (1.0 / 3f64).ln(), 0.0, 1e4, -1e4];
    let near = |got: Vec<f64>, want: [f64; 5]| {
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-15));
    };
    near(softplus(&x).value, [4f64.ln(), 4f64.ln() - 3f64.ln(), 2f64.ln(), 1e4, 0.0]);
    near(softplus_backward(&x, &[2.0; 5]).value, [1.5, 0.5, 1.0, 2.0, 0.0]);
    // Where 1 + e^x rounds to 1 in f64, the result is e^x.
    let tiny = (-50f64).exp();
    assert!((softplus(&[-50.0]).value[0] / tiny - 1.0).abs() < 1e-15);
}

#[test]
fn softplus_backward_is_the_derivative() {
    let (x, g) = ([-3.7, -0.2, 0.0, 0.3, 4.9], [0.4, -1.1, 2.0, 0.7, -0.6]);
    let loss = |x: &[f64]| softplus(x).value.iter().zip(&g).map(|(y, g)| y * g).sum();
    super::derivative(&x, &softplus_backward(&x, &g).value, loss);
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
