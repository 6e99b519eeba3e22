//! The report as people read it. Pure.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use corelane::config::units;

use crate::report::{Latency, Report, Server};

/// A report, shown as text.
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a Report);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        self.what_was_run(f)?;
        let failed = report.connections_failed;
        let opened = report.connections_opened;
        line(
            f,
            "connections",
            format_args!("{opened} opened, {failed} failed"),
        )?;
        line(
            f,
            "messages",
            format_args!(
                "{} in {}, {} a second",
                grouped(report.messages),
                Nanos(report.elapsed_ns),
                maybe(report.messages_per_second.map(Rounded)),
            ),
        )?;
        line(
            f,
            "bytes",
            format_args!(
                "{} MB/s sent, {} MB/s received",
                maybe(report.sent_bytes_per_second.map(Megabytes)),
                maybe(report.received_bytes_per_second.map(Megabytes)),
            ),
        )?;
        latency(f, &report.latency_ns)?;
        if let Some(server) = &report.server {
            server_process(f, server)?;
        }
        self.errors(f)?;
        if report.interrupted {
            writeln!(f, "Interrupted: these are the results up to then.")?;
        }
        f.write_str(
            "This is a closed loop: while the server stalls, the client sends nothing and measures \
             nothing.\nIts latency is not what users who do not wait for each other see under load \
             (coordinated omission).\n",
        )
    }
}

impl Text<'_> {
    fn what_was_run(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(f, "{} {}", report.verb, report.target)?;
        if report.target != report.address {
            write!(f, " ({})", report.address)?;
        }
        let verified = match report.verify {
            true => "every byte verified",
            false => "bytes not verified",
        };
        writeln!(
            f,
            ": {} connections, {} bytes a message, {} under way each, {verified}",
            report.connections, report.size_bytes, report.pipeline,
        )?;
        let lanes = match report.lanes {
            1 => "1 lane".to_owned(),
            lanes => format!("{lanes} lanes"),
        };
        write!(f, "closed loop on {lanes} on {}", report.poller)?;
        if let Some(hold) = report.hold_ns {
            write!(f, ", connections held for {}", show(hold))?;
        }
        if report.warmup_ns > 0 {
            write!(f, ", warm-up {}", show(report.warmup_ns))?;
        }
        match (report.duration_ns, report.count) {
            (Some(duration), _) => writeln!(f, ", measured for {}", show(duration)),
            (_, Some(count)) => writeln!(f, ", measured for {} messages", grouped(count)),
            (None, None) => writeln!(f),
        }
    }

    fn errors(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        if report.errors_total == 0 {
            line(f, "errors", "none")?;
            if report.messages == 0 && !report.interrupted {
                line(f, "", "but no message came back within the measured time")?;
            }
            return Ok(());
        }
        let counts: Vec<String> = report
            .errors
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| format!("{count} {}", kind.words()))
            .collect();
        line(f, "errors", counts.join(", "))?;
        for fault in &report.error_details {
            line(f, "", fault)?;
        }
        let more = report.errors_total - report.error_details.len() as u64;
        match more {
            0 => Ok(()),
            more => line(f, "", format_args!("and {more} more")),
        }
    }
}

fn latency(f: &mut Formatter<'_>, latency: &Latency) -> fmt::Result {
    let show = |value: Option<u64>| maybe(value.map(Nanos));
    line(
        f,
        "latency",
        format_args!(
            "min {}  p50 {}  p90 {}  p99 {}  p99.9 {}  max {}",
            show(latency.min),
            show(latency.p50),
            show(latency.p90),
            show(latency.p99),
            show(latency.p99_9),
            show(latency.max),
        ),
    )
}

fn server_process(f: &mut Formatter<'_>, server: &Server) -> fmt::Result {
    let seconds = |nanos: Option<u64>| maybe(nanos.map(Seconds));
    let per_message = server.cpu_per_message_ns.map(Micros);
    write!(f, "{:<15}pid {}: ", "server CPU", server.pid)?;
    if server.cpu_hold_ns.is_some() {
        write!(f, "{} s while holding, ", seconds(server.cpu_hold_ns))?;
    } else {
        let measured = seconds(server.cpu_ns);
        write!(f, "{measured} s, {} us a message; ", maybe(per_message))?;
    }
    writeln!(f, "{} s in all", seconds(server.cpu_total_ns))?;
    line(
        f,
        "server memory",
        format_args!(
            "{} MiB before, {} MiB at the end, {} bytes a connection",
            Mebibytes(server.rss_before_bytes),
            maybe(server.rss_held_bytes.map(Mebibytes)),
            maybe(server.rss_per_connection_bytes.map(Rounded)),
        ),
    )
}

fn line(f: &mut Formatter<'_>, name: &str, what: impl Display) -> fmt::Result {
    writeln!(f, "{name:<15}{what}")
}

/// What there is, or `n/a`.
fn maybe(value: Option<impl Display>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| value.to_string())
}

/// A duration as it was asked for.
fn show(nanos: u64) -> String {
    (units::DURATION.show)(Duration::from_nanos(nanos))
}

/// A measured time, four digits.
struct Nanos(u64);

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

struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let hundredths = self.0 / 10_000_000;
        write!(f, "{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

/// Nanoseconds, shown in microseconds.
struct Micros(f64);

impl Display for Micros {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0 / 1e3)
    }
}

/// Bytes, shown in millions.
struct Megabytes(f64);

impl Display for Megabytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.0 / 1e6)
    }
}

/// Bytes, shown in 2^20.
struct Mebibytes(u64);

impl Display for Mebibytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tenths = u128::from(self.0) * 10 / (1 << 20);
        write!(f, "{}.{}", tenths / 10, tenths % 10)
    }
}

struct Rounded(f64);

impl Display for Rounded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
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
