//! The commands of the main thread to the lanes.
//!
//! A lane reads commands between two turns, in order as long as no more wait than the ring of the
//! mailbox holds: a stop sends three, and a reload waits for the answers to the reload before. To
//! add a command: a variant here, an arm of `Serving::obey` in `lane.rs`, and a sender in
//! `supervision.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::point::{KeptPoint, PointId};
use crate::control::{Reply, ToLane};
use crate::net::ListenerKind;
use crate::proxy::{Handed, Handoff, SharedListener};
use crate::runtime::{MailSender, Remote};
use crate::sys::OsSocket;

/// A command of the main thread to a lane.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept as a configuration says.
    Switch(Switch, Reply<Switched>),
    /// Accept no more at these points, or accept again.
    Pause {
        points: Arc<[PointId]>,
        is_paused: bool,
    },
    /// Tell about sessions, or end some.
    Sessions(ToLane),
    /// Stop all listeners. Connections already accepted by the kernel are served. End when the last
    /// session has ended.
    Drain,
    /// End now, and reset the remaining sessions.
    Abort,
}

/// The listening points of a configuration, for one lane. The lane stops all other points.
#[derive(Debug)]
pub(crate) struct Switch {
    /// By the listener's index in the configuration.
    pub(crate) listeners: Arc<[Arc<SharedListener>]>,
    /// Points that listen already, of any lane.
    pub(crate) kept: Arc<[KeptPoint]>,
    /// Points of this lane that listen from now on.
    pub(crate) new: Vec<NewPoint>,
    /// Expects the accept loops of the new points of all lanes.
    pub(crate) handoff: Arc<Handoff>,
}

/// A listening socket that a lane has to accept on.
#[derive(Debug)]
pub(crate) struct NewPoint {
    pub(crate) point: PointId,
    /// The index of the listener in the configuration.
    pub(crate) listener: usize,
    pub(crate) socket: OsSocket,
    pub(crate) kind: ListenerKind,
    /// The listener takes no connections at the moment.
    pub(crate) is_paused: bool,
    /// Whether each lane has a socket of its own, over which the kernel spreads connections.
    pub(crate) is_spread: bool,
}

/// A lane's answer to a switch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switched {
    /// How long the switch held the lane.
    pub(crate) pause: Duration,
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
