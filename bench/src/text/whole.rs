//! A whole document as text. Pure.

use std::fmt::{self, Display, Formatter};

use super::parts;
use super::quantity::{
    Mebibytes, Megabytes, Micros, Nanos, Rounded, Seconds, grouped, maybe, show,
};
use crate::outcome::{Distribution, Judged, Loop, Outcome, Percentiles, Server};

/// A document, shown as text.
#[derive(Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a Outcome);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let outcome = self.0;
        what_was_run(f, outcome)?;
        totals(f, outcome)?;
        if let Some(sweep) = &outcome.sweep {
            parts::sweep(f, sweep)?;
        }
        match &outcome.duel {
            Some(duel) => parts::duel(f, duel)?,
            None => latencies(f, outcome)?,
        }
        if let Some(server) = outcome.server.as_ref().filter(|_| outcome.duel.is_none()) {
            server_process(f, server, &outcome.verb)?;
        }
        generator(f, outcome)?;
        errors(f, outcome)?;
        for judged in &outcome.thresholds {
            threshold(f, judged)?;
        }
        if outcome.interrupted {
            writeln!(f, "Interrupted: these are the results up to then.")?;
        }
        verdict(f, outcome)
    }
}

fn what_was_run(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let (shape, target) = (&outcome.shape, &outcome.target);
    write!(f, "{} {}", outcome.verb, target.given)?;
    if target.given != target.address {
        write!(f, " ({})", target.address)?;
    }
    if let Some(duel) = &outcome.duel {
        write!(f, " against {}", duel.targets[1].given)?;
    }
    write!(f, ": {} connections", shape.connections)?;
    if let Some(size) = &shape.size {
        write!(f, ", {size} bytes a message")?;
    }
    if outcome.verb == "run" {
        write!(f, ", {} under way each", shape.pipeline)?;
    }
    if let Some(close) = &shape.close {
        write!(f, ", closed by {close}")?;
    }
    if let Some(direction) = &shape.direction {
        write!(f, ", {direction}")?;
    }
    match shape.verify {
        true => writeln!(f, ", every byte verified")?,
        false => writeln!(f, ", bytes not verified")?,
    }
    match (shape.loop_, shape.rate.filter(|_| outcome.sweep.is_none())) {
        (Loop::Open, Some(rate)) => {
            let arrival = shape.arrival.as_deref().unwrap_or_default();
            write!(f, "open loop at {rate:.0}/s, {arrival},")?;
        }
        (Loop::Open, None) => f.write_str("open loop")?,
        (Loop::Closed, _) => f.write_str("closed loop")?,
    }
    let lanes = match shape.lanes {
        1 => "1 lane".to_owned(),
        lanes => format!("{lanes} lanes"),
    };
    write!(f, " on {lanes} on {}", shape.poller)?;
    if let Some(hold) = shape.hold_ns {
        write!(f, ", connections held for {}", show(hold))?;
    }
    if shape.ramp_ns > 0 {
        write!(f, ", ramp {}", show(shape.ramp_ns))?;
    }
    if shape.warmup_ns > 0 {
        write!(f, ", warm-up {}", show(shape.warmup_ns))?;
    }
    match (shape.duration_ns, shape.count) {
        (Some(duration), _) => writeln!(f, ", measured for {}", show(duration)),
        (_, Some(count)) => writeln!(f, ", measured for {} messages", grouped(count)),
        (None, None) => writeln!(f),
    }
}

fn totals(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let totals = &outcome.totals;
    let (opened, failed) = (totals.connections_opened, totals.connections_failed);
    write!(f, "{:<15}{opened} opened, {failed} failed", "connections")?;
    match totals.connecting_ns {
        Some(nanos) => writeln!(f, ", all within {}", Nanos(nanos))?,
        None => writeln!(f)?,
    }
    if outcome.shape.direction.is_none() {
        let what = match outcome.verb == "churn" {
            true => "done",
            false => "messages",
        };
        line(
            f,
            what,
            format_args!(
                "{} in {}, {} a second",
                grouped(totals.messages),
                Nanos(totals.elapsed_ns),
                maybe(totals.messages_per_second.map(Rounded)),
            ),
        )?;
    }
    line(
        f,
        "bytes",
        format_args!(
            "{} MB/s sent, {} MB/s received",
            maybe(totals.sent_bytes_per_second.map(Megabytes)),
            maybe(totals.received_bytes_per_second.map(Megabytes)),
        ),
    )
}

