use super::Out;

/// The double hinge (AnoMem, arXiv 2211.09041, eqs. 11-12) of scores a: sum w l / sum w, 0 if the weights sum to 0,
/// with l = max(0, a - 1/eta) for normal scores and max(0, eta - a) for others.
pub fn double_hinge(a: &[f64], normal: &[f64], eta: f64, weights: &[f64]) -> Out {
    let total: f64 = weights.iter().sum();
    if total == 0.0 {
        return Out { value: vec![0.0], mag: vec![0.0] };
    }
    let (mut value, mut mag) = (0.0, 0.0);
    for ((a, normal), w) in a.iter().zip(normal).zip(weights) {
        let (l, terms) = match *normal != 0.0 {
            true => ((a - 1.0 / eta).max(0.0), a.abs() + 1.0 / eta),
            false => ((eta - a).max(0.0), eta + a.abs()),
        };
        value += w * l / total;
        mag += if l > 0.0 { w * terms / total } else { 0.0 };
    }
    Out { value: vec![value], mag: vec![mag] }
}

/// dL/da: w / sum w where a normal score is above 1/eta, its negative where another is below eta, times
/// dL/dloss. 0 at the margins.
pub fn backward(a: &[f64], normal: &[f64], eta: f64, weights: &[f64], grad: f64) -> Out {
    let total: f64 = weights.iter().sum();
    let mut value = vec![0.0; a.len()];
    for i in 0..a.len() {
        let normal = normal[i] != 0.0;
        if total != 0.0 && normal && a[i] > 1.0 / eta {
            value[i] = grad * weights[i] / total;
        }
        if total != 0.0 && !normal && a[i] < eta {
            value[i] = -grad * weights[i] / total;
        }
    }
    Out { mag: value.iter().map(|v| v.abs()).collect(), value }
}

/// Weights by which the normal ones of those that count weigh one half together, the others the other half.
pub fn balance(normal: &[f64], counts: &[f64]) -> Vec<f64> {
    let list = normal.iter().zip(counts.iter().cycle());
    let of = |side: bool| {
        list.clone().filter(|(n, c)| **c != 0.0 && (**n != 0.0) == side).count() as f64
    };
    let weight = |(n, c): (&f64, &f64)| if *c == 0.0 { 0.0 } else { 0.5 / of(*n != 0.0) };
    list.clone().map(weight).collect()
}

/// Label (1: normal) and weight of each position, from the damaged share of it.
pub fn position_targets(
    cover: &[f64],
    known: &[f64],
    seen: &[f64],
    [sound, damaged]: [f64; 2],
) -> [Vec<f64>; 2] {
    let per = cover.len() / known.len();
    let counts = |i: usize| known[i / per] != 0.0;
    let shows = |i: usize| seen[i / per % seen.len()] != 0.0;
    let is_normal = |i: &usize| counts(*i) && cover[*i] < sound;
    let is_damaged = |i: &usize| counts(*i) && shows(*i) && cover[*i] >= damaged;
    let (normals, anomalies) =
        ((0..cover.len()).filter(is_normal).count(), (0..cover.len()).filter(is_damaged).count());
    let weight = |i: usize| match (is_normal(&i), is_damaged(&i)) {
        (true, _) => 0.5 / normals as f64,
        (_, true) => 0.5 / anomalies as f64,
        _ => 0.0,
    };
    let normal = (0..cover.len()).map(|i| f64::from(u8::from(is_normal(&i)))).collect();
    [normal, (0..cover.len()).map(weight).collect()]
}

/// eta 2: a normal score is free up to 0.5, an anomaly from 2 on.
#[test]
fn by_hand() {
    let (a, normal) = ([0.25, 1.5, 3.0, 0.5], [1.0, 1.0, 0.0, 0.0]);
    // Losses 0, 1, 0, 1.5.
    assert_eq!(double_hinge(&a, &normal, 2.0, &[1.0; 4]).value, [0.625]);
    assert_eq!(backward(&a, &normal, 2.0, &[1.0; 4], 8.0).value, [0.0, 2.0, 0.0, -2.0]);
    let w = [5.0, 3.0, 0.0, 2.0];
    assert!((double_hinge(&a, &normal, 2.0, &w).value[0] - 0.6).abs() < 1e-15);
    assert_eq!(backward(&a, &normal, 2.0, &w, 10.0).value, [0.0, 3.0, 0.0, -2.0]);
    assert_eq!(double_hinge(&a, &normal, 2.0, &[0.0; 4]).value, [0.0]);
    assert_eq!(backward(&a, &normal, 2.0, &[0.0; 4], 1.0).value, [0.0; 4]);
    // At the margins.
    assert_eq!(double_hinge(&[0.5, 2.0], &[1.0, 0.0], 2.0, &[1.0; 2]).value, [0.0]);
    assert_eq!(backward(&[0.5, 2.0], &[1.0, 0.0], 2.0, &[1.0; 2], 1.0).value, [0.0; 2]);
}

#[test]
fn weights_by_hand() {
    // Six count: four normal, two not.
    let normal = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0];
    let weights = balance(&normal, &[1.0, 0.0, 1.0, 1.0]);
    assert_eq!(weights, [0.125, 0.0, 0.25, 0.125, 0.25, 0.0, 0.125, 0.125]);
    assert_eq!(balance(&[0.0, 0.0], &[1.0]), [0.25; 2]);
    assert_eq!(balance(&[0.0, 1.0], &[0.0]), [0.0; 2]);
    // Two views of two images, of which the first's damage is not seen: its sound position stays normal.
    let cover = [0.0, 0.5, 0.3, 0.05, 0.0, 0.9, 0.0, 0.2];
    let [normal, weights] = position_targets(&cover, &[1.0; 4], &[0.0, 1.0], [0.02, 0.15]);
    assert_eq!(normal, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    let sound = 0.5 / 3.0;
    assert_eq!(weights, [sound, 0.0, 0.25, 0.0, sound, 0.0, sound, 0.25]);
}

#[test]
fn backward_is_the_derivative() {
    let (a, normal) = ([0.1, 0.9, 2.7, 1.8, 0.4, 3.1], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let weights = [0.3, 1.2, 0.7, 0.0, 2.5, 0.9];
    let loss = |a: &[f64]| 1.3 * double_hinge(a, &normal, 1.7, &weights).value[0];
    super::derivative(&a, &backward(&a, &normal, 1.7, &weights, 1.3).value, loss);
}
