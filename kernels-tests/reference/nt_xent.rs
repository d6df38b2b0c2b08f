use super::Out;

/// Which rows an anchor is contrasted with, besides its pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negatives {
    /// Every row of both views but the anchor.
    Joint,
    /// Those of other images.
    ExcludeImage,
    /// Those at the same position.
    PerPosition,
}

/// NT-Xent (Chen et al. 2020, eq. 1) of n pairs; rows 0..n are view a, rows n..2n view b.
pub struct Problem {
    pub a: Vec<f64>,
    pub b: Vec<f64>,
    pub d: usize,
    pub tau: f64,
    pub positions: usize,
    pub negatives: Negatives,
    pub valid: Option<Vec<f64>>,
}

/// Log-sum-exp of a row with the magnitude of its terms.
pub struct Row {
    pub lse: f64,
    pub mag: f64,
}

impl Problem {
    fn n(&self) -> usize {
        self.a.len() / self.d
    }

    fn z(&self, row: usize) -> &[f64] {
        let (view, k) = if row < self.n() { (&self.a, row) } else { (&self.b, row - self.n()) };
        &view[k * self.d..(k + 1) * self.d]
    }

    fn pair(&self, row: usize) -> usize {
        if row < self.n() { row + self.n() } else { row - self.n() }
    }

    fn kept(&self, row: usize) -> bool {
        self.valid.as_ref().is_none_or(|v| v[row % self.n()] != 0.0)
    }

    fn anchors(&self) -> usize {
        (0..2 * self.n()).filter(|r| self.kept(*r)).count()
    }

    /// The rows in the denominator of anchor `i`.
    fn others(&self, i: usize) -> Vec<usize> {
        let n = self.n();
        let position = |r: usize| r % n % self.positions;
        let image = |r: usize| r % n / self.positions;
        let all: Vec<usize> = match self.negatives {
            // The same position of every image, in both views: not all 2n rows, of which there can
            // be millions.
            Negatives::PerPosition => (position(i)..2 * n).step_by(self.positions).collect(),
            Negatives::Joint => (0..2 * n).collect(),
            Negatives::ExcludeImage => {
                (0..2 * n).filter(|j| image(*j) != image(i) || *j == self.pair(i)).collect()
            }
        };
        all.into_iter().filter(|j| *j != i && self.kept(*j)).collect()
    }

    /// Similarity of two rows and the magnitude of its terms.
    fn similarity(&self, i: usize, j: usize) -> (f64, f64) {
        let (mut s, mut mag) = (0.0, 0.0);
        for (x, y) in self.z(i).iter().zip(self.z(j)) {
            s += x * y / self.tau;
            mag += (x * y / self.tau).abs();
        }
        (s, mag)
    }

    /// Log-sum-exp over the others of `i`. An exponent's error moves the result by its share, so
    /// the magnitude is the mean of the exponents' own.
    pub fn row(&self, i: usize) -> Row {
        let s: Vec<(f64, f64)> = self.others(i).iter().map(|j| self.similarity(i, *j)).collect();
        let top = s.iter().fold(f64::NEG_INFINITY, |t, (s, _)| t.max(*s));
        let (mut sum, mut spread) = (0.0, 0.0);
        for (s, mag) in s {
            let e = (s - top).exp();
            sum += e;
            spread += e * (1.0 + mag + top.abs());
        }
        let lse = top + sum.ln();
        Row { lse, mag: spread / sum + lse.abs() }
    }

    /// The rows' log-sum-exps; nothing where the row is no anchor.
    pub fn rows(&self) -> Vec<Option<Row>> {
        (0..2 * self.n()).map(|i| self.kept(i).then(|| self.row(i))).collect()
    }

    /// Mean over the anchors of (log-sum-exp - positive).
    pub fn loss(&self, rows: &[Option<Row>]) -> Out {
        let (mut value, mut mag) = (0.0, 0.0);
        let count = self.anchors();
        for (i, row) in rows.iter().enumerate() {
            let Some(row) = row else { continue };
            let (s, s_mag) = self.similarity(i, self.pair(i));
            value += (row.lse - s) / count as f64;
            mag += (row.mag + s_mag) / count as f64;
        }
        Out { value: vec![value], mag: vec![mag] }
    }

