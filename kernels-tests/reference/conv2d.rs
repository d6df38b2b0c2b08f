use super::Out;

/// Sizes of a convolution: x [n, h, w, c], weight [kh, kw, c, o], y [n, ho, wo, o].
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub o: usize,
    pub kh: usize,
    pub kw: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Sizes {
    pub fn ho(&self) -> usize {
        (self.h + 2 * self.padding - self.kh) / self.stride + 1
    }

    pub fn wo(&self) -> usize {
        (self.w + 2 * self.padding - self.kw) / self.stride + 1
    }

    /// Calls `f(index of y, index of x, index of weight)` for each product that the definition sums:
    /// y[n, i, j, o] = sum over kh, kw, c of x[n, i s - p + kh, j s - p + kw, c] weight[kh, kw, c, o],
    /// x being 0 outside.
    fn each_term(&self, mut f: impl FnMut(usize, usize, usize)) {
        let Sizes { n, h, w, c, o, kh, kw, stride, padding } = *self;
        for image in 0..n {
            for i in 0..self.ho() {
                for j in 0..self.wo() {
                    for a in 0..kh {
                        for b in 0..kw {
                            let (row, column) = (i * stride + a, j * stride + b);
                            let inside = (padding..padding + h).contains(&row)
                                && (padding..padding + w).contains(&column);
                            if !inside {
                                continue;
                            }
                            let pixel = (image * h + row - padding) * w + column - padding;
                            for channel in 0..c {
                                for out in 0..o {
                                    f(
                                        ((image * self.ho() + i) * self.wo() + j) * o + out,
                                        pixel * c + channel,
                                        ((a * kw + b) * c + channel) * o + out,
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn zeros(len: usize) -> Out {
    Out { value: vec![0.0; len], mag: vec![0.0; len] }
}

fn add(out: &mut Out, at: usize, term: f64) {
    out.value[at] += term;
    out.mag[at] += term.abs();
}

/// y.
pub fn forward(s: &Sizes, x: &[f64], weight: &[f64]) -> Out {
    let mut y = zeros(s.n * s.ho() * s.wo() * s.o);
    s.each_term(|iy, ix, iw| add(&mut y, iy, x[ix] * weight[iw]));
    y
}

/// dL/dx from dL/dy: each product passes on its weight.
pub fn backward_input(s: &Sizes, weight: &[f64], grad_y: &[f64]) -> Out {
    let mut grad = zeros(s.n * s.h * s.w * s.c);
    s.each_term(|iy, ix, iw| add(&mut grad, ix, grad_y[iy] * weight[iw]));
    grad
}

/// dL/dweight from dL/dy: each product passes on its x.
pub fn backward_weight(s: &Sizes, x: &[f64], grad_y: &[f64]) -> Out {
    let mut grad = zeros(s.kh * s.kw * s.c * s.o);
    s.each_term(|iy, ix, iw| add(&mut grad, iw, grad_y[iy] * x[ix]));
    grad
}

#[test]
fn by_hand() {
    let s = Sizes { n: 1, h: 2, w: 3, c: 1, o: 1, kh: 2, kw: 2, stride: 1, padding: 0 };
    let (x, weight) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 10.0, 100.0, 1000.0]);
    assert_eq!(forward(&s, &x, &weight).value, [5421.0, 6532.0]);
    assert_eq!(
        backward_input(&s, &weight, &[1.0, 2.0]).value,
        [1.0, 12.0, 20.0, 100.0, 1200.0, 2000.0]
    );
    assert_eq!(backward_weight(&s, &x, &[1.0, 2.0]).value, [5.0, 8.0, 14.0, 17.0]);
    // Stride 2 and padding 1 of the same: columns -1, 0 | 1, 2 and rows -1, 0 | 1, 2.
    let s = Sizes { stride: 2, padding: 1, ..s };
    assert_eq!(forward(&s, &x, &weight).value, [1000.0, 3200.0, 40.0, 65.0]);
    // Channels: 1 x 1 kernel, weight [c, o].
    let s = Sizes { n: 1, h: 1, w: 1, c: 2, o: 3, kh: 1, kw: 1, stride: 1, padding: 0 };
    let weight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!(forward(&s, &[1.0, -1.0], &weight).value, [-3.0, -3.0, -3.0]);
    assert_eq!(backward_input(&s, &weight, &[1.0, 0.0, 2.0]).value, [7.0, 16.0]);
}

#[test]
fn backward_is_the_derivative() {
    let s = Sizes { n: 2, h: 5, w: 4, c: 2, o: 3, kh: 3, kw: 2, stride: 2, padding: 1 };
    let data = |len: usize, seed: f64| -> Vec<f64> {
        (0..len).map(|i| ((i as f64 + seed) * 1.7).sin()).collect()
    };
    let (x, weight) = (data(80, 0.3), data(36, 7.1));
    let g = data(s.n * s.ho() * s.wo() * s.o, 2.9);
    let loss = |x: &[f64], weight: &[f64]| -> f64 {
        forward(&s, x, weight).value.iter().zip(&g).map(|(y, g)| y * g).sum()
    };
    let h = 1e-5;
    let moved = |v: &[f64], i: usize, d: f64| {
        let mut v = v.to_vec();
        v[i] += d;
        v
    };
    let grad_x = backward_input(&s, &weight, &g).value;
    for (i, grad) in grad_x.iter().enumerate() {
        let slope = loss(&moved(&x, i, h), &weight) - loss(&moved(&x, i, -h), &weight);
        assert!((slope / (2.0 * h) - grad).abs() < 1e-8);
    }
    let grad_weight = backward_weight(&s, &x, &g).value;
    for (i, grad) in grad_weight.iter().enumerate() {
        let slope = loss(&x, &moved(&weight, i, h)) - loss(&x, &moved(&weight, i, -h));
        assert!((slope / (2.0 * h) - grad).abs() < 1e-8);
    }
}
