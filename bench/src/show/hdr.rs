//! `--hdr PREFIX`: files for HdrHistogram's own tools. `PREFIX.hgrm` is the percentile distribution
//! for its plotter, in milliseconds. `PREFIX.hlog` is a V2 interval log of the measured time, with
//! one interval for each row of the series, in nanoseconds.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};

use super::failure::Failure;
use super::output::Output;
use crate::outcome::{Outcome, Packed, Second};
use crate::stats::float;

/// The default unit of HdrHistogram's tools.
const NANOS_IN_A_MILLISECOND: f64 = 1e6;
/// Lines for each halving of the distance to 100 %: the default of HdrHistogram's tools.
const LINES_A_HALVING: u32 = 5;
/// Counters in a bucket of a histogram with three digits: the next power of two above 2 × 10³.
const SUB_BUCKETS: u32 = 2048;

/// The largest count of a value in an interval: readers in JavaScript use 32 bits.
const COUNT_MAX: u64 = u32::MAX as u64;

/// Both files, opened before the load so that the results cannot get lost.
#[derive(Debug)]
pub(crate) struct HdrFiles {
    distribution: (PathBuf, Output),
    log: (PathBuf, Output),
}

impl HdrFiles {
    /// Opens both files. The old content stays until [`HdrFiles::write`].
    pub(crate) fn open(prefix: &Path) -> Result<Self, Failure> {
        Ok(Self {
            distribution: open(prefix, ".hgrm")?,
            log: open(prefix, ".hlog")?,
        })
    }

    /// Writes the results.
    pub(crate) fn write(self, outcome: &Outcome) -> Result<(), Failure> {
        let times = match outcome.latency.first() {
            Some(first) => first.histogram.clone(),
            // `bulk` has no latencies: both files are valid but empty.
            None => Packed::new(&Histogram::<u64>::new(3).expect("three digits can be kept")),
        };
        let (path, file) = self.distribution;
        let times = times
            .open()
            .map_err(|error| Failure::Histogram(path.clone(), error))?;
        save(&path, file, distribution(&times).as_bytes())?;
        let (path, file) = self.log;
        let log = log(outcome).map_err(|error| Failure::Write(path.clone(), error))?;
        save(&path, file, &log)
    }
}

fn open(prefix: &Path, ending: &str) -> Result<(PathBuf, Output), Failure> {
    let mut path = prefix.as_os_str().to_owned();
    path.push(ending);
    let path = PathBuf::from(path);
    match Output::open(&path) {
        Ok(file) => Ok((path, file)),
        Err(error) => Err(Failure::Write(path, error)),
    }
}

fn save(path: &Path, file: Output, bytes: &[u8]) -> Result<(), Failure> {
    file.write(bytes)
        .map_err(|error| Failure::Write(path.to_owned(), error))
}

/// The same text as `outputPercentileDistribution` of the Java library, column by column.
fn distribution(times: &Histogram<u64>) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let millis = |nanos: f64| nanos / NANOS_IN_A_MILLISECOND;
    let mut total = 0;
    for step in times.iter_quantiles(LINES_A_HALVING) {
        total += step.count_since_last_iteration();
        let value = millis(float(step.value_iterated_to()));
        let quantile = step.quantile_iterated_to();
        _ = write!(text, "{value:>12.3} {quantile:>2.12} {total:>10}");
        _ = match quantile < 1.0 {
            true => writeln!(text, " {:>14.2}", 1.0 / (1.0 - quantile)),
            false => writeln!(text),
        };
    }
    let (mean, deviation) = (millis(times.mean()), millis(times.stdev()));
    let max = millis(float(times.max()));
    let (count, buckets) = (times.len(), times.buckets());
    _ = writeln!(
        text,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    );
    _ = writeln!(
        text,
        "#[Max     = {max:>12.3}, Total count    = {count:>12}]"
    );
    _ = writeln!(
        text,
        "#[Buckets = {buckets:>12}, SubBuckets     = {SUB_BUCKETS:>12}]"
    );
    text
}

