//! Durations, sizes and percentages: a number and its unit, "20us", "1.5s", "64KiB", "10%".
//!
//! Pure functions from text to number and back, called by the readers in `value` and by the load
//! client for its arguments. Exact: nothing is rounded, and what does not fit is larger than every
//! limit.

use std::time::Duration;

/// One kind of quoted number: how it is read and shown, and what errors call it.
#[derive(Debug)]
pub struct Quantity<Q: 'static> {
    /// The kind, with its article.
    pub wanted: &'static str,
    /// What it looks like.
    pub form: &'static str,
    /// What a text says; `None` if it says none.
    pub read: fn(&str) -> Option<Q>,
    /// As an operator would write it.
    pub show: fn(Q) -> String,
}

/// How long.
pub const DURATION: Quantity<Duration> = Quantity {
    wanted: "a duration",
    form: "a number and a unit (ns, us, ms, s, m, h, d)",
    read: duration,
    show,
};

/// How many bytes.
pub const SIZE: Quantity<u64> = Quantity {
    wanted: "a size",
    form: "a number and a unit (B, KiB, MiB, GiB)",
    read: size,
    show: |bytes| shown(bytes.into(), SIZES),
};

/// How many of a hundred.
pub const PERCENTAGE: Quantity<u64> = Quantity {
    wanted: "a percentage",
    form: "a whole number and %",
    read: percentage,
    show: |percent| format!("{percent}%"),
};

/// The units of time, in nanoseconds, the largest last.
const TIMES: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The units of size, in bytes, the largest last, and of equals the one to show. "64k" is 65,536
/// as in nginx and HAProxy; "kB" and "MB", which half the world reads as powers of ten, are
/// refused.
const SIZES: &[(&str, u128)] = &[
    ("B", 1),
    ("k", 1 << 10),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("m", 1 << 20),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("g", 1 << 30),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
];

/// The duration that `text` says, `None` if it says none; at most some 584 years.
fn duration(text: &str) -> Option<Duration> {
    let nanos = scaled(text, TIMES)?;
    Some(Duration::from_nanos(
        u64::try_from(nanos).unwrap_or(u64::MAX),
    ))
}

/// The size in bytes that `text` says, `None` if it says none; at most `u64::MAX`.
fn size(text: &str) -> Option<u64> {
    let bytes = scaled(text, SIZES)?;
    Some(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// The percent that `text` says, `None` if it says none; at most `u64::MAX`.
fn percentage(text: &str) -> Option<u64> {
    let number = text.strip_suffix('%')?;
    let whole = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| u64::try_from(digits(number)).unwrap_or(u64::MAX))
}

/// `duration` as an operator would write it, in the largest unit that needs no fraction.
pub(super) fn show(duration: Duration) -> String {
    match duration.as_nanos() {
        0 => "0s".to_owned(),
        nanos => shown(nanos, TIMES),
    }
}

/// `amount` of the smallest of `units` in the largest of them that needs no fraction.
fn shown(amount: u128, units: &[(&str, u128)]) -> String {
    units
        .iter()
        .rev()
        .find(|(_, unit)| amount.is_multiple_of(*unit))
        .map(|(name, unit)| format!("{}{name}", amount / unit))
        .expect("the smallest unit divides every amount")
}

/// `12.5ms` in the smallest of `units`; `None` if it is not that, or no whole number of them.
fn scaled(text: &str, units: &[(&str, u128)]) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, name) = text.split_at(end);
    let (_, unit) = units.iter().find(|(unit, _)| *unit == name)?;

    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction.trim_end_matches('0')),
        None => (number, ""),
    };
    if whole.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole = digits(whole).saturating_mul(*unit);
    let parts = digits(fraction).checked_mul(*unit)?;
    let of = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    (parts % of == 0).then(|| whole.saturating_add(parts / of))
}

/// The value of ASCII digits, or the largest there is; 0 for none.
fn digits(text: &str) -> u128 {
    text.bytes().fold(0, |value: u128, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u128::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DURATION, PERCENTAGE, SIZE, duration, percentage, show, size};

    #[test]
    fn durations() {
        let good = [
            ("0s", 0),
            ("0us", 0),
            ("1ns", 1),
            ("20us", 20_000),
            ("3s", 3_000_000_000),
            ("1.5s", 1_500_000_000),
            ("1.500s", 1_500_000_000),
            ("0.001us", 1),
            ("10m", 600_000_000_000),
            ("24h", 86_400_000_000_000),
            ("1d", 86_400_000_000_000),
            ("007ms", 7_000_000),
        ];
        for (text, nanos) in good {
            assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        let bad = [
            "", "s", "3", "3 s", " 3s", "3s ", "-3s", "+3s", "3S", "3sec", "1h30m", ".5s", "1.s",
            "1.2.3s", "0.0001us", "1e3s", "0x1s", "3µs", "٣s", "1,5s", "inf", ".", "..s",
        ];
        for text in bad {
            assert_eq!(duration(text), None, "{text}");
        }
        let century = duration("36525d").map(|d| d.as_secs());
        assert_eq!(century, Some(36_525 * 86_400));
        for text in ["9999999999d", &format!("{}s", "9".repeat(10_000))] {
            assert_eq!(duration(text), Some(Duration::from_nanos(u64::MAX)));
        }
        assert_eq!(duration(&format!("0.{}1s", "0".repeat(10_000))), None);
    }

    #[test]
    fn sizes() {
        let good = [
            ("0B", 0),
            ("1B", 1),
            ("64KiB", 65_536),
            ("64k", 65_536),
            ("64K", 65_536),
            ("1MiB", 1_048_576),
            ("1.5m", 1_572_864),
            ("2GiB", 2_147_483_648),
            ("99999999999999999999G", u64::MAX),
        ];
        for (text, bytes) in good {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in [
            "", "64", "64kB", "64KB", "1MB", "1TiB", "0.3B", "-1B", "1 MiB",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn shows_what_it_reads() {
        for text in [
            "0s", "1ns", "20us", "1ms", "1500ms", "3s", "10m", "7h", "1d", "90s",
        ] {
            assert_eq!(duration(text).map(show).as_deref(), Some(text));
        }
        assert_eq!(duration("24h").map(show).as_deref(), Some("1d"));
        for text in ["1B", "1023B", "4KiB", "1536KiB", "16MiB", "1GiB", "2048GiB"] {
            assert_eq!(size(text).map(SIZE.show).as_deref(), Some(text));
        }
        for text in ["0%", "7%", "100%"] {
            assert_eq!(percentage(text).map(PERCENTAGE.show).as_deref(), Some(text));
        }
    }

    #[test]
    fn percentages() {
        for (text, percent) in [("0%", 0), ("10%", 10), ("050%", 50), ("1000%", 1000)] {
            assert_eq!(percentage(text), Some(percent), "{text}");
        }
        let endless = format!("{}%", "9".repeat(10_000));
        assert_eq!(percentage(&endless), Some(u64::MAX));
        for text in [
            "", "%", "10", "10 %", "-1%", "+1%", "1.5%", "10%%", "0x1%", "٣%",
        ] {
            assert_eq!(percentage(text), None, "{text}");
        }
    }

    #[test]
    fn the_hints_name_units_that_are_read() {
        let units = |hint: &str| {
            let list = hint.split(['(', ')']).nth(1).unwrap().to_owned();
            list.split(", ")
                .map(|unit| format!("1{unit}"))
                .collect::<Vec<_>>()
        };
        assert!(
            units(DURATION.form)
                .iter()
                .all(|text| duration(text).is_some())
        );
        assert!(units(SIZE.form).iter().all(|text| size(text).is_some()));
    }
}
