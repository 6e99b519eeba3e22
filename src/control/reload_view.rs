//! The result of a reload, from the main thread and in the answer.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::removed::Removal;
use crate::config::OnRemoved;

/// The result of a reload.
#[derive(Clone, Debug)]
pub(crate) struct Reloaded {
    /// The number of the configuration in service afterwards.
    pub(crate) generation: u32,
    /// The changes of the configuration, for programs and for people.
    pub(crate) changes: Value,
    pub(crate) lines: Vec<String>,
    pub(crate) addresses: Addresses,
    /// Keys without a change until a restart.
    pub(crate) needs_restart: Vec<String>,
    pub(crate) removals: Vec<Removal>,
    /// The longest time of a lane in the switch.
    pub(crate) pause: Duration,
    /// By discovery, not by a reload.
    pub(crate) is_found: bool,
}

impl Reloaded {
    /// Of the first configuration of a process.
    pub(crate) fn of_first() -> Self {
        Self {
            generation: 0,
            changes: Value::Null,
            lines: Vec::new(),
            addresses: Addresses::default(),
            needs_restart: Vec::new(),
            removals: Vec::new(),
            pause: Duration::ZERO,
            is_found: false,
        }
    }
}

/// How many addresses a reload opens, keeps and closes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Addresses {
    pub(crate) opened: usize,
    /// Kept, with new sockets: socket options have changed.
    pub(crate) replaced: usize,
    pub(crate) kept: usize,
    pub(crate) closed: usize,
}

/// `POST /v1/reload`
#[derive(Debug, Serialize)]
pub(super) struct ReloadView {
    dry_run: bool,
    changed: bool,
    generation: u32,
    lines: Vec<String>,
    changes: Value,
    addresses: Addresses,
    sessions: RetiredView,
    needs_restart: Vec<String>,
    longest_pause_us: u64,
}

/// The present sessions by the rule for the end.
#[derive(Debug, Default, Serialize)]
struct RetiredView {
    keep: usize,
    drain: usize,
    reset: usize,
    removed: Vec<RemovalView>,
}

#[derive(Debug, Serialize)]
struct RemovalView {
    what: String,
    /// "keep", "drain" or "reset"
    on_removed: &'static str,
    drain_over_s: Option<u64>,
    sessions: usize,
}

impl ReloadView {
    /// `counts` are the sessions of each removal, among `live` sessions in all.
    pub(super) fn new(dry_run: bool, of: Reloaded, counts: &[usize], live: usize) -> Self {
        let mut sessions = RetiredView::default();
        for (removal, &count) in of.removals.iter().zip(counts) {
            let (on_removed, over) = match removal.on_removed {
                OnRemoved::Keep => ("keep", None),
                OnRemoved::Drain { over } => {
                    sessions.drain += count;
                    ("drain", Some(over.as_secs()))
                }
                OnRemoved::Reset => {
                    sessions.reset += count;
                    ("reset", None)
                }
            };
            sessions.removed.push(RemovalView {
                what: removal.what(),
                on_removed,
                drain_over_s: over,
                sessions: count,
            });
        }
        sessions.keep = live.saturating_sub(sessions.drain + sessions.reset);
        Self {
            dry_run,
            changed: of.changes["changed"] == true,
            generation: of.generation,
            lines: of.lines,
            changes: of.changes,
            addresses: of.addresses,
            sessions,
            needs_restart: of.needs_restart,
            longest_pause_us: u64::try_from(of.pause.as_micros()).unwrap_or(u64::MAX),
        }
    }
}
