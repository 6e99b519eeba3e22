//! The rows of the time series, at most [`ROWS_MAX`]. At the limit each pair of rows is merged, and
//! later rows are twice as long.

use crate::outcome::{Packed, Percentiles, Second};
use crate::stats::float;

/// 20 minutes with one row a second, about 1.5 MB.
const ROWS_MAX: usize = 1200;
/// The initial length of a row in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// The rows so far.
#[derive(Debug)]
pub(crate) struct Series {
    rows: Vec<Second>,
    rows_max: usize,
    /// The current length of a row.
    length_ns: u64,
}

impl Series {
    pub(crate) fn new() -> Self {
        Self::holding(ROWS_MAX)
    }

    fn holding(rows_max: usize) -> Self {
        Self {
            rows: Vec::new(),
            rows_max,
            length_ns: SECOND,
        }
    }

    /// Adds an ended row.
    pub(crate) fn push(&mut self, row: Second) {
        match self.rows.last_mut() {
            Some(last) if last.length_ns + row.length_ns <= self.length_ns => merge(last, &row),
            _ => self.rows.push(row),
        }
        if self.rows.len() >= self.rows_max {
            self.length_ns *= 2;
            let mut merged: Vec<Second> = Vec::with_capacity(self.rows_max);
            for row in self.rows.drain(..) {
                match merged.last_mut() {
                    Some(last) if last.length_ns + row.length_ns <= self.length_ns => {
                        merge(last, &row);
                    }
                    _ => merged.push(row),
                }
            }
            self.rows = merged;
        }
    }

    pub(crate) fn rows(self) -> Vec<Second> {
        self.rows
    }
}

/// Merges a row with the next row.
fn merge(row: &mut Second, next: &Second) {
    let (a, b) = (float(row.length_ns), float(next.length_ns));
    let mean = |x: f64, y: f64| (x * a + y * b) / (a + b).max(1.0);
    row.rate = mean(row.rate, next.rate);
    row.sent_bytes_per_second = mean(row.sent_bytes_per_second, next.sent_bytes_per_second);
    row.received_bytes_per_second = mean(
        row.received_bytes_per_second,
        next.received_bytes_per_second,
    );
    let both = |x: Option<f64>, y: Option<f64>| x.zip(y).map(|(x, y)| mean(x, y));
    row.generator_cores = both(row.generator_cores, next.generator_cores);
    row.server_cores = both(row.server_cores, next.server_cores);
    row.length_ns += next.length_ns;
    row.errors += next.errors;
    row.connections = next.connections;
    row.server_rss_bytes = next.server_rss_bytes;
    let open = |packed: &Packed| packed.open().expect("what was packed here can be opened");
    match (&row.histogram, &next.histogram) {
        (_, None) => {}
        (None, Some(_)) => {
            row.histogram.clone_from(&next.histogram);
            row.latency = next.latency.clone();
        }
        (Some(first), Some(second)) => {
            let mut times = open(first);
            times.add(open(second)).expect("all have the same bounds");
            row.latency = Percentiles::new(&times);
            row.histogram = Some(Packed::new(&times));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SECOND, Series};
    use crate::outcome::{self, Packed, Percentiles, Second};

    fn second(number: u32) -> Second {
        let mut times = outcome::histogram();
        times.record_n(u64::from(number) + 1, 20).unwrap();
        Second {
            start_ns: i64::from(number) * 1_000_000_000,
            length_ns: SECOND,
            rate: f64::from(number),
            sent_bytes_per_second: 0.0,
            received_bytes_per_second: 0.0,
            latency: Percentiles::new(&times),
            histogram: Some(Packed::new(&times)),
            errors: 1,
            connections: number,
            generator_cores: Some(0.5),
            server_cores: None,
            server_rss_bytes: Some(u64::from(number)),
        }
    }

    #[test]
    fn a_short_load_has_a_row_a_second() {
        let mut series = Series::holding(8);
        for number in 0..7 {
            series.push(second(number));
        }
        let rows = series.rows();
        assert_eq!(rows, (0..7).map(second).collect::<Vec<_>>());
    }

    #[test]
    fn a_long_load_has_longer_rows_and_loses_nothing() {
        let mut series = Series::holding(8);
        for number in 0..100 {
            series.push(second(number));
            assert!(series.rows.len() < 8, "{number}");
        }
        let rows = series.rows();
        assert_eq!(
            rows.iter().map(|row| row.length_ns).sum::<u64>(),
            100 * SECOND
        );
        assert_eq!(rows.iter().map(|row| row.errors).sum::<u64>(), 100);
        let samples = rows
            .iter()
            .map(|row| row.histogram.as_ref().unwrap().open().unwrap().len());
        assert_eq!(samples.sum::<u64>(), 2000);
        let mut start = 0;
        for row in &rows {
            assert_eq!(row.start_ns, start);
            start += i64::try_from(row.length_ns).unwrap();
        }
        let last = rows.last().unwrap();
        assert_eq!((last.connections, last.server_rss_bytes), (99, Some(99)));
        assert_eq!(last.latency.p50.map(|p50| p50 > 90), Some(true), "{last:?}");
    }
}
