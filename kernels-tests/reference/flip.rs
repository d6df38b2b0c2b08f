/// `x: [n, h, w, c]`, upside down (`rows`) or left to right (`columns`).
pub fn forward(x: &[f64], [n, h, w, c]: [usize; 4], rows: bool, columns: bool) -> Vec<f64> {
    let mut y = vec![0.0; n * h * w * c];
    for image in 0..n {
        for row in 0..h {
            for column in 0..w {
                for channel in 0..c {
                    let to = [
                        if rows { h - 1 - row } else { row },
                        if columns { w - 1 - column } else { column },
                    ];
                    y[((image * h + to[0]) * w + to[1]) * c + channel] =
                        x[((image * h + row) * w + column) * c + channel];
                }
            }
        }
    }
    y
}

#[test]
fn by_hand() {
    // Two rows of three pixels.
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let flipped = |rows, columns| forward(&x, [1, 2, 3, 1], rows, columns);
    assert_eq!(flipped(false, false), x);
    assert_eq!(flipped(true, false), [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]);
    assert_eq!(flipped(false, true), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    assert_eq!(flipped(true, true), [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
}
