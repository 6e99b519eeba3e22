//! Sessions: the tasks for which a lane is there, and which outlive a stop until they end.
//!
//! A lane keeps its sessions in the table of its tasks. A session is described and asked to end
//! between two turns, never during a poll, so a message pays nothing for this. Other tasks are in
//! the background: a stop does not wait for them.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use crate::sys::Time;

/// Identifies a session for the life of the process. 64 bits, never used twice: a process that
/// continues another one can go on behind the last id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a session is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndRequest {
    /// The server stops.
    Shutdown,
}

/// A session at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The session.
    pub id: SessionId,
    /// What the listener does with its connections: "echo" or "proxy".
    pub kind: &'static str,
    /// How far the session has come: "opening" or "relay".
    pub stage: &'static str,
    /// The configuration that the session began with.
    pub generation: u32,
    /// The name of its listener.
    pub listener: Arc<str>,
    /// The address of the client.
    pub client: SocketAddr,
    /// The address of the endpoint that has answered.
    pub endpoint: Option<SocketAddr>,
    /// When the session began.
    pub since: Time,
    /// Bytes from the client that the other end's kernel took.
    pub from_client: u64,
    /// Bytes that the client's kernel took.
    pub to_client: u64,
}

/// The future of a session.
pub trait Session: Future<Output = ()> {
    /// What the session is doing.
    fn describe(&self) -> Description;

    /// Has the session end in its next poll, which follows at once, by a reset of all its
    /// connections.
    fn ask_to_end(self: Pin<&mut Self>, why: EndRequest);
}

/// What answers for a session whose future is opaque, as that of an `async fn`.
pub trait Control {
    /// As [`Session::describe`].
    fn describe(&self) -> Description;

    /// As [`Session::ask_to_end`]. The future has to look.
    fn ask_to_end(&self, why: EndRequest);
}

/// Where a listing of a lane's sessions goes on: at a slot of the table of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub(super) usize);
