//! Histograms of times and sizes with a single layout: powers of two, each in four parts.
//!
//! A quantile is at most a quarter of its value too large. Prometheus gets the powers of four, and
//! these are edges of the layout: the counts of an exposed bucket are exact.

use std::sync::OnceLock;

use super::counter::Counter;

/// Buckets of 1 to 4, and four for each power of two up to 2^40, and one above.
const BUCKETS: usize = 157;
/// Buckets that are allocated together: a factor of 16 between the least and the largest value.
const CHUNK: usize = 16;
const CHUNKS: usize = BUCKETS.div_ceil(CHUNK);
/// 2^40 microseconds are 12 days, and 2^40 bytes are a TiB. Larger values share the last bucket.
const LARGEST: u64 = 1 << 40;

/// The counts of values by size, with one writing thread. Memory follows use: the values of a place
/// seldom differ by a factor above 256, which is two chunks or 256 bytes.
#[derive(Debug, Default)]
pub struct Histogram {
    chunks: [OnceLock<Box<[Counter; CHUNK]>>; CHUNKS],
    sum: Counter,
    max: Counter,
}

impl Histogram {
    /// Counts a value; for the writing thread only. Allocates at the first value of a size.
    pub fn record(&self, value: u64) {
        let bucket = bucket(value);
        let chunk = self.chunks[bucket / CHUNK].get_or_init(Box::default);
        chunk[bucket % CHUNK].add(1);
        self.sum.add(value);
        self.max.raise_to(value);
    }
}

/// The bucket of a value. The largest value of a bucket belongs to it, as in Prometheus.
fn bucket(value: u64) -> usize {
    if value > LARGEST {
        return BUCKETS - 1;
    }
    let below = value.saturating_sub(1);
    let bucket = match below.checked_ilog2() {
        Some(power @ 2..) => u64::from(4 * (power - 1)) + ((below >> (power - 2)) & 3),
        _ => below,
    };
    usize::try_from(bucket).expect("at most 155")
}

/// The largest value of a bucket; `None` for the last bucket.
fn edge(bucket: usize) -> Option<u64> {
    let at = bucket as u64;
    match bucket {
        0..4 => Some(at + 1),
        _ if bucket == BUCKETS - 1 => None,
        _ => Some((5 + at % 4) << (at / 4 - 1)),
    }
}

/// The values of several histograms together, at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Distribution {
    counts: [u64; BUCKETS],
    sum: u64,
    max: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            sum: 0,
            max: 0,
        }
    }
}

impl Distribution {
    /// The sum of histograms.
    pub(crate) fn of<'h>(histograms: impl Iterator<Item = &'h Histogram>) -> Self {
        let mut all = Self::default();
        histograms.for_each(|one| all.add(one));
        all
    }

    /// Adds the values of a histogram.
    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for (own, chunk) in self.counts.chunks_mut(CHUNK).zip(&histogram.chunks) {
            for (own, count) in own
                .iter_mut()
                .zip(chunk.get().into_iter().flat_map(|of| &**of))
            {
                *own += count.value();
            }
        }
        self.sum = self.sum.wrapping_add(histogram.sum.value());
        self.max = self.max.max(histogram.max.value());
    }

    /// The number of values.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all values.
    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// The largest value.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The value that so many thousandths of the values do not exceed, at most a quarter too large;
    /// 0 without values.
    pub(crate) fn quantile(&self, per_mille: u64) -> u64 {
        let wanted = (u128::from(self.count()) * u128::from(per_mille)).div_ceil(1000);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= wanted.max(1) {
                return edge(bucket).map_or(self.max, |edge| edge.min(self.max));
            }
        }
        0
    }

    /// The numbers of values between two powers of four: up to `4^first`, up to each further power,
    /// and above `4^last`.
    pub(crate) fn by_powers_of_four(&self, first: u32, last: u32) -> Vec<u64> {
        let (mut counts, mut begin) = (Vec::new(), 0);
        for power in first..=last {
            let end = bucket(4u64.pow(power)) + 1;
            counts.push(self.counts[begin..end].iter().sum());
            begin = end;
        }
        counts.push(self.counts[begin..].iter().sum());
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{BUCKETS, Distribution, Histogram, LARGEST, bucket, edge};

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut before = 0;
        for at in 0..BUCKETS - 1 {
            let edge = edge(at).unwrap();
            assert_eq!((bucket(before + 1), bucket(edge)), (at, at));
            assert!(edge - before <= 1.max(edge / 4), "{edge}");
            before = edge;
        }
        assert_eq!((before, bucket(0)), (LARGEST, 0));
        assert_eq!(bucket(LARGEST + 1), BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn every_power_of_four_is_an_edge() {
        for power in 0..=20 {
            let value = 4u64.pow(power);
            assert_eq!(edge(bucket(value)), Some(value));
        }
    }

    proptest! {
        #[test]
        fn exposed_counts_are_exact(values: Vec<u32>, shift in 0u32..12, last in 1u32..=20) {
            let histograms = [Histogram::default(), Histogram::default()];
            let values: Vec<u64> = values.iter().map(|value| u64::from(*value) << shift).collect();
            for (value, histogram) in values.iter().zip(histograms.iter().cycle()) {
                histogram.record(*value);
            }
            let all = Distribution::of(histograms.iter());
            assert_eq!(all.count(), values.len() as u64);
            assert_eq!(all.sum(), values.iter().sum::<u64>());
            let counts = all.by_powers_of_four(1, last);
            let mut so_far = 0;
            for (power, count) in (1..=last).zip(&counts) {
                so_far += count;
                let expected = values.iter().filter(|value| **value <= 4u64.pow(power)).count();
                assert_eq!(so_far, expected as u64, "{power}");
            }
            assert_eq!(counts.iter().sum::<u64>(), values.len() as u64);
        }

        #[test]
        fn quantiles_are_at_most_a_quarter_too_large(mut values: Vec<u32>, any in any::<u64>()) {
            let per_mille = any % 1001;
            let histogram = Histogram::default();
            values.iter().for_each(|value| histogram.record((*value).into()));
            values.sort_unstable();
            let rank = (values.len() * usize::try_from(per_mille).unwrap()).div_ceil(1000).max(1);
            let exact = values.get(rank - 1).map_or(0, |value| u64::from(*value));
            let found = Distribution::of([&histogram].into_iter()).quantile(per_mille);
            assert!((exact..=exact + exact / 4 + 1).contains(&found), "{exact} {found}");
        }
    }
}
