//! Message sizes: fixed, one of several, or log-normal. Pure.
//!
//! A message's size is a function of the run's seed, the connection and the message number. So a
//! run is reproducible, and no sizes are stored.

use std::fmt;

use corelane::config::units;

use crate::stats::{Random, float, mix};

/// The largest message in bytes. Keeps sums within 64 bits; no message is ever held whole.
pub(crate) const SIZE_MAX: u64 = 1 << 30;

/// A distribution of message lengths in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sizes {
    /// One size for all messages.
    Fixed(u64),
    /// Several sizes, each with a share.
    Choice(Vec<(u64, f64)>),
    /// Log-normal: the median, and the standard deviation of the natural logarithm.
    LogNormal { median: u64, sigma: f64 },
}

impl Sizes {
    /// `64`, `1k`, `64:90,16k:10` or `lognormal:1k,2`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("lognormal:") {
            return log_normal(rest);
        }
        if !text.contains([':', ',']) {
            return bytes(text).map(Self::Fixed);
        }
        let mut choices = Vec::new();
        for part in text.split(',') {
            let Some((size, share)) = part.split_once(':') else {
                return Err(format!("{part:?} has no share: write 64:90,16k:10"));
            };
            let share: f64 = share.parse().unwrap_or(f64::NAN);
            if !(share.is_finite() && share > 0.0) {
                return Err(format!("the share of {part:?} is not a number above 0"));
            }
            choices.push((bytes(size)?, share));
        }
        Ok(Self::Choice(choices))
    }

    /// The size of a message.
    pub(crate) fn of(&self, seed: u64, message: u64) -> u64 {
        match self {
            Self::Fixed(size) => *size,
            Self::Choice(choices) => choose(choices, random(seed, message).unit()),
            Self::LogNormal { median, sigma } => {
                let value = float(*median) * (sigma * normal(&mut random(seed, message))).exp();
                within(value)
            }
        }
    }

    /// The mean size in bytes, without the cut at [`SIZE_MAX`].
    pub(crate) fn mean(&self) -> f64 {
        match self {
            Self::Fixed(size) => float(*size),
            Self::Choice(choices) => {
                let total: f64 = choices.iter().map(|(_, share)| share).sum();
                choices
                    .iter()
                    .map(|(size, share)| float(*size) * share / total)
                    .sum()
            }
            Self::LogNormal { median, sigma } => float(*median) * (sigma * sigma / 2.0).exp(),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Choice(choices) => {
                for (place, (size, share)) in choices.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma}{size}:{share}")?;
                }
                Ok(())
            }
            Self::LogNormal { median, sigma } => write!(f, "lognormal:{median},{sigma}"),
        }
    }
}

fn log_normal(text: &str) -> Result<Sizes, String> {
    let form = "write lognormal:MEDIAN,SIGMA, e.g. lognormal:1k,2";
    let (median, sigma) = text.split_once(',').ok_or(form)?;
    let sigma: f64 = sigma.parse().map_err(|_| form)?;
    // Above 5 the mean is 268,000 times the median: unlike any traffic.
    if !(0.0..=5.0).contains(&sigma) {
        return Err("the deviation of the logarithm is from 0 to 5".to_owned());
    }
    let median = bytes(median)?;
    Ok(Sizes::LogNormal { median, sigma })
}

/// Bytes, with a unit or without.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let size = match plain {
        true => (units::SIZE.read)(&format!("{text}B")),
        false => (units::SIZE.read)(text),
    };
    match size {
        None => Err(format!("write bytes, or {}, e.g. 16KiB", units::SIZE.form)),
        Some(0) => Err("a message has at least one byte".to_owned()),
        Some(size) if size > SIZE_MAX => Err("a message has at most 1GiB".to_owned()),
        Some(size) => Ok(size),
    }
}

fn random(seed: u64, message: u64) -> Random {
    Random::new(mix(seed ^ mix(message)))
}

fn choose(choices: &[(u64, f64)], unit: f64) -> u64 {
    let total: f64 = choices.iter().map(|(_, share)| share).sum();
    let mut left = unit * total;
    for (size, share) in choices {
        if left < *share {
            return *size;
        }
        left -= share;
    }
    // Reached only through rounding.
    choices.last().map_or(1, |(size, _)| *size)
}

/// A standard normal number (Box and Muller 1958).
fn normal(random: &mut Random) -> f64 {
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.unit()).cos()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and cut to the range"
)]
fn within(value: f64) -> u64 {
    (value.round() as u64).clamp(1, SIZE_MAX)
}

#[cfg(test)]
mod tests {
    use super::{Sizes, bytes};
    use crate::stats::float;

    #[test]
    fn one_size() {
        for (text, size) in [
            ("1", 1),
            ("64", 64),
            ("1k", 1024),
            ("16KiB", 16_384),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
            assert_eq!(Sizes::parse(text), Ok(Sizes::Fixed(size)));
        }
        let form = "write bytes, or a number and a unit (B, KiB, MiB, GiB), e.g. 16KiB";
        for (text, message) in [
            ("64kB", form),
            ("", form),
            ("0", "a message has at least one byte"),
            ("2GiB", "a message has at most 1GiB"),
        ] {
            assert_eq!(bytes(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn errors_show_the_correct_form() {
        for (text, message) in [
            ("64:90,16k", "\"16k\" has no share: write 64:90,16k:10"),
            ("64:x", "the share of \"64:x\" is not a number above 0"),
            ("64:0", "the share of \"64:0\" is not a number above 0"),
            ("64:inf", "the share of \"64:inf\" is not a number above 0"),
            (
                "lognormal:1k",
                "write lognormal:MEDIAN,SIGMA, e.g. lognormal:1k,2",
            ),
            (
                "lognormal:1k,9",
                "the deviation of the logarithm is from 0 to 5",
            ),
            ("lognormal:0,1", "a message has at least one byte"),
        ] {
            assert_eq!(Sizes::parse(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn shares_are_kept() {
        let sizes = Sizes::parse("64:90,16k:10").unwrap();
        let large = (0..100_000).filter(|n| sizes.of(1, *n) == 16_384).count();
        assert!((9_500..10_500).contains(&large), "{large}");
        assert!((0..100_000).all(|n| [64, 16_384].contains(&sizes.of(1, n))));
        assert!((sizes.mean() - 1696.0).abs() < 1e-6, "{}", sizes.mean());
        assert_eq!(sizes.to_string(), "64:90,16384:10");
    }

    #[test]
    fn a_log_normal_size_has_its_median_and_its_mean() {
        let sizes = Sizes::parse("lognormal:1k,1").unwrap();
        let mut all: Vec<u64> = (0..100_000).map(|n| sizes.of(7, n)).collect();
        all.sort_unstable();
        assert!((1000..1050).contains(&all[50_000]), "{}", all[50_000]);
        // One standard deviation above the median: a factor of e.
        assert!((2700..2870).contains(&all[84_134]), "{}", all[84_134]);
        let mean = float(all.iter().sum()) / 1e5;
        assert!((mean / sizes.mean() - 1.0).abs() < 0.03, "{mean}");
    }

    #[test]
    fn the_same_message_has_the_same_length_always() {
        let sizes = Sizes::parse("lognormal:1k,2").unwrap();
        assert_eq!(sizes.of(1, 5), sizes.of(1, 5));
        assert!((0..100).any(|n| sizes.of(1, n) != sizes.of(2, n)));
    }
}