fn latencies(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let latency = &outcome.latency;
    let of = [
        ("latency", &latency.intended, "from the intended time"),
        ("service time", &latency.service, "from the send"),
        ("connect", &latency.connect, ""),
        ("lateness", &outcome.lateness, "of sends"),
    ];
    for (name, times, from) in of {
        if let Some(times) = times.as_ref().filter(|times| times.count > 0) {
            distribution(f, name, times, from)?;
        }
    }
    Ok(())
}

fn distribution(
    f: &mut Formatter<'_>,
    name: &str,
    times: &Distribution,
    from: &str,
) -> fmt::Result {
    let show = |value: Option<u64>| maybe(value.map(Nanos));
    write!(
        f,
        "{name:<15}min {}  {}",
        show(times.min),
        Row(&times.percentiles)
    )?;
    write!(f, "  max {}", show(times.max))?;
    match from {
        "" => writeln!(f),
        from => writeln!(f, "  {from}"),
    }
}

/// Percentiles in one line.
pub(crate) struct Row<'a>(pub(crate) &'a Percentiles);

impl Display for Row<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let show = |value: Option<u64>| maybe(value.map(Nanos));
        let Percentiles {
            p50,
            p90,
            p99,
            p99_9,
            ..
        } = self.0;
        write!(f, "p50 {}  p90 {}  ", show(*p50), show(*p90))?;
        write!(f, "p99 {}  p99.9 {}", show(*p99), show(*p99_9))
    }
}

fn server_process(f: &mut Formatter<'_>, server: &Server, verb: &str) -> fmt::Result {
    let seconds = |nanos: Option<u64>| maybe(nanos.map(Seconds));
    write!(f, "{:<15}pid {}: ", "server CPU", server.pid)?;
    if server.cpu_hold_ns.is_some() {
        write!(f, "{} s while holding, ", seconds(server.cpu_hold_ns))?;
    } else if verb != "bulk" {
        let per_message = server.cpu_per_message_ns.map(Micros);
        let measured = seconds(server.cpu_ns);
        write!(f, "{measured} s, {} us a message, ", maybe(per_message))?;
    } else {
        write!(f, "{} s, ", seconds(server.cpu_ns))?;
    }
    let per_connection = server.cpu_per_connection_ns.map(Micros);
    write!(f, "{} us a connection; ", maybe(per_connection))?;
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

fn generator(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let percent = |cores: f64| format!("{:.0} %", 100.0 * cores);
    let busiest = outcome.generator.busiest_lane_cores.map(percent);
    let system = &outcome.system;
    line(
        f,
        "client",
        format_args!(
            "{} of a core, {} retransmits, {} listen overflows, {} % steal",
            maybe(busiest),
            maybe(system.retransmits),
            maybe(system.listen_overflows),
            maybe(system.steal_percent.map(|steal| format!("{steal:.1}"))),
        ),
    )
}

fn errors(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    let errors = &outcome.errors;
    if errors.total == 0 {
        return line(f, "errors", "none");
    }
    let counts: Vec<String> = errors
        .kinds
        .iter()
        .map(|(kind, count)| format!("{count} {}", kind.words()))
        .collect();
    line(f, "errors", counts.join(", "))?;
    for fault in &errors.first {
        line(f, "", fault)?;
    }
    let more = errors.total - errors.first.len() as u64;
    match more {
        0 => Ok(()),
        more => line(f, "", format_args!("and {more} more")),
    }
}

fn threshold(f: &mut Formatter<'_>, judged: &Judged) -> fmt::Result {
    let result = match (judged.failed, judged.measured) {
        (true, None) => "failed: the sample does not support it",
        (true, Some(_)) => "failed",
        (false, _) => "passed",
    };
    line(
        f,
        "threshold",
        format_args!("{}: {result}", judged.condition),
    )
}

fn verdict(f: &mut Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    for note in &outcome.verdict.notes {
        writeln!(f, "Note: {note}.")?;
    }
    for reason in &outcome.verdict.reasons {
        writeln!(f, "INVALID: {}.", reason.message)?;
    }
    Ok(())
}

fn line(f: &mut Formatter<'_>, name: &str, what: impl Display) -> fmt::Result {
    writeln!(f, "{name:<15}{what}")
}
