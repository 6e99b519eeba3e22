//! The commands of the main thread to the lanes.
//!
//! A lane reads commands between two turns, in order as long as no more wait than the ring of the
//! mailbox holds: a stop sends three. To add a command: a variant here, an arm of
//! `Serving::obey` in `lane.rs`, and a sender in `supervision.rs`.

use std::sync::Arc;

use super::bind::LaneListeners;
use crate::control::ToLane;
use crate::proxy::{Handed, Handoff, ListenerId};
use crate::runtime::{MailSender, Remote};

/// A command of the main thread to a lane.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept on these sockets of a prepared generation.
    Listen {
        generation: u32,
        sockets: LaneListeners,
        /// `None` where there is only one lane.
        handoff: Option<Arc<Handoff>>,
    },
    /// Stop these listeners. Connections already accepted by the kernel are served.
    Stop(Vec<ListenerId>),
    /// Tell about sessions, or end some.
    Sessions(ToLane),
    /// End when no listener accepts and the last session has ended.
    Drain,
    /// End now, and reset the remaining sessions.
    Abort,
}

/// Senders to a lane's mailboxes, for use from any thread.
#[derive(Clone, Debug)]
pub(crate) struct LaneSenders {
    pub(crate) commands: MailSender<Command>,
    pub(crate) handed: MailSender<Handed>,
}

impl LaneSenders {
    pub(crate) fn remote(&self) -> &Remote {
        self.commands.lane()
    }
}
