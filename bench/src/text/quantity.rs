//! Measured numbers as people read them. Pure.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use corelane::config::units;

/// What there is, or `n/a`.
pub(crate) fn maybe(value: Option<impl Display>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| value.to_string())
}

/// A duration as it was asked for.
pub(crate) fn show(nanos: u64) -> String {
    (units::DURATION.show)(Duration::from_nanos(nanos))
}

/// A measured time, four digits.
pub(crate) struct Nanos(pub(crate) u64);

impl Display for Nanos {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            0..1_000 => return write!(f, "{}ns", self.0),
            1_000..1_000_000 => (1_000, "us"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let (whole, thousandths) = (self.0 / unit, self.0 % unit * 1000 / unit);
        match whole {
            0..10 => write!(f, "{whole}.{thousandths:03}{name}"),
            10..100 => write!(f, "{whole}.{:02}{name}", thousandths / 10),
            _ => write!(f, "{whole}.{}{name}", thousandths / 100),
        }
    }
}

/// Nanoseconds, shown in seconds.
pub(crate) struct Seconds(pub(crate) u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let hundredths = self.0 / 10_000_000;
        write!(f, "{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

/// Nanoseconds, shown in microseconds.
pub(crate) struct Micros(pub(crate) f64);

impl Display for Micros {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0 / 1e3)
    }
}

/// Bytes, shown in millions.
pub(crate) struct Megabytes(pub(crate) f64);

impl Display for Megabytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0 / 1e6)
    }
}

/// Bytes, shown in 2^20.
pub(crate) struct Mebibytes(pub(crate) u64);

impl Display for Mebibytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tenths = u128::from(self.0) * 10 / (1 << 20);
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

/// A number without digits behind the point.
pub(crate) struct Rounded(pub(crate) f64);

impl Display for Rounded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
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

#[cfg(test)]
mod tests {
    use super::{Mebibytes, Nanos, Seconds, grouped};

    #[test]
    fn numbers() {
        for (nanos, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_000, "1.000us"),
            (12_345, "12.34us"),
            (999_999, "999.9us"),
            (1_000_000, "1.000ms"),
            (10_004_000_000, "10.00s"),
            (3_600_000_000_000, "3600.0s"),
        ] {
            assert_eq!(Nanos(nanos).to_string(), text);
        }
        assert_eq!(Seconds(1_230_000_000).to_string(), "1.23");
        assert_eq!(Mebibytes(1_572_864).to_string(), "1.5");
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
