//! The axes of a plot: the position of a value, and the labels. Pure.

use crate::text::figures::{self, GIB, KIB, MIB, Unit};

/// The most labels on an axis: more would overlap.
const TICKS_MAX: u32 = 6;
/// The longest axis, in powers of ten, with labels for 2 and 5 times a power.
const DECADES_DETAILED: f64 = 2.6;
/// A minute in nanoseconds.
const MINUTE: f64 = 60e9;
const HOUR: f64 = 60.0 * MINUTE;

/// A grid line of an axis.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) value: f64,
    /// The label; `None` for an unlabelled grid line.
    pub(crate) name: Option<String>,
}

/// A linear or logarithmic axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    unit: Unit,
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    /// A linear axis from 0, for values that people compare by height.
    pub(crate) fn from_zero(unit: Unit, high: f64) -> Self {
        let high = match high > 0.0 {
            true => high * 1.06,
            false => 1.0,
        };
        Self::between(unit, 0.0, high)
    }

    /// A linear axis between two values.
    pub(crate) fn between(unit: Unit, low: f64, high: f64) -> Self {
        let high = match high > low {
            true => high,
            false => low + step(unit, low),
        };
        Self {
            unit,
            low,
            high,
            log: false,
        }
    }

    /// A logarithmic axis, extended to round values. Both ends are above 0.
    pub(crate) fn log(unit: Unit, low: f64, high: f64) -> Self {
        let low = low.max(f64::MIN_POSITIVE);
        let below = round_values(low)
            .filter(|value| *value <= low * 1.001)
            .last();
        let high = high.max(low * 1.5);
        let above = round_values(high).find(|value| *value >= high * 0.999);
        Self {
            unit,
            low: below.unwrap_or(low),
            high: above.unwrap_or(high),
            log: true,
        }
    }

    /// The percentiles of `count` samples on HdrHistogram's axis: each further nine has the same
    /// width.
    pub(crate) fn percentiles(count: f64) -> Self {
        Self {
            unit: Unit::OneOf,
            low: 1.0,
            high: count.max(10.0),
            log: true,
        }
    }

    pub(crate) fn unit(&self) -> Unit {
        self.unit
    }

    /// The position of a value, from 0 at the low end to 1 at the high end. Values outside have the
    /// position of the nearer end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let place = match self.log {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        place.clamp(0.0, 1.0)
    }

    /// The grid lines, lowest first.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        match self.log {
            true => self.log_ticks(),
            false => self.even_ticks(),
        }
    }

    fn even_ticks(&self) -> Vec<Tick> {
        let unit = step(self.unit, self.high);
        let range = (self.high - self.low) / unit;
        let rough = range / f64::from(TICKS_MAX);
        let power = match (10_f64.powf(rough.log10().floor()), self.unit) {
            (power, Unit::Count) => power.max(1.0),
            (power, _) => power,
        };
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|step| step * power)
            .find(|step| *step >= rough && (self.unit != Unit::Count || step.fract() == 0.0))
            .unwrap_or(10.0 * power)
            * unit;
        let first = (self.low / step).ceil();
        (0..=2 * TICKS_MAX)
            .map(|n| (first + f64::from(n)) * step)
            .take_while(|value| *value <= self.high * (1.0 + 1e-9))
            .map(|value| self.named(value))
            .collect()
    }

    fn log_ticks(&self) -> Vec<Tick> {
        let decades = (self.high / self.low).log10();
        let detailed = decades <= DECADES_DETAILED && self.unit != Unit::OneOf;
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(self.low.log10().floor());
        while decade <= self.high * 1.001 {
            for times in 1..10_u32 {
                let value = decade * f64::from(times);
                if !(self.low * 0.999..=self.high * 1.001).contains(&value) {
                    continue;
                }
                let median = self.unit == Unit::OneOf && value == 2.0;
                let named = times == 1 || median || detailed && [2, 5].contains(&times);
                ticks.push(match named {
                    true => self.named(value),
                    false => Tick { value, name: None },
                });
            }
            decade *= 10.0;
        }
        ticks
    }

    fn named(&self, value: f64) -> Tick {
        Tick {
            value,
            name: Some(tick(self.unit, value, self.high)),
        }
    }
}

