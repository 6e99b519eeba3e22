//! A whole document as text. Pure.

use std::fmt::{self, Display, Formatter, Write};

use super::comparison;
use super::figures::{
    asked, cores, grouped, maybe, memory, number, rate, seconds, throughput, time,
};
use super::server_metrics::server_metrics;
use super::table::{line, row, table};
use super::wrap::wrapped;
use crate::outcome::{Distribution, Latencies, Loop, Outcome, Server, Shape, Threshold};
use crate::stats::float;

/// A document as text.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub(crate) outcome: &'a Outcome,
    /// The width of a line.
    pub(crate) columns: usize,
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (outcome, mut text) = (self.outcome, String::new());
        what_was_run(&mut text, outcome);
        totals(&mut text, outcome);
        if let Some(sweep) = &outcome.sweep {
            comparison::sweep(&mut text, sweep);
        }
        match &outcome.duel {
            Some(duel) => comparison::duel(&mut text, duel),
            None => latencies(&mut text, &outcome.latency, outcome.lateness.as_ref()),
        }
        if let Some(server) = outcome.server.as_ref().filter(|_| outcome.duel.is_none()) {
            server_process(&mut text, server, outcome);
        }
        if let Some(metrics) = outcome
            .server_metrics
            .as_ref()
            .filter(|_| outcome.duel.is_none())
        {
            server_metrics(&mut text, metrics, outcome);
        }
        client(&mut text, outcome);
        errors(&mut text, outcome);
        for judged in &outcome.thresholds {
            threshold(&mut text, judged);
        }
        if outcome.interrupted {
            text.push_str("Interrupted: the results end at the signal.\n");
        }
        verdict(&mut text, outcome);
        f.write_str(&wrapped(&text, self.columns))
    }
}

fn what_was_run(text: &mut String, outcome: &Outcome) {
    let (shape, target) = (&outcome.shape, &outcome.target);
    let name = |target: &crate::outcome::Target| match &target.name {
        Some(name) => format!("{name}={}", target.given),
        None => target.given.clone(),
    };
    let mut words = format!("{} {}", outcome.verb, name(target));
    if target.given != target.address {
        words += &format!(" ({})", target.address);
    }
    if let Some(duel) = &outcome.duel {
        words += &format!(" against {}", name(&duel.targets[1]));
    }
    words += &format!(
        ": {} connections{}",
        shape.connections,
        of_messages(outcome)
    );
    _ = writeln!(text, "{words}");
    _ = writeln!(text, "{}", how(outcome));
}

/// The messages of the load.
fn of_messages(outcome: &Outcome) -> String {
    let shape = &outcome.shape;
    let mut words = String::new();
    match (&shape.request, &shape.size) {
        (Some(request), _) => {
            let reply = shape.reply.as_deref().unwrap_or_default();
            words += &format!(", {request} each, answered by {reply}");
            if let Some(opening) = &shape.opening {
                words += &format!(", after {opening}");
            }
        }
        (None, Some(size)) => words += &format!(", {size} bytes a message"),
        (None, None) => {}
    }
    if outcome.verb == "run" {
        words += &format!(", {} in flight each", shape.pipeline);
    }
    if let Some(close) = &shape.close {
        words += &format!(", closed by {close}");
    }
    if let Some(direction) = &shape.direction {
        words += &format!(", {direction}");
    }
    words += match (shape.verify, &shape.request) {
        (true, _) => ", every byte verified",
        (false, None) => ", bytes not verified",
        (false, Some(_)) => ", replies not verified",
    };
    words
}

fn how(outcome: &Outcome) -> String {
    let shape: &Shape = &outcome.shape;
    let asked_for = shape.rate.filter(|_| outcome.sweep.is_none());
    let mut words = match (shape.loop_, asked_for) {
        (Loop::Open, Some(per_second)) => {
            let arrival = shape.arrival.as_deref().unwrap_or_default();
            format!("open loop at {}, {arrival},", rate(per_second))
        }
        (Loop::Open, None) => "open loop".to_owned(),
        (Loop::Closed, _) => "closed loop".to_owned(),
    };
    let lanes = match shape.lanes {
        1 => "1 lane".to_owned(),
        lanes => format!("{lanes} lanes"),
    };
    words += &format!(" on {lanes} on {}", shape.poller);
    if let Some(hold) = shape.hold_ns {
        words += &format!(", connections held for {}", asked(hold));
    }
    if shape.ramp_ns > 0 {
        words += &format!(", ramp {}", asked(shape.ramp_ns));
    }
    if shape.warmup_ns > 0 {
        words += &format!(", warm-up {}", asked(shape.warmup_ns));
    }
    match (shape.duration_ns, shape.count) {
        (Some(duration), _) => words += &format!(", measured for {}", asked(duration)),
        (_, Some(count)) => words += &format!(", measured for {} messages", grouped(count)),
        (None, None) => {}
    }
    words
}

fn totals(text: &mut String, outcome: &Outcome) {
    let totals = &outcome.totals;
    let (opened, failed) = (totals.connections_opened, totals.connections_failed);
    let mut connections = format!("{opened} opened, {failed} failed");
    if let Some(nanos) = totals.connecting_ns {
        connections += &format!(", all within {}", time(float(nanos)));
    }
    line(text, "connections", connections);
    if outcome.duel.is_some() {
        // A sum over two targets has no meaning.
        return;
    }
    if outcome.shape.direction.is_none() {
        let what = match outcome.verb == "churn" {
            true => "done",
            false => "messages",
        };
        let (messages, elapsed) = (grouped(totals.messages), float(totals.elapsed_ns));
        let per_second = maybe(totals.messages_per_second, rate);
        let done = format!("{messages} in {}, {per_second}", time(elapsed));
        line(text, what, done);
    }
    let sent = maybe(totals.sent_bytes_per_second, throughput);
    let received = maybe(totals.received_bytes_per_second, throughput);
    line(text, "bytes", format!("{sent} sent, {received} received"));
    if let Some(reply) = &outcome.first_reply {
        line(text, "first reply", reply);
    }
}

