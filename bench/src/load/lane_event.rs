//! The events of a lane, sent to the main thread.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use corelane::poller::BackEnd;
use corelane::runtime::Remote;

use super::recorder::Interval;
use crate::procfs::thread_clock::ThreadClock;

/// The lane has attempted to open all connections.
#[derive(Debug)]
pub(crate) struct Connected {
    /// Open connections; with `churn`, the number of concurrent ones.
    pub(crate) opened: u32,
    pub(crate) back_end: BackEnd,
}

/// The lane's thread runs.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) remote: Remote,
    pub(crate) clock: ThreadClock,
    /// Nanoseconds spent spinning.
    pub(crate) spun: Arc<AtomicU64>,
}

/// An event of a lane.
#[derive(Debug)]
pub(crate) enum LaneEvent {
    Started(Started),
    Connected(Connected),
    Row(Box<Interval>),
}
