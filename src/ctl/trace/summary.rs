//! The answers from a trace: the load of each lane, long turns and polls, and who waited for whom.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::replay::{Lane, Poll, Span, Wait};

/// A turn of this length is a stall, as in the watchdog's view.
const STALL_NS: u64 = 50_000_000;
/// Names of a wait's causes.
const BEHIND_MAX: usize = 3;

/// What is asked of a trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The waits of this session alone.
    pub(super) session: Option<u64>,
    /// Rows of each list.
    pub(super) top: usize,
}

/// The waits of a task, in all.
#[derive(Clone, Copy, Debug)]
struct Waits {
    count: u64,
    total: u64,
    longest: Wait,
}

/// The answers. Times are in microseconds, those named `at` from the begin of the trace.
pub(super) fn of(lanes: &[Lane], asked: Asked) -> Value {
    let began = lanes
        .iter()
        .map(|lane| lane.span.from)
        .filter(|&from| from > 0);
    let began = began.min().unwrap_or(0);
    let ended = lanes.iter().map(|lane| lane.span.to).max().unwrap_or(0);
    let whole = Span {
        from: began,
        to: ended,
    };
    let waits = match asked.session {
        None => longest_by_task(lanes, began, asked.top),
        Some(id) => of_session(lanes, id, began, asked.top),
    };
    json!({
        "recorded_us": us(whole.length()),
        "lanes": lanes.iter().map(lane).collect::<Vec<_>>(),
        "session": asked.session,
        "waits": waits,
        "polls": longest_polls(lanes, asked, began),
    })
}

fn lane(of: &Lane) -> Value {
    let busy: u64 = of.turns.iter().map(|turn| turn.length()).sum();
    let longest = of.turns.iter().map(|turn| turn.length()).max();
    let stalls = of.turns.iter().filter(|turn| turn.length() >= STALL_NS);
    json!({
        "lane": of.name,
        "load": round(busy, of.span.length()),
        "turns": of.turns.len(),
        "polls": of.polls.len(),
        "turn_longest_us": us(longest.unwrap_or(0)),
        "queue_longest": of.queue_longest,
        "stalls": stalls.count(),
        "is_cut": of.is_full,
        "recorded_us": us(of.span.length()),
    })
}

/// The tasks with the longest waits, a row each.
fn longest_by_task(lanes: &[Lane], began: u64, top: usize) -> Vec<Value> {
    let mut rows: Vec<(&Lane, Waits)> = Vec::new();
    for lane in lanes {
        let mut by_task: HashMap<u64, Waits> = HashMap::new();
        for &wait in &lane.waits {
            let first = Waits {
                count: 0,
                total: 0,
                longest: wait,
            };
            let waits = by_task.entry(wait.who).or_insert(first);
            waits.count += 1;
            waits.total += wait.span.length();
            if wait.at_most().length() > waits.longest.at_most().length() {
                waits.longest = wait;
            }
        }
        rows.extend(by_task.into_values().map(|waits| (lane, waits)));
    }
    let length = |waits: &Waits| waits.longest.at_most().length();
    rows.sort_by_key(|(_, waits)| (std::cmp::Reverse(length(waits)), waits.longest.who));
    let rows = rows.iter().take(top);
    rows.map(|(lane, waits)| {
        let mut row = wait(lane, &waits.longest, began);
        row["waits"] = waits.count.into();
        row["total_us"] = us(waits.total).into();
        row
    })
    .collect()
}

/// The longest waits of a session, a row each.
fn of_session(lanes: &[Lane], id: u64, began: u64, top: usize) -> Vec<Value> {
    let mut waits: Vec<(&Lane, &Wait)> = Vec::new();
    for lane in lanes {
        let own = lane
            .waits
            .iter()
            .filter(|wait| lane.session(wait.who) == Some(id));
        waits.extend(own.map(|wait| (lane, wait)));
    }
    waits.sort_by_key(|(_, wait)| std::cmp::Reverse(wait.at_most().length()));
    let rows = waits.iter().take(top);
    rows.map(|(lane, one)| wait(lane, one, began)).collect()
}

fn wait(lane: &Lane, of: &Wait, began: u64) -> Value {
    json!({
        "who": lane.who(of.who),
        "session": lane.session(of.who),
        "lane": lane.name,
        "at_us": us(of.span.to.saturating_sub(began)),
        "queued_us": us(of.span.length()),
        "at_most_us": us(of.at_most().length()),
        "behind": behind(lane, of),
    })
}

/// The tasks that ran during a wait, the longest first.
fn behind(lane: &Lane, of: &Wait) -> Vec<Value> {
    let during = of.at_most();
    let first = lane
        .polls
        .partition_point(|poll| poll.span.to <= during.from);
    let polls = lane.polls[first..].iter();
    let mut by_task: HashMap<u64, (u64, u64)> = HashMap::new();
    for poll in polls.take_while(|poll| poll.span.from < during.to) {
        let (time, polls) = by_task.entry(poll.who).or_default();
        *time += poll.span.overlap(during);
        *polls += 1;
    }
    let mut tasks: Vec<_> = by_task.into_iter().collect();
    tasks.sort_by_key(|&(who, (time, _))| (std::cmp::Reverse(time), who));
    let tasks = tasks.iter().take(BEHIND_MAX);
    tasks
        .map(|&(who, (time, polls))| {
            json!({
                "who": lane.who(who),
                "session": lane.session(who),
                "us": us(time),
                "polls": polls,
            })
        })
        .collect()
}

fn longest_polls(lanes: &[Lane], asked: Asked, began: u64) -> Vec<Value> {
    let mut polls: Vec<(&Lane, &Poll)> = Vec::new();
    for lane in lanes {
        let is_asked = |poll: &&Poll| match asked.session {
            None => true,
            asked => lane.session(poll.who) == asked,
        };
        polls.extend(lane.polls.iter().filter(is_asked).map(|poll| (lane, poll)));
    }
    polls.sort_by_key(|(_, poll)| std::cmp::Reverse(poll.span.length()));
    let rows = polls.iter().take(asked.top);
    rows.map(|(lane, poll)| {
        json!({
            "who": lane.who(poll.who),
            "session": lane.session(poll.who),
            "lane": lane.name,
            "at_us": us(poll.span.from.saturating_sub(began)),
            "us": us(poll.span.length()),
        })
    })
    .collect()
}

/// Microseconds with a decimal.
#[expect(clippy::cast_precision_loss, reason = "a time within a minute")]
fn us(ns: u64) -> f64 {
    (ns as f64 / 100.0).round() / 10.0
}

/// A share with three decimals.
#[expect(clippy::cast_precision_loss, reason = "times within a minute")]
fn round(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * 1000.0).round() / 1000.0
}
