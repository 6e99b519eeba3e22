//! The conditions of a run: load and machine. Used by the report's table and by `compare`, which
//! lists the differences.

use crate::outcome::{Loop, Outcome};
use crate::stats::float;
use crate::text::figures::{self, number, time};

/// The effect of a different condition on a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearing {
    /// The figures have different meanings.
    Kind,
    /// The loads differ.
    Load,
    /// The machines differ, or their state.
    Machine,
    /// Different in any two runs.
    Run,
}

/// One condition.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) name: &'static str,
    pub(crate) bearing: Bearing,
    /// `None` without a meaning for the verb, or if the system does not report the value.
    pub(crate) value: Option<String>,
}

/// All conditions, in the same order for every run.
pub(crate) fn conditions(outcome: &Outcome) -> Vec<Condition> {
    let mut all = load(outcome);
    all.extend(machine(outcome));
    all
}

fn load(outcome: &Outcome) -> Vec<Condition> {
    let shape = &outcome.shape;
    let kind = |name, value| condition(Bearing::Kind, name, value);
    let load = |name, value| condition(Bearing::Load, name, value);
    let long = |nanos: u64| (nanos > 0).then(|| time(float(nanos)));
    let text = |text: &Option<String>| text.clone();
    let loop_ = match shape.loop_ {
        Loop::Closed => "closed",
        Loop::Open => "open",
    };
    vec![
        kind("verb", Some(outcome.verb.clone())),
        kind("loop", Some(loop_.to_owned())),
        kind("close", text(&shape.close)),
        kind("direction", text(&shape.direction)),
        load("connections", Some(shape.connections.to_string())),
        load("rate", shape.rate.map(figures::rate)),
        load("arrival", text(&shape.arrival)),
        load("message size", shape.size.as_deref().map(size)),
        load("request", text(&shape.request)),
        load("reply", text(&shape.reply)),
        load("opening", text(&shape.opening)),
        load("pipeline", Some(shape.pipeline.to_string())),
        load("verified", Some(yes_or_no(shape.verify))),
        load("lanes", Some(shape.lanes.to_string())),
        load("poller", Some(shape.poller.clone())),
        load("ramp", long(shape.ramp_ns)),
        load("warm-up", long(shape.warmup_ns)),
        load(
            "duration",
            shape.duration_ns.map(|nanos| time(float(nanos))),
        ),
        load("count", shape.count.map(figures::grouped)),
        load("hold", shape.hold_ns.map(|nanos| time(float(nanos)))),
        load("storm", shape.storm.then(|| yes_or_no(true))),
        load("source", text(&shape.source)),
        load("congestion requested", text(&shape.congestion)),
        load("PROXY header", text(&shape.proxy)),
        load(
            "objective",
            outcome.sweep.as_ref().map(|sweep| sweep.slo.clone()),
        ),
    ]
}

fn machine(outcome: &Outcome) -> Vec<Condition> {
    let environment = &outcome.environment;
    let machine = |name, value| condition(Bearing::Machine, name, value);
    let run = |name, value| condition(Bearing::Run, name, value);
    let ports = environment
        .ports
        .map(|(first, last)| format!("{first} to {last}"));
    let loadavg = environment
        .loadavg
        .map(|averages| averages.map(number).join(", "));
    let target = &outcome.target;
    let target = match target.given == target.address {
        true => target.given.clone(),
        false => format!("{} ({})", target.given, target.address),
    };
    let pid = outcome.target.pid.map(|pid| pid.to_string());
    vec![
        machine("kernel", environment.kernel.clone()),
        machine("CPU", environment.cpu.clone()),
        machine("cores", environment.cores.map(|cores| cores.to_string())),
        machine("congestion control", environment.congestion.clone()),
        machine(
            "descriptor limit",
            environment.descriptors_max.map(figures::grouped),
        ),
        machine(
            "somaxconn",
            environment.somaxconn.map(|most| most.to_string()),
        ),
        machine("local ports", ports),
        machine("corelane-bench", Some(outcome.corelane_bench.clone())),
        run("load averages before", loadavg),
        run("target", Some(target)),
        run("server's pid", pid),
        run("begun", Some(utc(outcome.started_unix_ms))),
        run("command", Some(command(outcome))),
    ]
}

/// The command line, quoted for a shell.
pub(crate) fn command(outcome: &Outcome) -> String {
    let mut words = vec!["corelane-bench".to_owned()];
    words.extend(outcome.arguments.iter().map(|argument| quoted(argument)));
    words.join(" ")
}

fn condition(bearing: Bearing, name: &'static str, value: Option<String>) -> Condition {
    Condition {
        name,
        bearing,
        value,
    }
}

/// One size in bytes, or the argument of a mixture.
fn size(given: &str) -> String {
    match given.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("{given} B"),
        false => given.to_owned(),
    }
}

/// Quoted for a shell where necessary.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=+.,:/@%[]".contains(c);
    match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', r"'\''")),
    }
}

fn yes_or_no(yes: bool) -> String {
    let word = if yes { "yes" } else { "no" };
    word.to_owned()
}

/// `2026-11-25 13:55:01 UTC` from milliseconds since 1970, by Hinnant's `civil_from_days`.
pub(crate) fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years start in March, so a leap day is the last day of its year. An era has 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let before = 365 * year_of_era + year_of_era / 4 - year_of_era / 100;
    let day_of_year = day_of_era - before;
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::{quoted, utc};

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(seconds * 1000 + 999), text);
        }
    }

    #[test]
    fn arguments_can_be_typed_again() {
        for (argument, text) in [
            ("127.0.0.1:7007", "127.0.0.1:7007"),
            ("p99>2ms", "'p99>2ms'"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(argument), text);
        }
    }
}
