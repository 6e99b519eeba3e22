//! Figures for people: three digits and a unit. Used by the text, the live view and the report, so
//! that a figure has the same form everywhere. Pure.

use std::time::Duration;

use corelane::config::units;

/// As many digits as a histogram keeps.
const DIGITS: usize = 3;

/// The text for a figure that was not measured, or not supported by the sample.
pub(crate) const NONE: &str = "n/a";

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A duration in nanoseconds.
    Time,
    /// Nanoseconds since the start of the measured time.
    Moment,
    /// Events a second.
    Rate,
    /// Bytes of memory.
    Memory,
    /// Bytes a second.
    Throughput,
    /// Busy processors.
    Cores,
    /// A number of events.
    Count,
    /// A ratio.
    Ratio,
    /// Percent.
    Percent,
    /// The reciprocal of the share above: 100 is the 99th percentile.
    OneOf,
}

impl Unit {
    /// The value as text.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Time => time(value),
            Self::Moment => format!("{:.1} s", value / 1e9),
            Self::Rate => rate(value),
            Self::Memory => memory(value),
            Self::Throughput => throughput(value),
            Self::Cores => cores(value),
            Self::Count => grouped(whole(value)),
            Self::Ratio => ratio(value),
            Self::Percent => format!("{} %", number(value)),
            Self::OneOf => percentile(value),
        }
    }
}

/// A duration in nanoseconds: `999 ns`, `12.3 µs`, `1.23 ms`, `61.0 s`.
pub(crate) fn time(nanos: f64) -> String {
    scaled(
        nanos,
        &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")],
        " ",
    )
}

/// A long duration in nanoseconds: `1.23 s`.
pub(crate) fn seconds(nanos: f64) -> String {
    format!("{} s", number(nanos / 1e9))
}

/// Busy processors: `0.42 cores`.
pub(crate) fn cores(cores: f64) -> String {
    format!("{} cores", number(cores))
}

/// Memory in bytes: `17.0 MiB`.
pub(crate) fn memory(bytes: f64) -> String {
    let units = [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"), (1.0, "B")];
    scaled(bytes, &units, " ")
}

/// Throughput in bytes a second, in powers of ten as usual for networks: `1.25 GB/s`.
pub(crate) fn throughput(bytes_per_second: f64) -> String {
    let units = [(1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")];
    scaled(bytes_per_second, &units, " ")
}

/// A number in short form: `80`, `80.5k`, `1.2M`.
pub(crate) fn short(number: f64) -> String {
    scaled(number, &[(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")], "")
}

/// A number with three digits, or more if large: `0.0123`, `1.23`, `12.3`, `12345`.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        small if small < 0.01 => DIGITS + 1,
        small if small < 0.1 => DIGITS,
        below_10 if below_10 < 9.995 => DIGITS - 1,
        below_100 if below_100 < 99.95 => DIGITS - 2,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// A rate with all digits: `81,234/s`.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        few if few < 100.0 => format!("{}/s", number(few)),
        many => format!("{}/s", grouped(whole(many))),
    }
}

/// A ratio: `1.23×`.
pub(crate) fn ratio(ratio: f64) -> String {
    format!("{}×", number(ratio))
}

/// The value as text, or [`NONE`].
pub(crate) fn maybe<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), show)
}

/// A duration in the form of an argument: `1s`, `200ms`.
pub(crate) fn asked(nanos: u64) -> String {
    (units::DURATION.show)(Duration::from_nanos(nanos))
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `99.9%` for a value of 1000.
fn percentile(one_of: f64) -> String {
    let percent = 100.0 - 100.0 / one_of;
    // One decimal, and one more for each nine after the second.
    let nines = one_of.log10() + 1e-9;
    let more = (3..=12_u8)
        .take_while(|nine| f64::from(*nine) <= nines)
        .count();
    format!("{}%", trimmed(&format!("{percent:.*}", more + 1)))
}

/// Four decimals, without trailing zeros.
pub(crate) fn plain(value: f64) -> String {
    trimmed(&format!("{value:.4}")).to_owned()
}

/// Digits with a decimal point, without trailing zeros.
pub(crate) fn trimmed(digits: &str) -> &str {
    match digits.trim_end_matches('0').trim_end_matches('.') {
        "" | "-0" => "0",
        trimmed => trimmed,
    }
}

/// The nearest integer.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "below 0 shows as 0, and what does not fit as the largest"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

pub(crate) const KIB: f64 = 1024.0;
pub(crate) const MIB: f64 = 1024.0 * KIB;
pub(crate) const GIB: f64 = 1024.0 * MIB;

/// The value in the largest unit that does not exceed it; largest unit first.
fn scaled(value: f64, units: &[(f64, &str)], blank: &str) -> String {
    let last = units.len() - 1;
    // A value that rounds up to the next unit uses that unit: 999,999 ns is 1.00 ms.
    let fits = |unit: &&(f64, &str)| value.abs() >= unit.0 * 0.9995;
    let (unit, name) = units.iter().find(fits).unwrap_or(&units[last]);
    let value = value / unit;
    let whole = *unit == 1.0 && value.fract() == 0.0;
    let value = match whole {
        true => format!("{value:.0}"),
        false => number(value),
    };
    format!("{value}{blank}{name}")
}

#[cfg(test)]
mod tests {
    use super::{GIB, grouped, maybe, memory, number, rate, ratio, short, throughput, time};

    #[test]
    fn times() {
        for (nanos, text) in [
            (0.0, "0 ns"),
            (1.0, "1 ns"),
            (999.0, "999 ns"),
            (1_000.0, "1.00 µs"),
            (12_345.0, "12.3 µs"),
            (99_960.0, "100 µs"),
            (999_999.0, "1.00 ms"),
            (10_004_000_000.0, "10.0 s"),
            (3_600_000_000_000.0, "3600 s"),
        ] {
            assert_eq!(time(nanos), text);
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(memory(1.5 * GIB), "1.50 GiB");
        assert_eq!(memory(0.0), "0 B");
        assert_eq!(throughput(1_250_000_000.0), "1.25 GB/s");
        for (value, text) in [
            (0.0, "0"),
            (80.0, "80"),
            (80_500.0, "80.5k"),
            (2e6, "2.00M"),
        ] {
            assert_eq!(short(value), text);
        }
        for (value, text) in [
            (0.001_23, "0.0012"),
            (0.123, "0.12"),
            (9.999, "10.0"),
            (0.05, "0.050"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(rate(81_234.4), "81,234/s");
        assert_eq!(rate(1.5), "1.50/s");
        assert_eq!(ratio(0.987), "0.99×");
        assert_eq!(maybe(None, time), "n/a");
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
