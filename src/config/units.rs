//! Durations, sizes and percentages: a number and its unit, "20us", "1h30m", "64KiB", "10%".
//!
//! One rule: a text with one meaning is accepted, in one spelling or in the few spellings of
//! similar servers. A text with two meanings ("64KB") or a different spelling ("5 minutes") is
//! refused, and the error shows the accepted spelling.
//!
//! Pure functions from text to number and back, called by the readers in `value` and by the load
//! client for its arguments. Exact: nothing is rounded, and a number too large to store counts as
//! larger than every limit.

use std::time::Duration;

/// A kind of quoted number: how to read and show it, and its name in errors.
#[derive(Debug)]
pub struct Quantity<Q: 'static> {
    /// The kind, with an article.
    pub wanted: &'static str,
    /// The accepted form.
    pub form: &'static str,
    /// The value of a text; `None` for an invalid text.
    pub read: fn(&str) -> Option<Q>,
    /// The probable meaning of an invalid text, to show in an error.
    pub meant: fn(&str) -> Option<Meant>,
    /// The value in an operator's spelling.
    pub show: fn(Q) -> String,
}

/// The accepted spelling for a refused text.
#[derive(Debug, PartialEq, Eq)]
pub struct Meant {
    /// The reason why the text is ambiguous, if it is.
    pub why: Option<&'static str>,
    /// The text to write instead.
    pub write: String,
}

/// A length of time.
pub const DURATION: Quantity<Duration> = Quantity {
    wanted: "a duration",
    form: "a number and a unit (ns, us, ms, s, m, h, d)",
    read: duration,
    meant: duration_meant,
    show,
};

/// A number of bytes.
pub const SIZE: Quantity<u64> = Quantity {
    wanted: "a size",
    form: "a number and a unit (B, KiB, MiB, GiB)",
    read: size,
    meant: size_meant,
    show: |bytes| shown(bytes.into(), SIZES),
};

/// A share in hundredths.
pub const PERCENTAGE: Quantity<u64> = Quantity {
    wanted: "a percentage",
    form: "a whole number and %",
    read: percentage,
    meant: |_| None,
    show: |percent| format!("{percent}%"),
};