/// The measured rows, by their start within the measured time.
fn log(outcome: &Outcome) -> io::Result<Vec<u8>> {
    let before = outcome.series.first().map_or(0, |row| row.start_ns.min(0));
    let began = Duration::from_millis(outcome.started_unix_ms);
    let began = began + Duration::from_nanos(before.unsigned_abs());
    let start = SystemTime::UNIX_EPOCH + began;
    let (mut bytes, mut packing) = (Vec::new(), V2DeflateSerializer::new());
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment("[corelane-bench: latencies in nanoseconds, the column of maxima in ms]")
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(NANOS_IN_A_MILLISECOND)
        .begin_log_with(&mut bytes, &mut packing)?;
    for row in &outcome.series {
        let Some((since, times)) = measured(row)? else {
            continue;
        };
        let parts = parts(times, COUNT_MAX);
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let length = Duration::from_nanos(row.length_ns) / count;
        for (place, part) in (0..count).zip(&parts) {
            let written = log.write_histogram(part, since + length * place, length, None);
            written.map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => {
                    io::Error::other(error.to_string())
                }
            })?;
        }
    }
    Ok(bytes)
}

/// Splits a histogram so that no part counts more than `most` of a value. More than one part occurs
/// only after weeks of load.
fn parts(times: Histogram<u64>, most: u64) -> Vec<Histogram<u64>> {
    let counts = |times: &Histogram<u64>| -> Vec<(u64, u64)> {
        let recorded = times.iter_recorded();
        recorded
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
            .collect()
    };
    let mut parts = Vec::new();
    let mut left = times;
    while counts(&left).iter().any(|(_, count)| *count > most) {
        let mut part = Histogram::new_from(&left);
        for (value, count) in counts(&left) {
            let taken = count.min(most);
            let moved = part.record_n(value, taken);
            moved.expect("a value that the other one has fits the same bounds");
        }
        let rest = left.subtract(&part);
        rest.expect("no more is taken than there is");
        parts.push(part);
    }
    parts.push(left);
    parts
}

/// Start and histogram of a measured row.
fn measured(row: &Second) -> io::Result<Option<(Duration, Histogram<u64>)>> {
    let (Ok(start), Some(packed)) = (u64::try_from(row.start_ns), &row.histogram) else {
        return Ok(None);
    };
    let times = packed.open().map_err(io::Error::other)?;
    Ok(Some((Duration::from_nanos(start), times)))
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::{distribution, parts};

    #[test]
    fn a_large_count_is_split_into_several_intervals() {
        let mut times: Histogram<u64> = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        for (value, count) in [(10, 25), (70_000, 7), (3, 10)] {
            times.record_n(value, count).unwrap();
        }
        assert_eq!(parts(times.clone(), 25).len(), 1);
        let parts = parts(times.clone(), 10);
        let lengths: Vec<u64> = parts.iter().map(Histogram::len).collect();
        assert_eq!(lengths, [27, 10, 5]);
        let mut sum = Histogram::new_from(&times);
        for part in parts {
            let most = part.iter_recorded().map(|step| step.count_at_value()).max();
            assert!(most <= Some(10));
            sum.add(part).unwrap();
        }
        assert_eq!(sum, times);
    }

    #[test]
    fn the_distribution_reads_as_the_java_library_writes_it() {
        let mut times: Histogram<u64> = Histogram::new(3).unwrap();
        for millisecond in 1..=4_u64 {
            times.record(millisecond * 1_000_000).unwrap();
        }
        let text = distribution(&times);
        let lines: Vec<&str> = text.lines().collect();
        let head = "       Value     Percentile TotalCount 1/(1-Percentile)";
        assert_eq!(lines[..2], [head, ""]);
        assert_eq!(
            lines[2],
            "       1.000 0.000000000000          1           1.00"
        );
        assert_eq!(
            lines[7],
            "       2.001 0.500000000000          2           2.00"
        );
        let end = "       4.002 1.000000000000          4";
        assert_eq!(lines[lines.len() - 4], end);
        let mean = "#[Mean    =        2.500, StdDeviation   =        1.118]";
        assert_eq!(lines[lines.len() - 3], mean);
        let max = "#[Max     =        4.002, Total count    =            4]";
        assert_eq!(lines[lines.len() - 2], max);
    }
}
