//! Rates as arguments: messages a second. Pure.

/// Messages a second: `500`, `80k`, `1.5M`. `k` is 1000, not 1024.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1e3),
        Some(digits) => (digits, 1e6),
        None => (text, 1.0),
    };
    let plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = digits.parse::<f64>().ok().filter(|_| plain);
    match value.map(|value| value * factor) {
        // No machine handles a message within a nanosecond.
        Some(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("write messages a second, e.g. 500, 80k or 1.5M".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn rates() {
        for (text, value) in [
            ("1", 1.0),
            ("0.5", 0.5),
            ("80k", 80_000.0),
            ("1.5M", 1_500_000.0),
        ] {
            assert_eq!(rate(text), Ok(value), "{text}");
        }
        for text in [
            "", "k", "0", "-1", "1e3", "80K", "80k/s", "inf", "NaN", "9999999M",
        ] {
            let message = "write messages a second, e.g. 500, 80k or 1.5M";
            assert_eq!(rate(text), Err(message.to_owned()), "{text}");
        }
    }
}
