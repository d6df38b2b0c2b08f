/// One block of Philox4x32-10 in 64-bit arithmetic (Salmon et al. 2011, figure 2 and table 2).
pub fn philox(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let product = |a: u32, b: u32| {
        let p = u64::from(a) * u64::from(b);
        ((p >> 32) as u32, p as u32)
    };
    let ([mut k0, mut k1], mut c) = (key, counter);
    for _ in 0..10 {
        let (high0, low0) = product(0xD251_1F53, c[0]);
        let (high1, low1) = product(0xCD9E_8D57, c[2]);
        c = [high1 ^ c[1] ^ k0, low1, high0 ^ c[3] ^ k1, low0];
        (k0, k1) = (k0.wrapping_add(0x9E37_79B9), k1.wrapping_add(0xBB67_AE85));
    }
    c
}

/// The `count` positions with the smallest random words, in the order of their words.
pub fn draw(counters: [u32; 4], positions: usize, count: usize, purpose: u32) -> Vec<u32> {
    let [low, high, step, _] = counters;
    let mut list: Vec<(u32, u32)> =
        (0..positions as u32).map(|p| (philox([low, high], [p, step, purpose, 0])[0], p)).collect();
    list.sort_unstable();
    list[..count].iter().map(|(_, p)| *p).collect()
}

/// Rows of view `view` of x [V*B, P, D] at index [B, n]; zero where the index is not below P.
pub fn gather(x: &[f64], dims: [usize; 3], index: &[u32], view: usize) -> Vec<f64> {
    let [b, p, d] = dims;
    let n = index.len() / b;
    let mut y = vec![0.0; b * n * d];
    for image in 0..b {
        for j in 0..n {
            let at = index[image * n + j] as usize;
            for k in 0..d {
                if at < p {
                    y[(image * n + j) * d + k] = x[((view * b + image) * p + at) * d + k];
                }
            }
        }
    }
    y
}

/// Adds a view's part of dL/dx, and the magnitudes of its terms.
pub fn scatter(grad: &[f64], dims: [usize; 3], index: &[u32], view: usize, out: &mut super::Out) {
    let [b, p, d] = dims;
    let n = index.len() / b;
    for image in 0..b {
        for j in 0..n {
            let at = index[image * n + j] as usize;
            for k in 0..d {
                if at < p {
                    let to = ((view * b + image) * p + at) * d + k;
                    out.value[to] += grad[(image * n + j) * d + k];
                    out.mag[to] += grad[(image * n + j) * d + k].abs();
                }
            }
        }
    }
}

/// A point of view a (both coordinates in 0..1) as a point of view b.
/// Geometry: x0, y0, width and height of the crop as shares of the image, mirrored or not.
pub fn transfer(point: [f64; 2], a: [f64; 5], b: [f64; 5]) -> [f64; 2] {
    let mirror = |x: f64, flip: f64| if flip == 1.0 { 1.0 - x } else { x };
    let image = [a[0] + mirror(point[0], a[4]) * a[2], a[1] + point[1] * a[3]];
    [mirror((image[0] - b[0]) / b[2], b[4]), (image[1] - b[1]) / b[3]]
}

/// Nearest cell of b's map to the centre of a's cell `index`, its distance in cells (the larger of
/// both axes), and how far the choice and the distance are from flipping (`limit` in cells).
pub fn matched(
    index: usize,
    a: [f64; 5],
    b: [f64; 5],
    [height, width]: [usize; 2],
    limit: f64,
) -> (usize, f64, f64) {
    let centre = [
        ((index % width) as f64 + 0.5) / width as f64,
        ((index / width) as f64 + 0.5) / height as f64,
    ];
    let point = transfer(centre, a, b);
    let axis = |at: f64, cells: usize| {
        let best = (0..cells).min_by(|i, j| {
            let far = |c: usize| (at * cells as f64 - (c as f64 + 0.5)).abs();
            far(*i).total_cmp(&far(*j))
        });
        let best = best.expect("a map has cells");
        let far = (at * cells as f64 - (best as f64 + 0.5)).abs();
        let border = at * cells as f64 - (at * cells as f64).round();
        (best, far, border.abs())
    };
    let ((col, far_x, margin_x), (row, far_y, margin_y)) =
        (axis(point[0], width), axis(point[1], height));
    let far = far_x.max(far_y);
    (row * width + col, far, margin_x.min(margin_y).min((far - limit).abs()))
}

#[test]
fn philox_gives_the_published_words() {
    // Known answers of Random123, file kat_vectors, lines philox4x32 10.
    assert_eq!(philox([0; 2], [0; 4]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(
        philox([u32::MAX; 2], [u32::MAX; 4]),
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
    );
    assert_eq!(
        philox([0xa409_3822, 0x299f_31d0], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]),
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    );
}

#[test]
fn by_hand() {
    // Two images of three positions with one feature, one view.
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(gather(&x, [2, 3, 1], &[2, 2, 0, 3], 0), [3.0, 3.0, 4.0, 0.0]);
    let mut out = super::Out { value: vec![0.0; 6], mag: vec![0.0; 6] };
    scatter(&[1.0, -5.0, 2.0, 9.0], [2, 3, 1], &[2, 2, 0, 3], 0, &mut out);
    assert_eq!(out.value, [0.0, 0.0, -4.0, 2.0, 0.0, 0.0]);
    assert_eq!(out.mag, [0.0, 0.0, 6.0, 2.0, 0.0, 0.0]);
    // The left half against the whole image mirrored: x = 1/4 of the half is 1/8 of the image, 7/8 mirrored.
    let (half, whole) = ([0.0, 0.0, 0.5, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0]);
    assert_eq!(transfer([0.25, 0.5], half, whole), [0.875, 0.5]);
    let (cell, far, _) = matched(0, half, whole, [1, 2], 0.5);
    assert_eq!((cell, far), (1, 0.25));
}

#[test]
fn backward_is_the_derivative() {
    // gather is linear: the derivative along e_i is gather(e_i).
    let (dims, index) = ([2, 3, 2], [1u32, 1, 0, 2]);
    let g: Vec<f64> = (0..8).map(|i| f64::from(i) * 0.7 - 2.0).collect();
    let mut out = super::Out { value: vec![0.0; 12], mag: vec![0.0; 12] };
    scatter(&g, dims, &index, 0, &mut out);
    for i in 0..12 {
        let mut e = vec![0.0; 12];
        e[i] = 1.0;
        let slope: f64 = gather(&e, dims, &index, 0).iter().zip(&g).map(|(a, b)| a * b).sum();
        assert!((slope - out.value[i]).abs() < 1e-12);
    }
}
