//! Statistics that respect the sample size: percentiles with enough samples above them, and an
//! interval for the median of ratios. Pure.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Samples that must lie above a percentile. With fewer, the value depends on a few outliers.
pub const ABOVE_MIN: u64 = 10;
/// Resamples of the bootstrap: the ends of the interval are exact to a few percent of its width.
const RESAMPLES: usize = 2_000;
/// The fewest ratios for an interval. With five, all lie on one side of the median with a chance of
/// 1 in 16: too much for a confidence of 95 %.
pub const RATIOS_MIN: usize = 6;
/// A fixed seed: equal ratios give equal intervals.
const SEED: u64 = 0x5eed_c0de_1a9e_0001;

/// A median with its interval of 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The median.
    pub median: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies outside the interval.
    #[must_use]
    pub fn excludes(&self, value: f64) -> bool {
        value < self.low || self.high < value
    }
}

/// The value at a quantile, such as 0.99, if at least [`ABOVE_MIN`] samples lie above.
#[must_use]
pub fn supported_quantile(times: &Histogram<u64>, quantile: f64) -> Option<u64> {
    let above = float(times.len()) * (1.0 - quantile);
    // In binary, 1 % of 1,000 samples is slightly less than 10.
    (above + 1e-6 >= float(ABOVE_MIN)).then(|| times.value_at_quantile(quantile))
}

/// The median; `None` for no values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    median_of_sorted(&sorted)
}

/// The median of ratios with its bootstrap interval (percentile method, Efron 1979); `None` for
/// fewer than [`RATIOS_MIN`].
#[must_use]
pub fn median_interval(ratios: &[f64]) -> Option<Interval> {
    if ratios.len() < RATIOS_MIN {
        return None;
    }
    let mut random = Random::new(SEED);
    let mut sample = vec![0.0; ratios.len()];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            for value in &mut sample {
                *value = ratios[random.below(ratios.len())];
            }
            sample.sort_unstable_by(f64::total_cmp);
            median_of_sorted(&sample).unwrap_or(f64::NAN)
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    Some(Interval {
        median: median(ratios)?,
        low: medians[RESAMPLES * 25 / 1000],
        high: medians[RESAMPLES * 975 / 1000],
    })
}

fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        1 => Some(upper),
        _ => Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper)),
    }
}

/// A reproducible pseudorandom generator (splitmix64; Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        let value = mix(self.0);
        self.0 = self.0.wrapping_add(GOLDEN);
        value
    }

    /// Uniform in `0..1`, never 1.
    pub(crate) fn unit(&mut self) -> f64 {
        // A double has 53 bits of precision.
        float(self.next() >> 11) / float(1 << 53)
    }

    fn below(&mut self, count: usize) -> usize {
        let wide = u128::from(self.next()) * count as u128;
        usize::try_from(wide >> 64).expect("less than a usize")
    }
}

/// The increment of splitmix64: 2^64 divided by the golden ratio.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One round of splitmix64: an increment and its finalizer.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[expect(clippy::cast_precision_loss, reason = "what is shown has few digits")]
pub(crate) fn float(amount: u64) -> f64 {
    amount as f64
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::{Random, median, median_interval, supported_quantile};

    #[test]
    fn a_percentile_needs_ten_samples_above_it() {
        for (count, supported) in [
            (0, [false; 4]),
            (19, [false; 4]),
            (20, [true, false, false, false]),
            (99, [true, false, false, false]),
            (100, [true, true, false, false]),
            (999, [true, true, false, false]),
            (1000, [true, true, true, false]),
            (9999, [true, true, true, false]),
            (10_000, [true, true, true, true]),
        ] {
            let mut times = Histogram::new_with_bounds(1, 100_000, 3).unwrap();
            for time in 1..=count {
                times.record(time).unwrap();
            }
            let found = [0.5, 0.9, 0.99, 0.999].map(|q| supported_quantile(&times, q).is_some());
            assert_eq!(found, supported, "{count}");
        }
    }

    #[test]
    fn medians() {
        for (values, middle) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[4.0, 1.0], Some(2.5)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(values), middle);
        }
    }

    #[test]
    fn few_ratios_have_no_interval() {
        assert_eq!(median_interval(&[1.1; 5]), None);
        let same = median_interval(&[1.1; 6]).unwrap();
        assert_eq!((same.low, same.median, same.high), (1.1, 1.1, 1.1));
        assert!(same.excludes(1.0) && !same.excludes(1.1));
    }

    #[test]
    fn the_same_ratios_give_the_same_interval() {
        let ratios = [0.9, 1.2, 1.1, 1.05, 0.95, 1.3, 1.15, 1.0];
        assert_eq!(median_interval(&ratios), median_interval(&ratios));
    }

    /// About 95 % of the intervals must contain the true value.
    #[test]
    fn about_95_percent_of_the_intervals_contain_the_truth() {
        let mut random = Random::new(1);
        let mut covered = 0;
        for _ in 0..100 {
            // A skewed distribution around 1.5, as ratios have.
            let sample: Vec<f64> = (0..21).map(|_| 1.5 * (random.unit() - 0.5).exp()).collect();
            covered += u32::from(!median_interval(&sample).unwrap().excludes(1.5));
        }
        assert!((88..=100).contains(&covered), "{covered} of 100");
    }

    #[test]
    fn a_clear_difference_excludes_1_and_noise_does_not() {
        let better: Vec<f64> = (0..12).map(|i| 1.2 + f64::from(i) * 0.001).collect();
        assert!(median_interval(&better).unwrap().excludes(1.0));
        let equal: Vec<f64> = (0..12).map(|i| 0.95 + f64::from(i) * 0.01).collect();
        assert!(!median_interval(&equal).unwrap().excludes(1.0));
    }

    #[test]
    fn random_numbers_are_even() {
        let mut random = Random::new(7);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[random.below(10)] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.unit())));
    }
}