/// The label of a value on an axis that ends at `high`.
fn tick(unit: Unit, value: f64, high: f64) -> String {
    match unit {
        Unit::Moment => {
            let step = step(unit, high);
            let name = match step {
                hours if hours == HOUR => "h",
                minutes if minutes == MINUTE => "min",
                _ => "s",
            };
            format!("{} {name}", figures::plain(value / step))
        }
        Unit::Memory => {
            let step = step(unit, high);
            let name = match step {
                gib if gib == GIB => "GiB",
                mib if mib == MIB => "MiB",
                kib if kib == KIB => "KiB",
                _ => "B",
            };
            format!("{} {name}", figures::plain(value / step))
        }
        Unit::Cores => figures::plain(value),
        Unit::Ratio => format!("{}×", figures::plain(value)),
        Unit::Rate | Unit::Count => short_fraction(&figures::short(value)),
        Unit::OneOf => unit.show(value),
        Unit::Time | Unit::Throughput | Unit::Percent => short_fraction(&unit.show(value)),
    }
}

/// The unit of round values on an axis that ends at `high`.
fn step(unit: Unit, high: f64) -> f64 {
    match unit {
        Unit::Moment if high > 5.0 * HOUR => HOUR,
        Unit::Moment if high > 5.0 * MINUTE => MINUTE,
        Unit::Moment => 1e9,
        Unit::Memory => [GIB, MIB, KIB]
            .into_iter()
            .find(|step| high >= 2.0 * step)
            .unwrap_or(1.0),
        _ => 1.0,
    }
}

/// 1, 2 and 5 times the powers of ten around a value.
fn round_values(around: f64) -> impl Iterator<Item = f64> {
    let decade = around.log10().floor();
    [-1.0, 0.0, 1.0]
        .into_iter()
        .flat_map(move |off| [1.0, 2.0, 5.0].map(|times| times * 10_f64.powf(decade + off)))
}

/// `1.00 ms` as `1 ms`.
fn short_fraction(text: &str) -> String {
    let end = text
        .find(|c: char| c != '.' && !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    match digits.contains('.') {
        true => {
            format!("{}{unit}", figures::trimmed(digits))
        }
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Axis, MIB, Unit};

    fn names(axis: &Axis) -> Vec<String> {
        axis.ticks()
            .into_iter()
            .filter_map(|tick| tick.name)
            .collect()
    }

    #[test]
    fn even_steps_are_round() {
        for (axis, expected) in [
            (
                Axis::from_zero(Unit::Rate, 80_000.0),
                &["0", "20k", "40k", "60k", "80k"][..],
            ),
            (
                Axis::between(Unit::Moment, -1e9, 10e9),
                &["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"],
            ),
            (
                Axis::between(Unit::Moment, 0.0, 600e9),
                &["0 min", "2 min", "4 min", "6 min", "8 min", "10 min"],
            ),
            (
                Axis::from_zero(Unit::Memory, 17.0 * MIB),
                &["0 MiB", "5 MiB", "10 MiB", "15 MiB"],
            ),
            (Axis::from_zero(Unit::Count, 12.0), &["0", "5", "10"]),
            (
                Axis::from_zero(Unit::Cores, 0.002),
                &["0", "0.0005", "0.001", "0.0015", "0.002"],
            ),
            (Axis::from_zero(Unit::Count, 2.0), &["0", "1", "2"]),
            (
                Axis::from_zero(Unit::Cores, 1.0),
                &["0", "0.2", "0.4", "0.6", "0.8", "1"],
            ),
        ] {
            assert_eq!(names(&axis), expected, "{axis:?}");
        }
    }

    #[test]
    fn powers_of_ten_are_named_and_2_and_5_where_there_is_room() {
        let narrow = Axis::log(Unit::Time, 30_000.0, 400_000.0);
        assert_eq!(
            names(&narrow),
            ["20 µs", "50 µs", "100 µs", "200 µs", "500 µs"]
        );
        let wide = Axis::log(Unit::Time, 3_000.0, 4e9);
        assert_eq!(
            names(&wide),
            ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s"]
        );
    }

    #[test]
    fn percentiles_are_one_nine_apart() {
        let axis = Axis::percentiles(1e6);
        assert_eq!(
            names(&axis),
            [
                "0%", "50%", "90%", "99%", "99.9%", "99.99%", "99.999%", "99.9999%"
            ]
        );
        let place = |one_of| axis.place(one_of);
        assert_eq!((place(1.0), place(1e6)), (0.0, 1.0));
        assert!((place(100.0) - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(Unit::OneOf.show(1234.0), "99.92%");
    }

    #[test]
    fn empty_and_single_values_have_an_axis() {
        for axis in [
            Axis::from_zero(Unit::Rate, 0.0),
            Axis::between(Unit::Moment, 5e9, 5e9),
            Axis::log(Unit::Time, 1.0, 1.0),
            Axis::percentiles(0.0),
        ] {
            assert!(!names(&axis).is_empty(), "{axis:?}");
            assert!((0.0..=1.0).contains(&axis.place(1e30)));
            assert!((0.0..=1.0).contains(&axis.place(-1e30)));
        }
    }
}
