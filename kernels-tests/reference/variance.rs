use super::Out;
use super::slope;

/// Of one column: mean, sqrt(var + 1e-4) with the unbiased variance, and that root's magnitude.
pub struct Column {
    pub mean: f64,
    pub std: f64,
    pub mag: f64,
}

/// The columns of z: [rows, cols].
pub fn columns(z: &[f64], cols: usize) -> Vec<Column> {
    let rows = z.len() / cols;
    (0..cols)
        .map(|d| {
            let column = || (0..rows).map(|r| z[r * cols + d]);
            let mean = column().sum::<f64>() / rows as f64;
            let of_mean = column().map(f64::abs).sum::<f64>() / rows as f64;
            let var = column().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (rows as f64 - 1.0);
            // A difference from the mean carries the roundings of both.
            let mag = column()
                .map(|x| (x - mean).abs() * ((x - mean).abs() + 2.0 * (x.abs() + of_mean)))
                .sum::<f64>()
                / (rows as f64 - 1.0);
            let std = (var + 1e-4).sqrt();
            Column { mean, std, mag: std + mag / (2.0 * std) }
        })
        .collect()
}

/// The variance term of VICReg (Bardes, Ponce and LeCun 2022, eq. 1): the mean over columns of
/// max(0, target - sqrt(var + 1e-4)).
pub fn forward(z: &[f64], cols: usize, target: f64) -> Out {
    let (mut value, mut mag) = (0.0, 0.0);
    for c in columns(z, cols) {
        value += (target - c.std).max(0.0) / cols as f64;
        mag += if c.std < target { target + c.mag } else { 0.0 } / cols as f64;
    }
    Out { value: vec![value], mag: vec![mag] }
}

/// dL/dz = -(z - mean) / (cols (rows - 1) std) times dL/dloss, where std is below the target.
pub fn backward(z: &[f64], cols: usize, target: f64, grad: f64) -> Out {
    let rows = z.len() / cols;
    let columns = columns(z, cols);
    let mut out = Out { value: vec![], mag: vec![] };
    for (i, x) in z.iter().enumerate() {
        let c = &columns[i % cols];
        let on = if c.std < target { 1.0 } else { 0.0 };
        let factor = on * grad / (cols as f64 * (rows as f64 - 1.0) * c.std);
        out.value.push(-factor * (x - c.mean));
        let relative = (x - c.mean).abs() * c.mag / c.std;
        out.mag.push(factor.abs() * (x.abs() + c.mean.abs() + relative));
    }
    out
}

/// Columns (0, 2) and (3, 3): variances 2 and 0. Target 2: the mean of 2 - sqrt(2.0001) and 2 - 0.01.
#[test]
fn by_hand() {
    let z = [0.0, 3.0, 2.0, 3.0];
    let want = ((2.0 - 2.0001f64.sqrt()) + 1.99) / 2.0;
    assert!((forward(&z, 2, 2.0).value[0] - want).abs() < 1e-15);
    let grad = backward(&z, 2, 2.0, 3.0).value;
    let want = 3.0 / (2.0 * 2.0001f64.sqrt());
    assert!((grad[0] - want).abs() < 1e-12 && (grad[2] + want).abs() < 1e-12);
    assert!(grad[1] == 0.0 && grad[3] == 0.0);
    assert_eq!(forward(&z, 2, 0.001).value, [0.0]);
    assert!(backward(&z, 2, 0.001, 3.0).value.iter().all(|g| *g == 0.0));
}

#[test]
fn backward_is_the_derivative() {
    let z = [0.4, -3.7, 1.1, 0.9, 2.2, -0.3, -0.5, 0.8, 0.6, 1.2, -2.9, 0.1];
    let (cols, target) = (3, 1.0);
    assert!(columns(&z, cols).iter().any(|c| c.std > 1.1));
    assert!(columns(&z, cols).iter().any(|c| c.std < 0.9));
    let analytic = backward(&z, cols, target, 1.3).value;
    for (i, analytic) in analytic.iter().enumerate() {
        let numeric = slope(&z, i, |z| 1.3 * forward(z, cols, target).value[0]);
        assert!((numeric - analytic).abs() < 1e-8);
    }
}
