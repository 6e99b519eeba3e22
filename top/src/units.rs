//! Numbers as people read them, in the spelling of `corelane ctl`.

/// `120ms`, `5.3s`, `4m12s`, `3h04m`, `2d03h`
pub(crate) fn time(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms}ms"),
        1..60 => format!("{s}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3600 % 24),
    }
}

/// `120us`, `4.2ms`, then as `time`.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..1000 => format!("{us}us"),
        1000..10_000 => format!("{}.{}ms", us / 1000, us % 1000 / 100),
        _ => time(us / 1000),
    }
}

/// `999`, `12.3KiB`, `1.0GiB`
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = None;
    let mut tenths = u128::from(count) * 10;
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        (tenths, unit) = (tenths / 1024, Some(next));
    }
    match unit {
        None => count.to_string(),
        Some(unit) => format!("{}.{}{unit}", tenths / 10, tenths % 10),
    }
}

/// `1,234,567`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `0`, `0.3`, `12`, `45.1k`, `3.2M` of whatever a second has.
pub(crate) fn rate(per_second: f64) -> String {
    match per_second {
        0.0 => "0".to_owned(),
        r if r < 9.95 => format!("{r:.1}"),
        r if r < 9_999.5 => format!("{r:.0}"),
        r if r < 999_950.0 => format!("{:.1}k", r / 1e3),
        r => format!("{:.1}M", r / 1e6),
    }
}

/// A rate of bytes, without its `/s`.
pub(crate) fn bytes_rate(per_second: f64) -> String {
    bytes(whole(per_second))
}

/// The nearest number; what is below zero is zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and more than u64 holds is shown as its maximum"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::{bytes, grouped, micros, rate, time};

    #[test]
    fn quantities_are_short() {
        for (ms, text) in [
            (999, "999ms"),
            (5_340, "5.3s"),
            (252_000, "4m12s"),
            (11_040_000, "3h04m"),
            (183_600_000, "2d03h"),
        ] {
            assert_eq!(time(ms), text);
        }
        for (us, text) in [
            (7, "7us"),
            (1_250, "1.2ms"),
            (12_345, "12ms"),
            (2_000_000, "2.0s"),
        ] {
            assert_eq!(micros(us), text);
        }
        for (count, text) in [(1023, "1023"), (1024, "1.0KiB"), (u64::MAX, "15.9EiB")] {
            assert_eq!(bytes(count), text);
        }
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        for (number, text) in [
            (0.0, "0"),
            (0.34, "0.3"),
            (9.94, "9.9"),
            (9.96, "10"),
            (9_999.0, "9999"),
            (45_123.0, "45.1k"),
            (3_210_000.0, "3.2M"),
        ] {
            assert_eq!(rate(number), text);
        }
    }
}
