//! The commands of the control plane to the lanes: pages of sessions, a session, ends, recordings.
//!
//! A lane answers between two turns. A command visits at most [`SLOTS_MAX`] slots of the lane's
//! table of tasks.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::filter::Filter;
use super::reply::Reply;
use crate::runtime::{
    Cursor, Description, EndRequest, Event, Legs, NamedTasks, Recording, SessionId,
};
use crate::stats::LaneStats;

/// The most slots of a visit by a lane: some 50 us.
pub(crate) const SLOTS_MAX: usize = 1024;

/// A lane, seen from the control thread.
pub(crate) struct Lane {
    pub(crate) poller: &'static str,
    /// Pinned to this CPU.
    pub(crate) cpu: Option<usize>,
    pub(crate) buffers_max: usize,
    /// The CPU time of the lane's thread.
    pub(crate) busy: Box<dyn Fn() -> Duration + Send + Sync>,
    pub(crate) stats: Arc<LaneStats>,
    /// Sends a command. The command is dropped if the lane has ended.
    pub(crate) send: Box<dyn Fn(ToLane) + Send + Sync>,
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane")
            .field("poller", &self.poller)
            .finish_non_exhaustive()
    }
}

/// A command to a lane about sessions or about a recording.
#[derive(Debug)]
pub(crate) enum ToLane {
    /// The sessions of the next slots, by a filter.
    List {
        from: Cursor,
        filter: Arc<Filter>,
        /// The most sessions of the page.
        most: usize,
        reply: Reply<Page>,
    },
    /// A session at a place; none if the session has ended.
    Show {
        id: SessionId,
        at: Cursor,
        reply: Reply<Option<Shown>>,
    },
    /// Ends these sessions, at most [`SLOTS_MAX`], as far as present; replies with the
    /// number.
    End {
        sessions: Vec<(SessionId, Cursor)>,
        why: EndRequest,
        reply: Reply<usize>,
    },
    /// Records what the lane does, from now on, into this memory.
    StartRecording {
        memory: Vec<Event>,
        reply: Reply<()>,
    },
    /// Names the tasks of the next slots, at most [`SLOTS_MAX`].
    NameTasks {
        from: Cursor,
        reply: Reply<NamedTasks>,
    },
    /// Ends the recording, and replies with it.
    StopRecording { reply: Reply<Recording> },
}

/// Sessions of a lane.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) sessions: Vec<Found>,
    /// Where the listing goes on.
    pub(crate) next: Option<Cursor>,
}

/// A session and the place in the lane's table of tasks.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) session: Description,
    pub(crate) cursor: Cursor,
}

/// A session and the connections.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) session: Description,
    pub(crate) legs: Legs,
}
