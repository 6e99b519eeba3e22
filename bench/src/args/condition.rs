//! Conditions on results, such as `p99<1ms` or `errors>0`. An objective (`--slo`) must be true, a
//! condition of `--fail-if` must be false. Pure.

use corelane::config::units;

use super::rate::rate;
use crate::outcome::{Distribution, Latencies, Outcome, Threshold, Totals};
use crate::stats::{ABOVE_MIN, float, supported_quantile};

/// The figure in a condition.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    /// A quantile of a latency.
    Quantile(LatencyKind, f64),
    Mean(LatencyKind),
    Max(LatencyKind),
    /// Messages a second.
    Rate,
    Errors,
    /// The server's CPU time for a message, and for a gigabyte.
    CpuPerMessage,
    CpuPerGigabyte,
    /// The server's memory for a connection, in bytes.
    MemoryPerConnection,
}

/// The start of the measured interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LatencyKind {
    /// The due time in an open loop, the time of the send in a closed loop.
    First,
    Service,
    Connect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// A figure, a relation and a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    /// The text of the argument.
    pub(crate) text: String,
    figure: Figure,
    relation: Relation,
    /// Nanoseconds, messages a second, bytes or a count.
    value: f64,
}

const FORM: &str = "write p99<1ms, p99.9>5ms, mean<1ms, max>1s, connect.p99>10ms, service.p50>1ms, \
                    rate<80k, errors>0, cpu_per_message>5us, cpu_per_gb>1s or \
                    memory_per_connection>4KiB";

impl Condition {
    /// Reads `p99<1ms`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or(FORM)?;
        let (name, rest) = text.split_at(at);
        let (relation, value) = [
            ("<=", Relation::LessOrEqual),
            (">=", Relation::MoreOrEqual),
            ("<", Relation::Less),
            (">", Relation::More),
        ]
        .into_iter()
        .find_map(|(sign, relation)| Some((relation, rest.strip_prefix(sign)?)))
        .ok_or(FORM)?;
        let figure = figure(name.trim()).ok_or(FORM)?;
        Ok(Self {
            text: text.to_owned(),
            figure,
            relation,
            value: read(figure, value.trim())?,
        })
    }

    /// The measured value; `None` if the results do not contain the figure.
    pub(crate) fn measure(&self, outcome: &Outcome) -> Option<f64> {
        let server = outcome.server.as_ref();
        match self.figure {
            Figure::CpuPerMessage => server?.cpu_per_message_ns,
            Figure::CpuPerGigabyte => server?.cpu_per_gigabyte_ns,
            Figure::MemoryPerConnection => server?.rss_per_connection_bytes,
            Figure::Errors => Some(float(outcome.errors.total)),
            _ => self.measure_load(&outcome.latency, &outcome.totals),
        }
    }

    /// Whether the condition is true for a measured value.
    pub(crate) fn holds(&self, measured: f64) -> bool {
        match self.relation {
            Relation::Less => measured < self.value,
            Relation::LessOrEqual => measured <= self.value,
            Relation::More => measured > self.value,
            Relation::MoreOrEqual => measured >= self.value,
        }
    }

    /// The quantile, if the condition is about a quantile of the latency that users see.
    pub(crate) fn quantile(&self) -> Option<f64> {
        match self.figure {
            Figure::Quantile(LatencyKind::First, quantile) => Some(quantile),
            _ => None,
        }
    }

    /// The number of messages below which the figure is unknown.
    pub(crate) fn messages_min(&self) -> f64 {
        match self.figure {
            Figure::Quantile(_, quantile) => float(ABOVE_MIN) / (1.0 - quantile),
            _ => 1.0,
        }
    }

    /// The send lateness at the figure of the condition, and the bound, in nanoseconds. `None` if
    /// lateness does not affect the figure, or was not measured.
    pub(crate) fn lateness(&self, lateness: &Distribution) -> Option<(f64, f64)> {
        let late = match self.figure {
            Figure::Quantile(LatencyKind::First, quantile) => {
                let times = lateness.histogram.open().ok()?;
                supported_quantile(&times, quantile).map(float)
            }
            Figure::Mean(LatencyKind::First) => lateness.mean,
            Figure::Max(LatencyKind::First) => lateness.max.map(float),
            _ => None,
        };
        late.map(|late| (late, self.value))
    }

    /// The result of the condition as a threshold.
    pub(crate) fn judge(&self, outcome: &Outcome) -> Threshold {
        let measured = self.measure(outcome);
        Threshold {
            condition: self.text.clone(),
            measured,
            failed: measured.is_none_or(|measured| self.holds(measured)),
        }
    }

    fn measure_load(&self, latency: &Latencies, totals: &Totals) -> Option<f64> {
        let of = |of: LatencyKind| -> Option<&Distribution> {
            match of {
                LatencyKind::First => latency.first(),
                LatencyKind::Service => latency.service.as_ref(),
                LatencyKind::Connect => latency.connect.as_ref(),
            }
        };
        match self.figure {
            Figure::Quantile(which, quantile) => {
                let times = of(which)?.histogram.open().ok()?;
                supported_quantile(&times, quantile).map(float)
            }
            Figure::Mean(which) => of(which)?.mean,
            Figure::Max(which) => of(which)?.max.map(float),
            _ => totals.messages_per_second,
        }
    }
}

