//! A distribution of times: the whole histogram, and the percentiles that the sample supports.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::stats;

/// The upper bound of the histograms.
const TIME_MAX: Duration = Duration::from_secs(3600);
/// Decimal digits of precision.
const DIGITS: u8 = 3;
/// A histogram of nanoseconds. All have the same bounds, so they can be added.
pub(crate) fn histogram() -> Histogram<u64> {
    let high = u64::try_from(TIME_MAX.as_nanos()).expect("an hour fits 64 bits");
    Histogram::new_with_bounds(1, high, DIGITS).expect("the bounds are in order")
}

/// A histogram in HdrHistogram's own compressed form, as in an interval log: V2, deflated, base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed(pub String);

/// The text is no packed histogram.
#[derive(Debug)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a histogram cannot be read: {}", self.0)
    }
}

impl Error for Unreadable {}

impl Packed {
    /// Packs a histogram.
    ///
    /// # Panics
    ///
    /// Never: a write to memory cannot fail.
    #[must_use]
    pub fn new(histogram: &Histogram<u64>) -> Self {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(histogram, &mut bytes)
            .expect("memory takes what is written");
        Self(STANDARD.encode(bytes))
    }

    /// Unpacks the histogram.
    ///
    /// # Errors
    ///
    /// If the text does not come from [`Packed::new`].
    pub fn open(&self) -> Result<Histogram<u64>, Unreadable> {
        let bytes = STANDARD
            .decode(&self.0)
            .map_err(|error| Unreadable(error.to_string()))?;
        Deserializer::new()
            .deserialize(&mut &bytes[..])
            .map_err(|error| Unreadable(error.to_string()))
    }
}

/// The usual percentiles in nanoseconds; `None` where the sample is too small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<u64>,
    /// 10 % of the sample lie above.
    pub p90: Option<u64>,
    /// 1 % of the sample lies above.
    pub p99: Option<u64>,
    /// 0.1 % of the sample lies above.
    #[serde(rename = "p99.9")]
    pub p99_9: Option<u64>,
    /// 0.01 % of the sample lies above.
    #[serde(rename = "p99.99")]
    pub p99_99: Option<u64>,
}

/// A distribution of times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The sample size.
    pub count: u64,
    /// The minimum; `None` for an empty sample.
    pub min: Option<u64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The standard deviation.
    pub deviation: Option<f64>,
    /// The maximum.
    pub max: Option<u64>,
    /// The percentiles.
    #[serde(flatten)]
    pub percentiles: Percentiles,
    /// The whole histogram, with three digits of precision.
    pub histogram: Packed,
}

impl Distribution {
    /// From a histogram of nanoseconds.
    #[must_use]
    pub fn new(times: &Histogram<u64>) -> Self {
        let any = !times.is_empty();
        Self {
            count: times.len(),
            min: any.then(|| times.min()),
            mean: any.then(|| times.mean()),
            deviation: any.then(|| times.stdev()),
            max: any.then(|| times.max()),
            percentiles: Percentiles::new(times),
            histogram: Packed::new(times),
        }
    }
}

impl Percentiles {
    /// All percentiles with their quantiles, lowest first.
    #[must_use]
    pub fn all(&self) -> [(f64, Option<u64>); 5] {
        [
            (0.5, self.p50),
            (0.9, self.p90),
            (0.99, self.p99),
            (0.999, self.p99_9),
            (0.9999, self.p99_99),
        ]
    }

    /// From a histogram of nanoseconds.
    #[must_use]
    pub fn new(times: &Histogram<u64>) -> Self {
        let at = |quantile| stats::supported_quantile(times, quantile);
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
        }
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::{Distribution, Packed};

    #[test]
    fn a_packed_histogram_unpacks_unchanged() {
        let mut times = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        for value in 1..=5000_u64 {
            times.record(value * 777).unwrap();
        }
        let packed = Packed::new(&times);
        // The first bytes of every V2 deflate histogram.
        assert!(packed.0.starts_with("HISTFAAA"), "{packed:?}");
        assert_eq!(packed.open().unwrap(), times);
        let distribution = Distribution::new(&times);
        let text = serde_json::to_string(&distribution).unwrap();
        let back: Distribution = serde_json::from_str(&text).unwrap();
        assert_eq!(back, distribution);
        assert_eq!(distribution.percentiles.p99_99, None);
        assert!(text.contains("\"p99.99\":null"), "{text}");
    }

    #[test]
    fn damaged_text_is_an_error() {
        for text in ["", "HIST", "not base64!", "AAAA"] {
            let error = Packed(text.to_owned()).open().unwrap_err().to_string();
            assert!(error.starts_with("a histogram cannot be read: "), "{error}");
        }
    }

    #[test]
    fn an_empty_sample_has_no_values() {
        let times: Histogram<u64> = Histogram::new_with_bounds(1, 1000, 3).unwrap();
        let none = Distribution::new(&times);
        assert_eq!(
            (none.count, none.min, none.mean, none.max),
            (0, None, None, None)
        );
        assert_eq!(none.percentiles, super::Percentiles::default());
    }
}