/// The units of time, in nanoseconds, the largest last; of equal units the last is shown.
const TIMES: &[(&str, u128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("sec", 1_000_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The units of size, in bytes, the largest last; of equal units the last is shown. "64k" is
/// 65,536, as in nginx and HAProxy. "kB" and "MB" are refused, since many people read them as
/// powers of ten.
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

/// Spellings of the units of time that are refused, with the accepted spelling.
const OTHER_TIMES: &[(&str, &str)] = &[
    ("ns", "nsec nanosecond nanoseconds"),
    ("us", "\u{b5}s \u{3bc}s usec microsecond microseconds"),
    ("ms", "msec msecs millis millisecond milliseconds"),
    ("s", "secs second seconds"),
    ("m", "mins minute minutes"),
    ("h", "hr hrs hour hours"),
    ("d", "day days"),
];

/// The duration in `text`, `None` if invalid; at most some 584 years.
///
/// A number with its unit, or several without fractions, from the largest unit to the smallest.
fn duration(text: &str) -> Option<Duration> {
    let mut nanos: u128 = 0;
    let mut unit_before = None;
    let mut rest = text;
    loop {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = &rest[unit_at..];
        let unit_end = unit
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |length| unit_at + length);
        let (piece, behind) = rest.split_at(unit_end);
        let unit = unit_of(&piece[unit_at..], TIMES)?;
        let several = unit_before.is_some() || !behind.is_empty();
        if unit_before.is_some_and(|before| before <= unit) || several && piece.contains('.') {
            return None;
        }
        nanos = nanos.saturating_add(scaled(piece, TIMES)?);
        if behind.is_empty() {
            break;
        }
        (unit_before, rest) = (Some(unit), behind);
    }
    Some(Duration::from_nanos(
        u64::try_from(nanos).unwrap_or(u64::MAX),
    ))
}

/// The probable duration of a text with words or spaces.
fn duration_meant(text: &str) -> Option<Meant> {
    if text.len() > MEANT_BYTES_MAX {
        return None;
    }
    let text: String = text.to_lowercase().split_whitespace().collect();
    let mut respelled = String::new();
    let mut rest = text.as_str();
    while let Some(unit_at) = rest.find(|c: char| !c.is_ascii_digit() && c != '.') {
        let (number, behind) = rest.split_at(unit_at);
        let end = behind.find(|c: char| c.is_ascii_digit());
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        let other = OTHER_TIMES
            .iter()
            .find(|(_, words)| words.split(' ').any(|word| word == unit));
        respelled.push_str(number);
        respelled.push_str(other.map_or(unit, |(unit, _)| unit));
        rest = behind;
    }
    respelled.push_str(rest);
    let write = show(duration(&respelled)?);
    Some(Meant { why: None, write })
}

/// The probable size of a text.
fn size_meant(text: &str) -> Option<Meant> {
    if text.len() > MEANT_BYTES_MAX {
        return None;
    }
    let text: String = text.to_lowercase().split_whitespace().collect();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(unit_at);
    let (why, unit) = match unit {
        "kb" | "mb" | "gb" => (Some(TWO_SIZES), &unit[..1]),
        "kib" | "mib" | "gib" => (None, &unit[..1]),
        "k" | "m" | "g" => (None, unit),
        "b" | "byte" | "bytes" => (None, "B"),
        _ => return None,
    };
    let write = (SIZE.show)(size(&format!("{number}{unit}"))?);
    Some(Meant { why, write })
}

/// Longer texts get no advice.
const MEANT_BYTES_MAX: usize = 64;
/// The error in "64KB".
const TWO_SIZES: &str = "KB, MB and GB count by 1000 to some and by 1024 to others";

/// The size in bytes in `text`, `None` if invalid; at most `u64::MAX`.
fn size(text: &str) -> Option<u64> {
    let bytes = scaled(text, SIZES)?;
    Some(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// The percent in `text`, `None` if invalid; at most `u64::MAX`.
fn percentage(text: &str) -> Option<u64> {
    let number = text.strip_suffix('%')?;
    let whole = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    whole.then(|| u64::try_from(digits(number)).unwrap_or(u64::MAX))
}

/// `duration` in an operator's spelling, in the largest unit without a fraction.
pub(super) fn show(duration: Duration) -> String {
    match duration.as_nanos() {
        0 => "0s".to_owned(),
        nanos => shown(nanos, TIMES),
    }
}

/// `amount` of the smallest of `units` in the largest unit without a fraction.
fn shown(amount: u128, units: &[(&str, u128)]) -> String {
    units
        .iter()
        .rev()
        .find(|(_, unit)| amount.is_multiple_of(*unit))
        .map(|(name, unit)| format!("{}{name}", amount / unit))
        .expect("the smallest unit divides every amount")
}

/// `12.5ms` in the smallest of `units`; `None` for an invalid text, or without a whole number of
/// units.
fn scaled(text: &str, units: &[(&str, u128)]) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, name) = text.split_at(end);
    let unit = &unit_of(name, units)?;

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

/// The named unit's size in the smallest of `units`.
fn unit_of(name: &str, units: &[(&str, u128)]) -> Option<u128> {
    let (_, unit) = units.iter().find(|(unit, _)| *unit == name)?;
    Some(*unit)
}

/// The value of ASCII digits, or the maximum; 0 without digits.
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

    use super::{
        DURATION, PERCENTAGE, SIZE, TWO_SIZES, duration, duration_meant, percentage, show, size,
        size_meant,
    };

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
            ("5min", 300_000_000_000),
            ("5sec", 5_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1d0h1min1sec1ms1us1ns", 86_461_001_001_001),
        ];
        for (text, nanos) in good {
            assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        let bad = [
            "", "s", "3", "3 s", " 3s", "3s ", "-3s", "+3s", "3S", "3secs", "30m1h", "1m1m",
            "1m1min", "1.5h30m", "1h1.5m", "1h30", "1hm", ".5s", "1.s", "1.2.3s", "0.0001us",
            "1e3s", "0x1s", "3µs", "٣s", "1,5s", "inf", ".", "..s",
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
    fn other_spellings_are_shown_right() {
        for (text, write) in [
            ("3 s", "3s"),
            ("3S", "3s"),
            (" 10s", "10s"),
            ("5 min", "5m"),
            ("1 hour 30 minutes", "90m"),
            ("2 Days", "2d"),
            ("100 msec", "100ms"),
            ("3\u{b5}s", "3us"),
        ] {
            assert_eq!(duration(text), None, "{text}");
            let meant = duration_meant(text).expect(text);
            assert_eq!((meant.why, meant.write.as_str()), (None, write), "{text}");
        }
        for (text, why, write) in [
            ("64KB", Some(TWO_SIZES), "64KiB"),
            ("64 kB", Some(TWO_SIZES), "64KiB"),
            ("1mb", Some(TWO_SIZES), "1MiB"),
            ("1.5Gb", Some(TWO_SIZES), "1536MiB"),
            ("64 KiB", None, "64KiB"),
            ("64kib", None, "64KiB"),
            ("4096 bytes", None, "4KiB"),
        ] {
            assert_eq!(size(text), None, "{text}");
            let meant = size_meant(text).expect(text);
            assert_eq!((meant.why, meant.write.as_str()), (why, write), "{text}");
        }
        let long = format!("1{} s", " ".repeat(64));
        for text in [
            "",
            "3",
            "s",
            "3 parsecs",
            "-3s",
            "0x1s",
            "1m1m",
            "1,5s",
            &long,
        ] {
            assert_eq!(duration_meant(text), None, "{text}");
        }
        for text in ["", "64", "KB", "64 KBit", "-1KB", "1.0001KB"] {
            assert_eq!(size_meant(text), None, "{text}");
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
