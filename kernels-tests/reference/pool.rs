use super::Out;

/// A window and the maps it runs over, `x: [n, h, w, c]`.
#[derive(Clone, Copy)]
pub struct Pool {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub kernel: (usize, usize),
    pub stride: usize,
    pub padding: usize,
}

impl Pool {
    pub fn out(&self) -> (usize, usize) {
        let size = |len, k| (len + 2 * self.padding - k) / self.stride + 1;
        (size(self.h, self.kernel.0), size(self.w, self.kernel.1))
    }

    /// For every output the places in `x` of its window, row by row, padding left out.
    fn windows(&self) -> Vec<Vec<usize>> {
        let (ho, wo) = self.out();
        let mut list = Vec::new();
        for n in 0..self.n {
            for i in 0..ho {
                for j in 0..wo {
                    for c in 0..self.c {
                        let mut places = Vec::new();
                        for a in 0..self.kernel.0 {
                            for b in 0..self.kernel.1 {
                                let (y, x) = (i * self.stride + a, j * self.stride + b);
                                let inside = y >= self.padding
                                    && x >= self.padding
                                    && y - self.padding < self.h
                                    && x - self.padding < self.w;
                                if inside {
                                    let (y, x) = (y - self.padding, x - self.padding);
                                    places.push(((n * self.h + y) * self.w + x) * self.c + c);
                                }
                            }
                        }
                        list.push(places);
                    }
                }
            }
        }
        list
    }

    fn len(&self) -> usize {
        self.n * self.h * self.w * self.c
    }

    /// Where each window's greatest value is; the first of equals.
    fn greatest(&self, x: &[f64]) -> Vec<usize> {
        let first = |w: &Vec<usize>| {
            let mut best = w[0];
            for &i in w {
                if x[i] > x[best] {
                    best = i;
                }
            }
            best
        };
        self.windows().iter().map(first).collect()
    }

    /// The greatest value of each window; padding is never it.
    pub fn max(&self, x: &[f64]) -> Out {
        let value: Vec<f64> = self.greatest(x).iter().map(|i| x[*i]).collect();
        Out { mag: value.iter().map(|v| v.abs()).collect(), value }
    }

    /// The gradient goes to the greatest value, the first of equals.
    pub fn max_backward(&self, x: &[f64], grad_y: &[f64]) -> Out {
        let mut out = Out { value: vec![0.0; self.len()], mag: vec![0.0; self.len()] };
        for (i, g) in self.greatest(x).into_iter().zip(grad_y) {
            out.value[i] += g;
            out.mag[i] += g.abs();
        }
        out
    }

    fn area(&self) -> f64 {
        (self.kernel.0 * self.kernel.1) as f64
    }

    /// Sum of the window over the kernel's area: padding counts as zeros.
    pub fn average(&self, x: &[f64]) -> Out {
        let windows = self.windows();
        let sum = |f: fn(f64) -> f64| -> Vec<f64> {
            windows.iter().map(|w| w.iter().map(|i| f(x[*i])).sum::<f64>() / self.area()).collect()
        };
        Out { value: sum(|v| v), mag: sum(f64::abs) }
    }

    /// Every window spreads its gradient evenly.
    pub fn average_backward(&self, grad_y: &[f64]) -> Out {
        let mut out = Out { value: vec![0.0; self.len()], mag: vec![0.0; self.len()] };
        for (w, g) in self.windows().iter().zip(grad_y) {
            for &i in w {
                out.value[i] += g / self.area();
                out.mag[i] += g.abs() / self.area();
            }
        }
        out
    }
}

/// A grid of windows that covers maps `x: [n, h, w, c]`: PyTorch's `adaptive_avg_pool2d`.
#[derive(Clone, Copy)]
pub struct Adaptive {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub grid: (usize, usize),
}

impl Adaptive {
    /// For every output the places in `x` of its window, row by row.
    fn windows(&self) -> Vec<Vec<usize>> {
        let range = |i: usize, len: usize, parts: usize| {
            let share = |i: usize| (i * len) as f64 / parts as f64;
            share(i).floor() as usize..share(i + 1).ceil() as usize
        };
        let (gh, gw) = self.grid;
        let mut list = Vec::new();
        for n in 0..self.n {
            for i in 0..gh {
                for j in 0..gw {
                    for c in 0..self.c {
                        let mut places = Vec::new();
                        for y in range(i, self.h, gh) {
                            for x in range(j, self.w, gw) {
                                places.push(((n * self.h + y) * self.w + x) * self.c + c);
                            }
                        }
                        list.push(places);
                    }
                }
            }
        }
        list
    }

