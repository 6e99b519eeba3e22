//! What a lane reports to the main thread while its load runs.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use corelane::poller::BackEnd;
use corelane::runtime::Remote;

use super::recorder::Interval;
use crate::procfs::thread_clock::ThreadClock;

/// What a lane says when it has tried all of its connections.
#[derive(Debug)]
pub(crate) struct Connected {
    /// Connections that are open, or would be made.
    pub(crate) opened: u32,
    pub(crate) back_end: BackEnd,
}

/// What a lane says as soon as it is there.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) remote: Remote,
    pub(crate) clock: ThreadClock,
    /// Nanoseconds that the lane has spent awake for want of anything to do.
    pub(crate) spun: Arc<AtomicU64>,
}

/// What a lane says on its way.
#[derive(Debug)]
pub(crate) enum LaneEvent {
    Started(Started),
    Connected(Connected),
    Row(Box<Interval>),
}