    /// `g` times the loss's derivative with respect to the rows that `wanted` names, in their
    /// order; from d loss / d s_ij = (p_ij - [j is i's pair]) / anchors.
    pub fn gradient(&self, rows: &[Option<Row>], g: f64, wanted: &[usize]) -> Out {
        let mut place = vec![usize::MAX; 2 * self.n()];
        wanted.iter().enumerate().for_each(|(at, row)| place[*row] = at);
        let mut value = vec![0.0; wanted.len() * self.d];
        let mut mag = vec![0.0; wanted.len() * self.d];
        let scale = g / self.anchors() as f64 / self.tau;
        for (i, row) in rows.iter().enumerate() {
            let Some(row) = row else { continue };
            for j in self.others(i) {
                if place[i] == usize::MAX && place[j] == usize::MAX {
                    continue;
                }
                let (s, s_mag) = self.similarity(i, j);
                let p = (s - row.lse).exp();
                let positive = if j == self.pair(i) { 1.0 } else { 0.0 };
                let ds = scale * (p - positive);
                let ds_mag = scale.abs() * (p * (1.0 + s_mag + row.mag) + positive);
                for (to, from) in [(i, j), (j, i)] {
                    if place[to] == usize::MAX {
                        continue;
                    }
                    for (c, z) in self.z(from).iter().enumerate() {
                        value[place[to] * self.d + c] += ds * z;
                        mag[place[to] * self.d + c] += ds_mag * z.abs();
                    }
                }
            }
        }
        Out { value, mag }
    }
}

#[cfg(test)]
mod tests {
    use super::{Negatives, Problem};

    const ALL: [Negatives; 3] = [Negatives::Joint, Negatives::ExcludeImage, Negatives::PerPosition];

    /// Two images of one position, D = 1, tau = 1: a = (1, 0), b = (1, 2).
    /// s of row a0: b0 1 (pair), a1 0, b1 2; of b0 the same; of a1: all 0; of b1: a0 2, b0 2, a1 0.
    #[test]
    fn by_hand() {
        let e = std::f64::consts::E;
        let a0 = (e + 1.0 + e * e).ln() - 1.0;
        let a1 = 3f64.ln();
        let b1 = (2.0 * e * e + 1.0).ln();
        for negatives in ALL {
            let p = problem(&[1.0, 0.0], &[1.0, 2.0], 1, 1, negatives, None);
            let loss = p.loss(&p.rows()).value[0];
            assert!((loss - (2.0 * a0 + a1 + b1) / 4.0).abs() < 1e-12, "{negatives:?} {loss}");
        }
        // As one image of two positions, nobody has another image or another of its position.
        for negatives in [Negatives::ExcludeImage, Negatives::PerPosition] {
            let p = problem(&[1.0, 0.0], &[1.0, 2.0], 1, 2, negatives, None);
            assert_eq!(p.loss(&p.rows()).value[0], 0.0);
        }
        let p = problem(&[1.0, 0.0], &[1.0, 2.0], 1, 1, Negatives::Joint, Some(vec![0.0, 1.0]));
        assert_eq!(p.loss(&p.rows()).value[0], 0.0);
        let p = problem(&[1.0, 0.0], &[1.0, 2.0], 1, 1, Negatives::Joint, Some(vec![0.0, 0.0]));
        assert_eq!(p.loss(&p.rows()).value[0], 0.0);
        assert_eq!(p.gradient(&p.rows(), 1.0, &[0, 1]).value, [0.0, 0.0]);
    }

    fn problem(
        a: &[f64],
        b: &[f64],
        d: usize,
        positions: usize,
        negatives: Negatives,
        valid: Option<Vec<f64>>,
    ) -> Problem {
        Problem { a: a.to_vec(), b: b.to_vec(), d, tau: 1.0, positions, negatives, valid }
    }

    #[test]
    fn gradient_is_the_derivative() {
        let (images, positions, d) = (3, 2, 3);
        let n = images * positions;
        let x = crate::harness::wide(&crate::harness::fill(2 * n * d, 3));
        for negatives in ALL {
            for valid in [None, Some(vec![1.0, 0.0, 1.0, 1.0, 1.0, 1.0])] {
                let at = |x: &[f64]| {
                    let (a, b) = x.split_at(n * d);
                    let mut p = problem(a, b, d, positions, negatives, valid.clone());
                    p.tau = 0.4;
                    p
                };
                let p = at(&x);
                let wanted: Vec<usize> = (0..2 * n).collect();
                let analytic = p.gradient(&p.rows(), 1.7, &wanted).value;
                for i in 0..x.len() {
                    let moved = |h: f64| {
                        let mut x = x.clone();
                        x[i] += h;
                        let p = at(&x);
                        1.7 * p.loss(&p.rows()).value[0]
                    };
                    let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    let error = (numeric - analytic[i]).abs();
                    assert!(error < 1e-8, "{negatives:?} [{i}] {numeric} {}", analytic[i]);
                }
            }
        }
    }
}
