use super::Out;

/// Lloyd's update (1982): each centre becomes the mean of the rows assigned to it and stays where it is without
/// one; and how many rows each has. Rows assigned to no centre take no part.
pub fn update(x: &[f64], assigned: &[u32], centres: &[f64], dim: usize) -> (Out, Vec<u32>) {
    let mut counts = vec![0; centres.len() / dim];
    let mut out = Out { value: vec![0.0; centres.len()], mag: vec![0.0; centres.len()] };
    for (row, m) in x.chunks(dim).zip(assigned) {
        let m = *m as usize;
        if m < counts.len() {
            counts[m] += 1;
            for (d, v) in row.iter().enumerate() {
                out.value[m * dim + d] += v;
                out.mag[m * dim + d] += v.abs();
            }
        }
    }
    for i in 0..centres.len() {
        let rows = f64::from(counts[i / dim]);
        if rows == 0.0 {
            (out.value[i], out.mag[i]) = (centres[i], centres[i].abs());
        } else {
            (out.value[i], out.mag[i]) = (out.value[i] / rows, out.mag[i] / rows);
        }
    }
    (out, counts)
}

#[test]
fn by_hand() {
    let x = [0.0, 2.0, 10.0, 10.0, 4.0, 6.0, 8.0, 8.0];
    let (centres, counts) = update(&x, &[2, 0, 2, 9], &[1.0, 1.0, 3.0, -5.0, 7.0, 7.0], 2);
    assert_eq!(centres.value, [10.0, 10.0, 3.0, -5.0, 2.0, 4.0]);
    assert_eq!(counts, [1, 0, 2]);
}
