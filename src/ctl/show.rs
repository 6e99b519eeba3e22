//! The answers of the server as text for people. Pure.

use std::fmt::Write;

use serde_json::Value;

use super::table::Table;
use crate::config::escape;

/// `GET /v1/status`
pub(super) fn status(of: &Value) -> String {
    let mut text = String::new();
    for (name, value) in [
        ("state", cell(&of["state"])),
        ("version", cell(&of["version"])),
        ("pid", cell(&of["pid"])),
        (
            "started",
            format!(
                "{}, {} ago",
                cell(&of["started"]),
                time(number(&of["uptime_s"]) * 1000)
            ),
        ),
        ("configuration", cell(&of["configuration"])),
        ("generation", cell(&of["generation"])),
        (
            "sessions",
            format!(
                "{} of {}",
                cell(&of["sessions"]["live"]),
                cell(&of["sessions"]["max"])
            ),
        ),
        ("access log", access_log(&of["access_log"])),
    ] {
        _ = writeln!(text, "{name:<14} {value}");
    }
    text.push('\n');
    let mut table = Table::new(&[
        "LANE", "POLLER", "SESSIONS", "BEGUN", "TURNS", "RECEIVED", "SENT",
    ]);
    for lane in list(&of["lanes"]) {
        table.row([
            cell(&lane["lane"]),
            cell(&lane["poller"]),
            cell(&lane["sessions"]),
            cell(&lane["sessions_begun"]),
            cell(&lane["turns"]),
            bytes(number(&lane["received_bytes"])),
            bytes(number(&lane["sent_bytes"])),
        ]);
    }
    text + &table.lines()
}

/// The counts of the access log. A log that was switched off has counts, too.
fn access_log(of: &Value) -> String {
    let (written, dropped) = (cell(&of["written"]), cell(&of["dropped"]));
    let is_on = of["is_on"] == true;
    let word = if is_on { "on" } else { "off" };
    format!("{word}, {written} lines written, {dropped} dropped")
}

/// `GET /v1/config`: a line for each key.
pub(super) fn config(of: &Value) -> String {
    fn lines(path: &str, of: &Value, text: &mut String) {
        match of {
            Value::Object(keys) => {
                for (key, value) in keys {
                    let dot = if path.is_empty() { "" } else { "." };
                    lines(&format!("{path}{dot}{key}"), value, text);
                }
            }
            Value::Array(elements) if elements.iter().any(Value::is_object) => {
                for (index, element) in elements.iter().enumerate() {
                    lines(&format!("{path}[{index}]"), element, text);
                }
            }
            _ => _ = writeln!(text, "{path} = {of}"),
        }
    }
    let mut text = String::new();
    lines("", of, &mut text);
    text
}

/// `GET /v1/generations`
pub(super) fn generations(of: &Value) -> String {
    let mut table = Table::new(&["GENERATION", "CURRENT", "AGE", "LISTENERS", "UPSTREAMS"]);
    for one in list(of) {
        table.row([
            cell(&one["generation"]),
            yes(&one["is_current"]),
            time(number(&one["age_s"]) * 1000),
            cell(&one["listeners"]),
            cell(&one["upstreams"]),
        ]);
    }
    table.lines()
}

/// `GET /v1/listeners`
pub(super) fn listeners(of: &Value) -> String {
    let mut table = Table::new(&[
        "NAME",
        "STATE",
        "SERVICE",
        "UPSTREAM",
        "SESSIONS",
        "BEGUN",
        "FROM CLIENT",
        "TO CLIENT",
        "ADDRESSES",
    ]);
    for one in list(of) {
        let addresses: Vec<String> = list(&one["addresses"]).map(cell).collect();
        table.row([
            cell(&one["name"]),
            cell(&one["state"]),
            cell(&one["service"]),
            cell(&one["upstream"]),
            cell(&one["sessions_live"]),
            cell(&one["sessions_begun"]),
            bytes(number(&one["from_client_bytes"])),
            bytes(number(&one["to_client_bytes"])),
            addresses.join(" "),
        ]);
    }
    table.lines()
}

