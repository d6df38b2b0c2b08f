use super::Out;

/// The mean over the rows of x: [rows, cols] of -ln p, with p the softmax of the row at its label; a row whose
/// label is not below cols adds 0.
///
/// The magnitude counts the roundings of exponentials (arguments, and WGSL's 3 + 2 |t| ulp), which the sum
/// weighs by their shares, and WGSL's allowance for log: 3 ulp, and 4 units of 2^-23 near 1.
pub fn forward(x: &[f64], labels: &[u32], cols: usize) -> Out {
    let rows = labels.len() as f64;
    let (mut value, mut mag) = (0.0, 0.0);
    for (row, label) in x.chunks(cols).zip(labels) {
        let Some(own) = row.get(*label as usize) else { continue };
        let p = softmax(row);
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ln_sum = row.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
        value += (ln_sum - (own - max)) / rows;
        let of_sum: f64 = row.iter().zip(&p).map(|(x, p)| p * (1.0 + (x - max).abs())).sum();
        mag += (1.0 + of_sum + ln_sum + (own - max).abs()) / rows;
    }
    Out { value: vec![value], mag: vec![mag] }
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
    row.iter().map(|x| (x - max).exp() / sum).collect()
}

/// dL/dx = (p - 1 at the label) / rows, times dL/dloss; 0 in a row whose label is not below cols.
pub fn backward(x: &[f64], labels: &[u32], cols: usize, grad: f64) -> Out {
    let each = grad / labels.len() as f64;
    let mut out = Out { value: vec![], mag: vec![] };
    for (row, label) in x.chunks(cols).zip(labels) {
        let label = *label as usize;
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let p = softmax(row);
        let of_sum: f64 = row.iter().zip(&p).map(|(x, p)| p * (1.0 + (x - max).abs())).sum();
        for (i, (x, p)) in row.iter().zip(&p).enumerate() {
            let wanted = f64::from(u8::from(i == label));
            let counts = f64::from(u8::from(label < cols));
            out.value.push(counts * each * (p - wanted));
            out.mag.push(counts * each.abs() * (wanted + p * (1.0 + (x - max).abs() + of_sum)));
        }
    }
    out
}

/// Logits (ln 3, 0): shares 3/4 and 1/4. Label 0 costs ln 4/3, label 1 ln 4.
#[test]
fn by_hand() {
    let x = [3f64.ln(), 0.0, 3f64.ln(), 0.0];
    let near = |got: &[f64], want: &[f64]| {
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-15), "{got:?}");
    };
    near(&forward(&x, &[0, 1], 2).value, &[((4.0f64 / 3.0).ln() + 4f64.ln()) / 2.0]);
    near(&backward(&x, &[0, 1], 2, 8.0).value, &[-1.0, 1.0, 3.0, -3.0]);
    // No such class: only the second row costs, but both count.
    near(&forward(&x, &[2, 1], 2).value, &[4f64.ln() / 2.0]);
    near(&backward(&x, &[2, 1], 2, 8.0).value, &[0.0, 0.0, 3.0, -3.0]);
    near(&forward(&[5.0], &[0], 1).value, &[0.0]);
}

#[test]
fn backward_is_the_derivative() {
    let (x, labels) = ([-0.7, 0.3, 1.9, 0.1, -1.2, 0.8, 2.0, 0.4, -0.3], [2, 0, 3]);
    let loss = |x: &[f64]| 1.7 * forward(x, &labels, 3).value[0];
    super::derivative(&x, &backward(&x, &labels, 3, 1.7).value, loss);
}