    /// The mean of each window.
    pub fn average(&self, x: &[f64]) -> Out {
        let windows = self.windows();
        let mean = |f: fn(f64) -> f64| -> Vec<f64> {
            windows
                .iter()
                .map(|w| w.iter().map(|i| f(x[*i])).sum::<f64>() / w.len() as f64)
                .collect()
        };
        Out { value: mean(|v| v), mag: mean(f64::abs) }
    }

    /// Every window spreads its gradient evenly; what lies in several sums.
    pub fn average_backward(&self, grad_y: &[f64]) -> Out {
        let len = self.n * self.h * self.w * self.c;
        let mut out = Out { value: vec![0.0; len], mag: vec![0.0; len] };
        for (w, g) in self.windows().iter().zip(grad_y) {
            for &i in w {
                out.value[i] += g / w.len() as f64;
                out.mag[i] += g.abs() / w.len() as f64;
            }
        }
        out
    }
}

/// Five columns into three: 0..2, 1..4, 3..5. Columns 1 and 3 lie in two windows.
#[test]
fn adaptive_by_hand() {
    let p = Adaptive { n: 1, h: 1, w: 5, c: 1, grid: (1, 3) };
    assert_eq!(p.average(&[1.0, 5.0, 3.0, 7.0, 2.0]).value, [3.0, 5.0, 4.5]);
    assert_eq!(p.average_backward(&[2.0, 6.0, 8.0]).value, [1.0, 3.0, 2.0, 6.0, 4.0]);
    // A grid that divides the map: windows that touch no other.
    let p = Adaptive { n: 1, h: 2, w: 4, c: 1, grid: (1, 2) };
    assert_eq!(p.average(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).value, [3.5, 5.5]);
}

#[test]
fn adaptive_backward_is_the_derivative() {
    let p = Adaptive { n: 2, h: 5, w: 7, c: 2, grid: (3, 4) };
    let x: Vec<f64> = (0..140).map(|i| (i as f64 * 1.7).sin()).collect();
    let g: Vec<f64> = (0..48).map(|i| (i as f64).cos()).collect();
    let loss = |x: &[f64]| p.average(x).value.iter().zip(&g).map(|(y, g)| y * g).sum();
    super::derivative(&x, &p.average_backward(&g).value, loss);
}

#[test]
fn by_hand() {
    // 1 5 2
    // 5 3 4   kernel 2, stride 2, padding 1: windows (1), (5 2), (5), (3 4).
    let p = Pool { n: 1, h: 2, w: 3, c: 1, kernel: (2, 2), stride: 2, padding: 1 };
    let x = [1.0, 5.0, 2.0, 5.0, 3.0, 4.0];
    assert_eq!(p.out(), (2, 2));
    assert_eq!(p.max(&x).value, [1.0, 5.0, 5.0, 4.0]);
    assert_eq!(p.max_backward(&x, &[1.0, 2.0, 3.0, 4.0]).value, [1.0, 2.0, 0.0, 3.0, 0.0, 4.0]);
    assert_eq!(p.average(&x).value, [0.25, 1.75, 1.25, 1.75]);
    let g = p.average_backward(&[4.0, 8.0, 12.0, 16.0]).value;
    assert_eq!(g, [1.0, 2.0, 2.0, 3.0, 4.0, 4.0]);
    // Two equal maxima: the first, 5 at the top, takes the gradient.
    let p = Pool { padding: 0, w: 2, ..p };
    assert_eq!(p.max_backward(&[1.0, 5.0, 5.0, 3.0], &[7.0]).value, [0.0, 7.0, 0.0, 0.0]);
}

#[test]
fn backward_is_the_derivative() {
    let p = Pool { n: 2, h: 4, w: 3, c: 2, kernel: (3, 2), stride: 2, padding: 1 };
    let x: Vec<f64> = (0..p.len()).map(|i| (i as f64 * 1.7).sin() + i as f64 * 0.01).collect();
    let (ho, wo) = p.out();
    let g: Vec<f64> = (0..p.n * ho * wo * p.c).map(|i| (i as f64).cos()).collect();
    let loss = |y: Out| y.value.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>();
    super::derivative(&x, &p.max_backward(&x, &g).value, |x| loss(p.max(x)));
    super::derivative(&x, &p.average_backward(&g).value, |x| loss(p.average(x)));
}
