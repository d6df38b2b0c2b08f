use super::Out;

/// One step of stochastic gradient descent with Nesterov momentum as PyTorch's `torch.optim.SGD` defines it
/// (dampening 0): g += weight_decay p; v = momentum v + g; p -= lr (g + momentum v). Returns p and v.
pub fn sgd(p: &[f64], g: &[f64], v: &[f64], lr: f64, momentum: f64, weight_decay: f64) -> [Out; 2] {
    let mut new_p = Out { value: vec![], mag: vec![] };
    let mut new_v = Out { value: vec![], mag: vec![] };
    for i in 0..p.len() {
        let decayed = g[i] + weight_decay * p[i];
        let decayed_mag = g[i].abs() + (weight_decay * p[i]).abs();
        let velocity = momentum * v[i] + decayed;
        let velocity_mag = (momentum * v[i]).abs() + decayed_mag;
        new_v.value.push(velocity);
        new_v.mag.push(velocity_mag);
        new_p.value.push(p[i] - lr * (decayed + momentum * velocity));
        new_p.mag.push(p[i].abs() + lr * (decayed_mag + momentum * velocity_mag));
    }
    [new_p, new_v]
}

/// Exponential moving average: running + momentum (batch - running).
pub fn ema(running: &[f64], batch: &[f64], momentum: f64) -> Out {
    let pairs = || running.iter().zip(batch);
    Out {
        value: pairs().map(|(r, b)| (1.0 - momentum) * r + momentum * b).collect(),
        mag: pairs().map(|(r, b)| r.abs() + momentum * (b.abs() + r.abs())).collect(),
    }
}

/// p = 2, g = 0.5, v = -1: decayed 0.5 + 0.25 * 2 = 1; v = 0.5 * -1 + 1 = 0.5; p = 2 - 0.1 (1 + 0.25) = 1.875.
#[test]
fn by_hand() {
    let [p, v] = sgd(&[2.0], &[0.5], &[-1.0], 0.1, 0.5, 0.25);
    assert_eq!((p.value, v.value), (vec![1.875], vec![0.5]));
    assert_eq!(ema(&[1.0, 4.0], &[3.0, -4.0], 0.25).value, [1.5, 2.0]);
}

/// Three steps of torch.optim.SGD(lr=0.3, momentum=0.9, weight_decay=0.05, nesterov=True) in f64, PyTorch 1.13.
#[test]
fn three_steps_are_pytorchs() {
    let (mut p, mut v) = (vec![1.5, -0.75], vec![0.0, 0.0]);
    for g in [[0.2, -1.0], [-0.4, 0.6], [1.0, 0.3]] {
        let [new_p, new_v] = sgd(&p, &g, &v, 0.3, 0.9, 0.05);
        (p, v) = (new_p.value, new_v.value);
    }
    let near =
        |got: &[f64], want: [f64; 2]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-14);
    assert!(near(&p, [0.8750943298125, -0.3250093806562499]), "{p:?}");
    assert!(near(&v, [0.9965033687500001, -0.01971270937500008]), "{v:?}");
}