fn figure(name: &str) -> Option<Figure> {
    let (of, rest) = match name.split_once('.') {
        Some(("service", rest)) => (LatencyKind::Service, rest),
        Some(("connect", rest)) => (LatencyKind::Connect, rest),
        _ => (LatencyKind::First, name),
    };
    if let Some(percent) = rest.strip_prefix('p') {
        let percent: f64 = percent.parse().ok()?;
        let inside = percent > 0.0 && percent < 100.0;
        return inside.then_some(Figure::Quantile(of, percent / 100.0));
    }
    match (of, rest) {
        (_, "mean") => Some(Figure::Mean(of)),
        (_, "max") => Some(Figure::Max(of)),
        (LatencyKind::First, "rate") => Some(Figure::Rate),
        (LatencyKind::First, "errors") => Some(Figure::Errors),
        (LatencyKind::First, "cpu_per_message") => Some(Figure::CpuPerMessage),
        (LatencyKind::First, "cpu_per_gb") => Some(Figure::CpuPerGigabyte),
        (LatencyKind::First, "memory_per_connection") => Some(Figure::MemoryPerConnection),
        _ => None,
    }
}

fn read(figure: Figure, text: &str) -> Result<f64, String> {
    match figure {
        Figure::Rate => rate(text),
        Figure::Errors => match text.parse::<u32>() {
            Ok(count) => Ok(f64::from(count)),
            Err(_) => Err(format!(
                "{text:?} is not a number of errors: write errors>0"
            )),
        },
        Figure::MemoryPerConnection => match (units::SIZE.read)(text) {
            Some(bytes) => Ok(float(bytes)),
            None => Err(format!("{text:?}: write {}, e.g. 4KiB", units::SIZE.form)),
        },
        _ => match (units::DURATION.read)(text) {
            Some(time) => Ok(time.as_secs_f64() * 1e9),
            None => Err(format!(
                "{text:?}: write {}, e.g. 2ms",
                units::DURATION.form
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, FORM};

    #[test]
    fn conditions_hold_as_they_are_written() {
        for (text, values) in [
            ("p99<1ms", [(999_999.0, true), (1e6, false), (2e6, false)]),
            (
                "p99.9 <= 1ms",
                [(999_999.0, true), (1e6, true), (2e6, false)],
            ),
            (
                "service.p50>1us",
                [(999.0, false), (1e3, false), (1001.0, true)],
            ),
            ("connect.max>=1s", [(1e8, false), (1e9, true), (2e9, true)]),
            (
                "rate<80k",
                [(79_999.0, true), (80_000.0, false), (1e6, false)],
            ),
            ("errors>0", [(0.0, false), (1.0, true), (2.0, true)]),
            (
                "memory_per_connection>4KiB",
                [(4096.0, false), (4097.0, true), (5e3, true)],
            ),
        ] {
            let condition = Condition::parse(text).unwrap();
            assert_eq!(condition.text, text);
            for (value, holds) in values {
                assert_eq!(condition.holds(value), holds, "{text} {value}");
            }
        }
    }

    #[test]
    fn errors_show_the_correct_form() {
        for text in [
            "",
            "p99",
            "p99=1ms",
            "p0<1ms",
            "p100<1ms",
            "p<1ms",
            "q99<1ms",
            "connect.rate<1",
        ] {
            assert_eq!(Condition::parse(text), Err(FORM.to_owned()), "{text}");
        }
        for (text, message) in [
            (
                "p99<1",
                "\"1\": write a number and a unit (ns, us, ms, s, m, h, d), e.g. 2ms",
            ),
            (
                "errors>x",
                "\"x\" is not a number of errors: write errors>0",
            ),
            ("rate<1ms", "write messages a second, e.g. 500, 80k or 1.5M"),
        ] {
            assert_eq!(Condition::parse(text), Err(message.to_owned()), "{text}");
        }
    }
}
