use super::Out;

fn out(value: Vec<f64>) -> Out {
    Out { mag: value.iter().map(|v| v.abs()).collect(), value }
}

/// ||z - retrieved|| of every row of `d` values: the position norms of the deviation of arXiv 2211.09041, eq. 8.
pub fn norms(z: &[f64], retrieved: &[f64], d: usize) -> Out {
    let rows = z.chunks(d).zip(retrieved.chunks(d));
    out(rows
        .map(|(z, r)| z.iter().zip(r).map(|(z, r)| (z - r) * (z - r)).sum::<f64>().sqrt())
        .collect())
}

/// Norm of the whole map's deviation (eq. 9): root of the sum of the squared norms.
pub fn norm(norms: &[f64], positions: usize) -> Out {
    out(norms.chunks(positions).map(|n| n.iter().map(|v| v * v).sum::<f64>().sqrt()).collect())
}

/// Mean of the `k` greatest of every map.
pub fn top(norms: &[f64], positions: usize, k: usize) -> Out {
    let mean_of = |map: &[f64]| {
        let mut sorted = map.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted[..k].iter().sum::<f64>() / k as f64
    };
    out(norms.chunks(positions).map(mean_of).collect())
}

#[test]
fn by_hand() {
    let n = norms(&[4.0, 0.0, 1.0, 1.0], &[1.0, 4.0, 1.0, -1.0], 2);
    assert_eq!(n.value, [5.0, 2.0]);
    assert_eq!(norm(&[3.0, 4.0, 0.0, 2.0], 2).value, [5.0, 2.0]);
    let map = [3.0, 9.0, 4.0, 4.0, 1.0, 0.0, 2.0, 0.0];
    assert_eq!(top(&map, 4, 1).value, [9.0, 2.0]);
    assert_eq!(top(&map, 4, 2).value, [6.5, 1.5]);
    assert_eq!(top(&map, 4, 4).value, [5.0, 0.75]);
}
