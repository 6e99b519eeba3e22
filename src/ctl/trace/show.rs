//! The answers from a trace as text for people. Pure.

use std::fmt::Write;

use serde_json::Value;

use super::super::table::Table;

pub(super) fn summary(of: &Value) -> String {
    let mut text = format!("recorded {}\n\n", time(&of["recorded_us"]));
    let mut lanes = Table::new(&[
        "LANE",
        "LOAD",
        "TURNS",
        "POLLS",
        "LONGEST TURN",
        "LONGEST QUEUE",
        "STALLS",
    ]);
    let list = |name: &str| of[name].as_array().cloned().unwrap_or_default();
    for lane in list("lanes") {
        lanes.row([
            word(&lane["lane"]),
            format!("{:.1} %", lane["load"].as_f64().unwrap_or_default() * 100.0),
            word(&lane["turns"]),
            word(&lane["polls"]),
            time(&lane["turn_longest_us"]),
            word(&lane["queue_longest"]),
            word(&lane["stalls"]),
        ]);
    }
    text += &lanes.lines();
    for lane in list("lanes") {
        if lane["is_cut"] == true {
            let (name, after) = (word(&lane["lane"]), time(&lane["recorded_us"]));
            _ = writeln!(
                text,
                "{name}: the recording was full after {after}; see --mib"
            );
        }
    }
    match of["session"].as_u64() {
        None => {
            text += "\nlongest waits for a lane, by task\n";
            text += &waits_by_task(&list("waits"));
        }
        Some(id) => {
            _ = writeln!(text, "\nlongest waits of session {id} for the lane");
            text += &waits(&list("waits"));
        }
    }
    text += "\nlongest polls\n";
    let mut polls = Table::new(&["TASK", "LANE", "AT", "TOOK"]);
    for poll in list("polls") {
        let cells = [
            word(&poll["who"]),
            word(&poll["lane"]),
            time(&poll["at_us"]),
        ];
        polls.row(cells.into_iter().chain([time(&poll["us"])]));
    }
    text + &polls.lines()
}

fn waits_by_task(rows: &[Value]) -> String {
    let mut table = Table::new(&[
        "TASK", "LANE", "WAITS", "IN ALL", "LONGEST", "AT MOST", "AT", "BEHIND",
    ]);
    for row in rows {
        table.row([
            word(&row["who"]),
            word(&row["lane"]),
            word(&row["waits"]),
            time(&row["total_us"]),
            time(&row["queued_us"]),
            time(&row["at_most_us"]),
            time(&row["at_us"]),
            behind(&row["behind"]),
        ]);
    }
    table.lines()
}

fn waits(rows: &[Value]) -> String {
    let mut table = Table::new(&["LANE", "AT", "WAITED", "AT MOST", "BEHIND"]);
    for row in rows {
        table.row([
            word(&row["lane"]),
            time(&row["at_us"]),
            time(&row["queued_us"]),
            time(&row["at_most_us"]),
            behind(&row["behind"]),
        ]);
    }
    table.lines()
}

fn behind(of: &Value) -> String {
    let tasks = of.as_array().cloned().unwrap_or_default();
    let one = |task: &Value| format!("{} {}", word(&task["who"]), time(&task["us"]));
    match tasks.is_empty() {
        true => "-".to_owned(),
        false => tasks.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

fn word(of: &Value) -> String {
    of.as_str().map_or_else(|| of.to_string(), str::to_owned)
}

/// Microseconds for people.
fn time(us: &Value) -> String {
    match us.as_f64().unwrap_or_default() {
        us if us < 1000.0 => format!("{us:.1}us"),
        us if us < 1_000_000.0 => format!("{:.2}ms", us / 1000.0),
        us => format!("{:.3}s", us / 1_000_000.0),
    }
}