/// `POST /v1/listeners/pause` and `/v1/listeners/resume`
pub(super) fn listener(of: &Value) -> String {
    let addresses: Vec<String> = list(&of["addresses"]).map(cell).collect();
    let (name, state) = (cell(&of["name"]), cell(&of["state"]));
    format!("listener {name}: {state}, {}\n", addresses.join(" "))
}

/// `POST /v1/reload`
pub(super) fn reload(of: &Value) -> String {
    let mut text = String::new();
    let generation = cell(&of["generation"]);
    _ = match of["dry_run"] == true {
        true => writeln!(text, "dry run: nothing has changed; a reload would do this"),
        false if of["changed"] == false => {
            writeln!(text, "reloaded: the configuration has not changed")
        }
        false => writeln!(text, "reloaded: generation {generation}"),
    };
    for line in list(&of["lines"]) {
        _ = writeln!(text, "  {}", cell(line));
    }
    let addresses = &of["addresses"];
    let [opened, replaced, kept, closed] =
        ["opened", "replaced", "kept", "closed"].map(|key| cell(&addresses[key]));
    _ = writeln!(
        text,
        "addresses  {opened} open, {kept} stay, {replaced} get new sockets, {closed} close"
    );
    let sessions = &of["sessions"];
    let [keep, drain, reset] = ["keep", "drain", "reset"].map(|key| cell(&sessions[key]));
    _ = writeln!(
        text,
        "sessions   {keep} stay, {drain} drain, {reset} are reset"
    );
    for removed in list(&sessions["removed"]) {
        let over = &removed["drain_over_s"];
        let over = over
            .as_u64()
            .map(|seconds| format!(" over {}", time(seconds * 1000)));
        _ = writeln!(
            text,
            "  {}: {} {}{}",
            cell(&removed["what"]),
            cell(&removed["sessions"]),
            cell(&removed["on_removed"]),
            over.unwrap_or_default()
        );
    }
    for key in list(&of["needs_restart"]) {
        _ = writeln!(text, "needs a restart: {}", cell(key));
    }
    if of["dry_run"] != true {
        let pause = number(&of["longest_pause_us"]);
        _ = writeln!(text, "longest pause of a lane: {pause} us");
    }
    text
}

/// `GET /v1/upstreams`: a line for each endpoint.
pub(super) fn upstreams(of: &Value) -> String {
    let mut table = Table::new(&[
        "NAME",
        "ENDPOINT",
        "ADMIN",
        "WEIGHT",
        "LEVEL",
        "SESSIONS",
        "MAX",
        "BEGUN",
        "FROM CLIENT",
        "TO CLIENT",
        "CONNECT P99",
        "HEALTH",
        "STATE",
        "FAILURES",
        "FOR",
    ]);
    for upstream in list(of) {
        for one in list(&upstream["endpoints"]) {
            table.row([
                cell(&upstream["name"]),
                cell(&one["address"]),
                cell(&one["admin_state"]),
                cell(&one["weight"]),
                cell(&one["level"]),
                cell(&one["sessions"]),
                cell(&one["max_sessions"]),
                cell(&one["sessions_begun"]),
                bytes(number(&one["from_client_bytes"])),
                bytes(number(&one["to_client_bytes"])),
                quantile(&one["connect"], "p99_us", 1000),
                cell(&one["health"]),
                cell(&one["state"]),
                cell(&one["failures"]),
                one["failing_ms"]
                    .as_u64()
                    .map_or_else(|| "-".to_owned(), time),
            ]);
        }
    }
    table.lines() + &sources(of)
}

/// A table of the sources of endpoints; empty without a source.
fn sources(of: &Value) -> String {
    let mut table = Table::new(&[
        "NAME",
        "SOURCE",
        "STATE",
        "ENDPOINTS",
        "AGE",
        "NEXT",
        "FAILURES",
        "ERROR",
    ]);
    let seconds = |value: &Value| {
        let seconds = value.as_u64().map(|seconds| time(seconds * 1000));
        seconds.unwrap_or_else(|| "-".to_owned())
    };
    let mut is_empty = true;
    for upstream in list(of) {
        for one in list(&upstream["sources"]) {
            is_empty = false;
            table.row([
                cell(&upstream["name"]),
                cell(&one["source"]),
                cell(&one["state"]),
                cell(&one["endpoints"]),
                seconds(&one["answer_age_s"]),
                seconds(&one["next_in_s"]),
                cell(&one["failures"]),
                one["error"].as_str().map_or_else(|| "-".to_owned(), escape),
            ]);
        }
    }
    match is_empty {
        true => String::new(),
        false => format!("\n{}", table.lines()),
    }
}

