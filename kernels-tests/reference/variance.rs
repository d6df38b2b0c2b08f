use super::Out;
use super::slope;

/// Of one column: mean and the magnitude of its terms; sqrt(var + 1e-4) with the unbiased variance, and that
/// root's magnitude.
pub struct Column {
    pub mean: f64,
    pub of_mean: f64,
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
            Column { mean, of_mean, std, mag: std + mag / (2.0 * std) }
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
        out.mag.push(factor.abs() * (x.abs() + c.of_mean + relative));
    }
    out
}

/// The sum over columns of their variances; 0 for fewer than two rows.
pub fn total(z: &[f64], cols: usize) -> Out {
    if z.len() < 2 * cols {
        return Out { value: vec![0.0], mag: vec![0.0] };
    }
    let columns = columns(z, cols);
    let value = columns.iter().map(|c| c.std * c.std - 1e-4).sum();
    let mag = columns.iter().map(|c| c.std * c.mag).sum::<f64>() * 2.0;
    Out { value: vec![value], mag: vec![mag] }
}

/// Which rows of z count: `valid` holds one value for as many neighbouring rows as there are for each; 0: they
/// do not.
fn counting(z: &[f64], cols: usize, valid: &[f64]) -> Vec<usize> {
    let rows = z.len() / cols;
    (0..rows).filter(|r| valid[r / (rows / valid.len())] != 0.0).collect()
}

/// The rows of z that count, behind each other.
pub fn kept(z: &[f64], cols: usize, valid: &[f64]) -> Vec<f64> {
    let rows = counting(z, cols, valid);
    rows.iter().flat_map(|r| z[r * cols..(r + 1) * cols].to_vec()).collect()
}

/// [`forward`] of the rows that count; 0 for fewer than two.
pub fn forward_valid(z: &[f64], cols: usize, target: f64, valid: &[f64]) -> Out {
    match kept(z, cols, valid) {
        kept if kept.len() < 2 * cols => Out { value: vec![0.0], mag: vec![0.0] },
        kept => forward(&kept, cols, target),
    }
}

/// [`backward`] to the rows that count; zeros for the others, and for all if fewer than two count.
pub fn backward_valid(z: &[f64], cols: usize, target: f64, grad: f64, valid: &[f64]) -> Out {
    let mut out = Out { value: vec![0.0; z.len()], mag: vec![0.0; z.len()] };
    let rows = counting(z, cols, valid);
    if rows.len() >= 2 {
        let of_kept = backward(&kept(z, cols, valid), cols, target, grad);
        for (i, r) in rows.iter().enumerate() {
            let (from, to) = (i * cols..(i + 1) * cols, r * cols..(r + 1) * cols);
            out.value[to.clone()].copy_from_slice(&of_kept.value[from.clone()]);
            out.mag[to].copy_from_slice(&of_kept.mag[from]);
        }
    }
    out
}

/// Two images of two rows and one column: (0, 2), and (9, 9), which does not count. Variance 2.
#[test]
fn valid_by_hand() {
    let (z, valid) = ([0.0, 2.0, 9.0, 9.0], [1.0, 0.0]);
    let root = 2.0001f64.sqrt();
    assert!((forward_valid(&z, 1, 2.0, &valid).value[0] - (2.0 - root)).abs() < 1e-15);
    assert!((total(&kept(&z, 1, &valid), 1).value[0] - 2.0).abs() < 1e-12);
    let grad = backward_valid(&z, 1, 2.0, 3.0, &valid).value;
    assert!((grad[0] - 3.0 / root).abs() < 1e-12 && (grad[1] + 3.0 / root).abs() < 1e-12);
    assert_eq!(grad[2..], [0.0, 0.0]);
    for valid in [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]] {
        assert_eq!(forward_valid(&z, 1, 2.0, &valid).value, [0.0]);
        assert_eq!(backward_valid(&z, 1, 2.0, 3.0, &valid).value, [0.0; 4]);
        assert_eq!(total(&kept(&z, 1, &valid), 1).value, [0.0]);
    }
}

#[test]
fn backward_valid_is_the_derivative() {
    let z = [0.4, -3.7, 1.1, 0.9, 2.2, -0.3, -0.5, 0.8, 0.6, 1.2, -2.9, 0.1];
    let (cols, target, valid) = (2, 2.5, [1.0, 0.0, 1.0]);
    let analytic = backward_valid(&z, cols, target, 1.3, &valid).value;
    super::derivative(&z, &analytic, |z| 1.3 * forward_valid(z, cols, target, &valid).value[0]);
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
