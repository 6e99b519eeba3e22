//! What the main thread orders a lane to do.
//!
//! A lane reads its commands between two turns, in order. To add one: a variant here, its arm in
//! `Serving::obey` in `lane.rs`, and a sender in `supervision.rs`.

use std::sync::Arc;

use super::bind::LaneListeners;
use crate::proxy::{Handed, Handoff, ListenerId};
use crate::runtime::{MailSender, Remote};

/// An order of the main thread to one lane.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept on these sockets, which belong to a generation that the lane has.
    Listen {
        generation: u32,
        sockets: LaneListeners,
        /// `None` where there is only one lane.
        handoff: Option<Arc<Handoff>>,
    },
    /// Stop accepting for these listeners. Connections that the kernel had accepted are served.
    Stop(Vec<ListenerId>),
    /// End once no listener accepts and the last session has ended.
    Drain,
    /// End now, and reset the sessions that are left.
    Abort,
}

/// A lane's mailboxes, as other threads see them.
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