/// `POST /v1/upstreams/refresh`
pub(super) fn refreshed(of: &Value) -> String {
    let (upstream, asked) = (cell(&of["upstream"]), number(&of["asked"]));
    match asked {
        0 => format!("{upstream} has no source of endpoints to ask\n"),
        1 => format!("the source of {upstream} is asked\n"),
        _ => format!("{asked} sources of {upstream} are asked\n"),
    }
}

/// `GET /v1/metrics`
pub(super) fn metrics(of: &Value) -> String {
    of.as_str().unwrap_or_default().to_owned()
}

/// `GET /v1/lanes`
pub(super) fn lanes(of: &Value) -> String {
    let mut table = Table::new(&[
        "LANE",
        "POLLER",
        "CPU",
        "SESSIONS",
        "QUEUE",
        "BUSY",
        "TURNS",
        "TURN P99",
        "QUEUED P99",
        "STALLS",
        "RECEIVED",
        "SENT",
    ]);
    for lane in list(&of["lanes"]) {
        table.row([
            cell(&lane["lane"]),
            cell(&lane["poller"]),
            cell(&lane["cpu"]),
            cell(&lane["sessions"]),
            cell(&lane["run_queue"]),
            time(number(&lane["busy_ns"]) / 1_000_000),
            cell(&lane["turns"]),
            quantile(&lane["turn"], "p99_ns", 1),
            quantile(&lane["queue_delay"], "p99_ns", 1),
            cell(&lane["stalls"]),
            bytes(number(&lane["received_bytes"])),
            bytes(number(&lane["sent_bytes"])),
        ]);
    }
    table.lines()
}

/// A quantile of times that are so many nanoseconds each; a dash without a time.
fn quantile(of: &Value, key: &str, unit_ns: u64) -> String {
    if number(&of["count"]) == 0 {
        return "-".to_owned();
    }
    let ns = number(&of[key]).saturating_mul(unit_ns);
    match ns {
        0..10_000 => format!("{ns}ns"),
        10_000..10_000_000 => format!("{}us", ns / 1000),
        _ => time(ns / 1_000_000),
    }
}

/// `POST /v1/upstreams/endpoint`, or an endpoint of `GET /v1/upstreams`
pub(super) fn endpoint(of: &Value) -> String {
    let [upstream, address, admin, state] =
        ["upstream", "address", "admin_state", "state"].map(|key| cell(&of[key]));
    // Without a check there is nothing to say.
    let health = match (&of["health_for_ms"], &of["health_reason"]) {
        (Value::Null, _) => String::new(),
        (_, Value::Null) => format!("{}, ", cell(&of["health"])),
        (_, reason) => format!("{} ({}), ", cell(&of["health"]), cell(reason)),
    };
    let sessions = number(&of["sessions"]);
    let what = if sessions == 1 { "session" } else { "sessions" };
    let ending = match number(&of["ending"]) {
        0 => String::new(),
        _ => format!("; {}", ended(of).trim_end()),
    };
    let weight = cell(&of["weight"]);
    format!(
        "endpoint {address} of {upstream}: {admin}, {health}{state}, {sessions} {what}, weight \
         {weight}{ending}
"
    )
}

