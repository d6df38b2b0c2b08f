//! Scores become verdicts with a known rate of false alarms, by comparison with normal images that
//! were held out (split-conformal p-values; Papadopoulos et al. 2002, Bates et al. 2023).

/// Judges scores by those of held-out normal images.
///
/// If an image is normal and drawn like the held-out ones, its p-value is at most `rate` with a
/// probability of at most `rate`, whatever the distribution of the scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    /// Rising.
    normal: Vec<f32>,
    rate: f64,
}

/// What a score says of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// Share of normal images, this one counted among them, that score at least as high.
    pub p_value: f64,
    /// Whether that is at most the accepted rate of false alarms.
    pub anomalous: bool,
}

impl Judge {
    /// Judges by the scores `normal`, in any order, and accepts false alarms at `rate`, 0 to 1.
    pub fn new(normal: &[f32], rate: f64) -> Self {
        let mut normal = normal.to_vec();
        normal.sort_by(f32::total_cmp);
        Self { normal, rate }
    }

    /// How many of the held-out images and a new one may score as high as an anomalous one does.
    fn allowed(&self) -> usize {
        // A rate such as 0.1 may lie an ulp below the fraction that it stands for.
        (self.rate * (1.0 + 1e-12) * (1 + self.normal.len()) as f64).floor() as usize
    }

    /// The verdict on a score.
    pub fn judge(&self, score: f32) -> Judgement {
        let n = self.normal.len();
        let as_high = 1 + n - self.normal.partition_point(|s| *s < score);
        let p_value = as_high as f64 / (1 + n) as f64;
        Judgement { p_value, anomalous: as_high <= self.allowed() }
    }

    /// The score above which an image is anomalous; none where so few normal images cannot back the
    /// rate.
    pub fn threshold(&self) -> Option<f32> {
        let at = |k| self.normal.len().checked_sub(k);
        match self.allowed() {
            0 => None,
            k => Some(at(k).map_or(f32::NEG_INFINITY, |at| self.normal[at])),
        }
    }

    /// Plain words when there are too few normal images for the rate: nothing would ever be
    /// anomalous.
    pub fn warning(&self) -> Option<String> {
        let (n, needed) = (self.normal.len(), (1.0 / self.rate).ceil() as usize - 1);
        (self.allowed() == 0).then(|| {
            format!(
                "{n} held-out normal images cannot back a false-alarm rate of {}: no image will be \
                 called anomalous; {needed} are needed, or a rate of {:.3} or more",
                self.rate,
                1.0 / (1 + n) as f64
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn p_values_by_hand() {
        let judge = Judge::new(&[3.0, 1.0, 2.0, 2.0], 0.4);
        let p = |score| judge.judge(score).p_value;
        assert_eq!([p(0.0), p(1.5), p(2.0), p(2.5), p(9.0)], [1.0, 0.8, 0.8, 0.4, 0.2]);
        assert_eq!(judge.threshold(), Some(2.0));
        assert!(judge.judge(2.1).anomalous && !judge.judge(2.0).anomalous);
        assert_eq!(judge.warning(), None);
        assert_eq!(
            Judge::new(&[0.0; 9], 0.1).judge(1.0),
            Judgement { p_value: 0.1, anomalous: true }
        );

        let few = Judge::new(&[0.0; 9], 0.05);
        assert!(!few.judge(1e9).anomalous && few.threshold().is_none());
        assert!(few.warning().unwrap().contains("9 held-out normal images"));
        assert!(few.warning().unwrap().contains("19 are needed"));
    }

    proptest! {
        #[test]
        fn threshold_and_p_value_agree(
            normal in prop::collection::vec(-5i8..5, 0..40), score in -6i8..6, rate in 0.01f64..1.0
        ) {
            let normal: Vec<f32> = normal.into_iter().map(f32::from).collect();
            let judge = Judge::new(&normal, rate);
            let above = judge.threshold().is_some_and(|t| f32::from(score) > t);
            prop_assert_eq!(judge.judge(score.into()).anomalous, above);
        }

        /// Each of n + 1 exchangeable scores is judged by the others: at most the rate is refused.
        #[test]
        fn no_more_false_alarms_than_asked(
            all in prop::collection::vec(-20i8..20, 2..60), rate in 0.01f64..0.9
        ) {
            let all: Vec<f32> = all.into_iter().map(f32::from).collect();
            let alarm = |i: usize| {
                let others = [&all[..i], &all[i + 1..]].concat();
                Judge::new(&others, rate).judge(all[i]).anomalous
            };
            let alarms = (0..all.len()).filter(|i| alarm(*i)).count();
            prop_assert!(alarms as f64 <= rate * all.len() as f64 + 1e-9);
        }
    }
}