/// A table with a column for each kind of time and a row for each figure.
fn latencies(text: &mut String, latency: &Latencies, lateness: Option<&Distribution>) {
    let kinds = [
        ("latency", latency.intended.as_ref()),
        ("service time", latency.service.as_ref()),
        ("connect", latency.connect.as_ref()),
        ("lateness", lateness),
    ];
    let kinds: Vec<(&str, &Distribution)> = kinds
        .into_iter()
        .filter_map(|(name, times)| Some((name, times.filter(|times| times.count > 0)?)))
        .collect();
    // The line of totals covers a few connects.
    let messages = kinds.iter().any(|(name, _)| *name != "connect");
    if !messages
        && kinds
            .iter()
            .all(|(_, times)| times.percentiles.p50.is_none())
    {
        return;
    }
    type Read = fn(&Distribution) -> Option<f64>;
    let figures: [(&str, Read); 9] = [
        ("min", |times| times.min.map(float)),
        ("mean", |times| times.mean),
        ("deviation", |times| times.deviation),
        ("p50", |times| times.percentiles.p50.map(float)),
        ("p90", |times| times.percentiles.p90.map(float)),
        ("p99", |times| times.percentiles.p99.map(float)),
        ("p99.9", |times| times.percentiles.p99_9.map(float)),
        ("p99.99", |times| times.percentiles.p99_99.map(float)),
        ("max", |times| times.max.map(float)),
    ];
    let mut rows = vec![row("", kinds.iter().map(|(name, _)| (*name).to_owned()))];
    for (name, read) in figures {
        rows.push(row(
            name,
            kinds.iter().map(|(_, times)| maybe(read(times), time)),
        ));
    }
    table(text, &rows);
    let explained = match latency.intended.is_some() {
        true => {
            "latency counts from the due time of a message, service time from the send; lateness \
             is the delay that this client added to the latency."
        }
        false => "service time counts from the send.",
    };
    if messages {
        _ = writeln!(text, "{explained}");
    }
}

fn server_process(text: &mut String, server: &Server, outcome: &Outcome) {
    let whole = |nanos: Option<u64>| maybe(nanos, |nanos| seconds(float(nanos)));
    let mut words = format!("pid {}: ", server.pid);
    if server.cpu_hold_ns.is_some() {
        words += &format!("{} while holding, ", whole(server.cpu_hold_ns));
    } else if outcome.verb == "bulk" {
        let each = maybe(server.cpu_per_gigabyte_ns, time);
        words += &format!("{}, {each} a GB, ", whole(server.cpu_ns));
    } else {
        let each = maybe(server.cpu_per_message_ns, time);
        words += &format!("{}, {each} a message, ", whole(server.cpu_ns));
    }
    let each = maybe(server.cpu_per_connection_ns, time);
    words += &format!("{each} a connection; {} in all", whole(server.cpu_total_ns));
    line(text, "server CPU", words);
    let before = memory(float(server.rss_before_bytes));
    let held = maybe(server.rss_held_bytes, |bytes| memory(float(bytes)));
    let each = maybe(server.rss_per_connection_bytes, memory);
    let words = format!("{before} before, {held} at the end, {each} a connection");
    line(text, "server memory", words);
}

fn client(text: &mut String, outcome: &Outcome) {
    let (generator, system) = (&outcome.generator, &outcome.system);
    let busiest = maybe(generator.busiest_lane_cores, cores);
    let percent = |share: f64| format!("{} %", number(share));
    let waited = maybe(generator.waited_share, |share| percent(100.0 * share));
    let counted = |count: Option<u64>| maybe(count, grouped);
    let (retransmits, overflows) = (system.retransmits, system.listen_overflows);
    let words = format!(
        "{busiest}, waited for a CPU {waited} of the time; {} retransmits, {} listen overflows, {} \
         steal",
        counted(retransmits),
        counted(overflows),
        maybe(system.steal_percent, percent),
    );
    line(text, "client", words);
}

fn errors(text: &mut String, outcome: &Outcome) {
    let errors = &outcome.errors;
    if errors.total == 0 {
        return line(text, "errors", "none");
    }
    let counts: Vec<String> = errors
        .kinds
        .iter()
        .map(|(kind, count)| format!("{} {}", grouped(*count), kind.words()))
        .collect();
    line(text, "errors", counts.join(", "));
    for error in &errors.first {
        line(text, "", error);
    }
    let more = errors.total - errors.first.len() as u64;
    if more > 0 {
        line(text, "", format!("and {} more", grouped(more)));
    }
}

fn threshold(text: &mut String, judged: &Threshold) {
    let result = match (judged.failed, judged.measured) {
        (true, None) => "failed: the sample is too small",
        (true, Some(_)) => "failed",
        (false, _) => "passed",
    };
    line(text, "threshold", format!("{}: {result}", judged.condition));
}

fn verdict(text: &mut String, outcome: &Outcome) {
    for note in &outcome.verdict.notes {
        _ = writeln!(text, "Note: {note}.");
    }
    for reason in &outcome.verdict.reasons {
        _ = writeln!(text, "INVALID: {}.", reason.message);
    }
}