/// `GET /v1/sessions`
pub(super) fn sessions(of: &Value) -> String {
    let mut table = Table::new(&[
        "ID",
        "LISTENER",
        "CLIENT",
        "ENDPOINT",
        "STAGE",
        "AGE",
        "IDLE",
        "FROM CLIENT",
        "TO CLIENT",
    ]);
    for one in list(&of["sessions"]) {
        let stage = match one["is_ending"].as_bool() {
            Some(true) => "ending".to_owned(),
            _ => cell(&one["stage"]),
        };
        table.row([
            cell(&one["id"]),
            cell(&one["listener"]),
            cell(&one["client"]),
            cell(&one["endpoint"]),
            stage,
            time(number(&one["age_ms"])),
            time(number(&one["idle_ms"])),
            bytes(number(&one["from_client_bytes"])),
            bytes(number(&one["to_client_bytes"])),
        ]);
    }
    let mut text = table.lines();
    if !of["cursor"].is_null() {
        text.push_str("there may be more: --limit\n");
    }
    text
}

/// `GET /v1/sessions/ID`: a line for each fact.
pub(super) fn session(of: &Value) -> String {
    let mut text = String::new();
    let facts = of.as_object().into_iter().flatten();
    let (plain, tables): (Vec<_>, Vec<_>) = facts.partition(|(_, value)| !value.is_object());
    for (name, value) in plain {
        _ = writeln!(text, "{name:<28} {}", fact(name, value));
    }
    for (name, table) in tables {
        _ = writeln!(text, "\n{name}");
        for (name, value) in table.as_object().into_iter().flatten() {
            _ = writeln!(text, "  {name:<26} {}", fact(name, value));
        }
    }
    text
}

/// `POST /v1/sessions/end`
pub(super) fn ended(of: &Value) -> String {
    let ending = number(&of["ending"]);
    let what = if ending == 1 {
        "session ends"
    } else {
        "sessions end"
    };
    let more = match of["more"].as_bool() {
        Some(true) => "; more match than --max allows",
        _ => "",
    };
    format!("{ending} {what}{more}\n")
}

pub(super) fn log_level(of: &Value) -> String {
    cell(&of["level"]) + "\n"
}

pub(super) fn stop(of: &Value) -> String {
    cell(&of["state"]) + "\n"
}

/// A fact with its unit in words, by the end of its name.
fn fact(name: &str, value: &Value) -> String {
    match value.as_u64() {
        Some(ms) if name.ends_with("_ms") => time(ms),
        Some(count) if name.ends_with("_bytes") => bytes(count),
        _ => cell(value),
    }
}

fn list(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

fn number(of: &Value) -> u64 {
    of.as_u64().unwrap_or_default()
}

fn yes(of: &Value) -> String {
    let is = of.as_bool().unwrap_or_default();
    if is { "yes" } else { "no" }.to_owned()
}

/// A value in a cell; nothing is a dash.
fn cell(of: &Value) -> String {
    match of {
        Value::Null => "-".to_owned(),
        Value::String(text) => escape(text),
        other => other.to_string(),
    }
}

/// `120ms`, `5.3s`, `4m12s`, `3h04m`, `2d03h`
fn time(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms}ms"),
        1..60 => format!("{s}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3600 % 24),
    }
}

/// `999`, `12.3KiB`, `1.0GiB`
fn bytes(count: u64) -> String {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{bytes, config, ended, sessions, time};

    #[test]
    fn quantities_are_short() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (5_340, "5.3s"),
            (252_000, "4m12s"),
            (11_040_000, "3h04m"),
            (183_600_000, "2d03h"),
        ] {
            assert_eq!(time(ms), text);
        }
        for (count, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0KiB"),
            (1_572_864, "1.5MiB"),
            (u64::MAX, "15.9EiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn keys_have_their_paths() {
        let of = json!({"log": {"level": "info"}, "listener": [{"bind": ["[::1]:1"]}]});
        let expected = "listener[0].bind = [\"[::1]:1\"]\nlog.level = \"info\"\n";
        assert_eq!(config(&of), expected);
    }

    #[test]
    fn a_name_of_the_server_cannot_write_to_the_terminal() {
        let session = json!({"id": 7, "listener": "a\u{1b}[2J", "age_ms": 5});
        let of = json!({"sessions": [session], "cursor": "0.1"});
        let text = sessions(&of);
        assert!(
            !text.contains('\u{1b}') && text.contains("there may be more"),
            "{text}"
        );
        assert_eq!(
            ended(&json!({"ending": 1, "more": true})),
            "1 session ends; more match than --max allows\n"
        );
    }
}
