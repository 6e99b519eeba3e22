//! Logs which limits are reached, at most once a second for each limit, and counts. Runs on the
//! watchdog's thread; the lanes only count.

use std::sync::Arc;
use std::time::Duration;

use super::changeable::Bound;
use crate::proxy::SessionLimit;
use crate::runtime::Remote;
use crate::sys::{self, Time};

/// The least time between two lines about one limit.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often each limit was reached since the start, over all lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Connections that waited for a place.
    places: u64,
    /// Times that a lane wanted a buffer and all were in use.
    buffers: u64,
    /// Accepts that failed for want of descriptors or memory.
    accepts: u64,
    /// Connections that the kernel dropped since a backlog was full.
    backlogs: u64,
}

/// The log state of a limit.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    count: u64,
    due: Time,
}

impl Told {
    /// How often a limit was reached since the last line, if a new line is due.
    fn more(&mut self, count: u64, now: Time) -> Option<u64> {
        let times = count - self.count;
        if times == 0 || now < self.due {
            return None;
        }
        (self.count, self.due) = (count, now + INTERVAL);
        Some(times)
    }
}

/// The limits of a server that runs.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    limit: Arc<SessionLimit>,
    bound: Bound,
    /// Of each lane.
    buffers_max: usize,
    lanes: Vec<Remote>,
    /// What the kernel had counted before the start, and has now.
    overflows: (u64, u64),
    looked: Time,
    places: Told,
    buffers: Told,
    backlogs: Told,
}

impl Reached {
    /// Nothing is reached yet.
    pub(super) fn new(
        limit: Arc<SessionLimit>,
        bound: Bound,
        buffers_max: usize,
        lanes: Vec<Remote>,
    ) -> Self {
        let overflows = sys::kernel_counts::listen_overflows().unwrap_or(0);
        Self {
            limit,
            bound,
            buffers_max,
            lanes,
            overflows: (overflows, overflows),
            looked: Time::ZERO,
            places: Told::default(),
            buffers: Told::default(),
            backlogs: Told::default(),
        }
    }

    /// Another limit decides the number of sessions from now on.
    pub(super) fn bound_by(&mut self, bound: Bound) {
        self.bound = bound;
    }

    /// Reads the counters and logs new events. Queries the system once a second.
    pub(super) fn look(&mut self, now: Time) {
        if now.since(self.looked) >= INTERVAL {
            self.looked = now;
            self.ask_system();
        }
        let counts = self.counts();
        if let Some(waited) = self.places.more(counts.places, now) {
            tracing::warn!(
                limit = "max_sessions",
                value = self.limit.max(),
                bound_by = self.bound.word(),
                memory_limit = self.bound.memory(),
                waited,
                in_all = counts.places,
                remedy = "raise runtime.max_sessions, or what bounds it",
                "the limit on sessions is reached: clients wait in the backlog until a session ends"
            );
        }
        if let Some(times) = self.buffers.more(counts.buffers, now) {
            tracing::warn!(
                limit = "buffers",
                value = self.buffers_max,
                times,
                in_all = counts.buffers,
                remedy = "lower runtime.high_mark, or raise the limit on memory",
                "all buffers of a lane are in use: its sessions wait for those of slow readers"
            );
        }
        if let Some(dropped) = self.backlogs.more(counts.backlogs, now) {
            tracing::warn!(
                limit = "backlog",
                dropped,
                in_all = counts.backlogs,
                remedy = "raise listener.backlog and net.core.somaxconn",
                "a backlog is full: the kernel dropped connections, here or at another listener in \
                 this network namespace; their clients try again"
            );
        }
    }

    /// Says at the end how often each limit was reached, if any was.
    pub(super) fn sum_up(&mut self) {
        self.ask_system();
        let counts = self.counts();
        if counts == Counts::default() {
            return;
        }
        tracing::info!(
            waited_for_a_place = counts.places,
            accepts_failed = counts.accepts,
            buffers_in_use = counts.buffers,
            dropped_by_backlogs = counts.backlogs,
            "limits that were reached, in all"
        );
    }

    fn ask_system(&mut self) {
        // Another namespace's counter may be lower.
        let now = sys::kernel_counts::listen_overflows().unwrap_or(0);
        self.overflows.1 = self.overflows.1.max(now);
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts {
            backlogs: self.overflows.1 - self.overflows.0,
            ..Counts::default()
        };
        for stats in self.lanes.iter().map(Remote::stats) {
            counts.places += stats.permit_waits.value();
            counts.buffers += stats.buffer_waits.value();
            counts.accepts += stats.accept_failures.value();
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Told;
    use crate::sys::Time;

    #[test]
    fn a_limit_is_told_at_once_and_then_once_a_second() {
        let at = |millis| Time::ZERO + Duration::from_millis(millis);
        let mut told = Told::default();
        let looks = [
            (0, 10),
            (3, 20),
            (3, 30),
            (9, 500),
            (9, 1019),
            (9, 1020),
            (9, 5000),
        ];
        let answers = looks.map(|(count, millis)| told.more(count, at(millis)));
        assert_eq!(
            answers,
            [None, Some(3), None, None, None, Some(6), None],
            "what came within the second is told after it"
        );
    }
}
