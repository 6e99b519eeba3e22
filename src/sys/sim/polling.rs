//! The kernel's part of a poller: a ring or an event queue, and how long the poller sleeps.

use std::collections::VecDeque;

use super::ring::Ring;

/// How long a waiting poller is willing to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// Not at all: the poller returns at once.
    Not,
    /// Until a time; `None` is for ever.
    Until(Option<u64>),
}

/// The kernel's part of a poller.
#[derive(Debug)]
pub(crate) struct Polling {
    pub(super) kind: Kind,
    /// The requested sleep of the last wait.
    pub(super) sleep: Sleep,
}

#[derive(Debug)]
pub(super) enum Kind {
    Ring(Ring),
    Queue(Queue),
}

/// An epoll-like queue of edges.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The changed watches, each once.
    pub(super) ready: VecDeque<Changed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    Socket { index: u32, token: u64 },
    Counter,
}

/// An event of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) ended: bool,
}
