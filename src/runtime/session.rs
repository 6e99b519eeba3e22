//! Sessions: the tasks that a draining lane waits for. All remaining tasks are in the background.
//!
//! A lane keeps sessions in its table of tasks. The driver describes a session or asks a session to
//! end between two turns, never during a poll, so a message pays nothing.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use crate::sys::{PeerAddress, TcpInfo, Time};

/// Identifies a session for the life of the process. Never used twice; 64 bits, so a process that
/// takes over can continue the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a session is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndRequest {
    /// The server stops.
    Shutdown,
    /// An operator ends the session.
    Operator,
    /// A reload has removed the session's listener or endpoint.
    Removed,
    /// The session's endpoint is down.
    EndpointDown,
}

/// A session at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    /// The session.
    pub id: SessionId,
    /// The service of the listener: "echo" or "proxy".
    pub kind: &'static str,
    /// The progress of the session: "opening" or "relay".
    pub stage: &'static str,
    /// The number of the session's first configuration.
    pub generation: u32,
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The address of the client.
    pub client: PeerAddress,
    /// The name of the upstream; none for an echo.
    pub upstream: Option<Arc<str>>,
    /// The address of the connected endpoint.
    pub endpoint: Option<SocketAddr>,
    /// The start of the session.
    pub since: Time,
    /// The start of the present idle time.
    pub active: Time,
    /// Whether a direction has ended, or the last bytes wait for acknowledgement.
    pub is_ending: bool,
    /// Bytes from the client accepted by the kernel for the far end.
    pub from_client: u64,
    /// Bytes accepted by the kernel for the client.
    pub to_client: u64,
}

/// The connections of a session, in the kernel's view at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Legs {
    /// `None` where the system has no such facts, or before the relay.
    pub client: Option<TcpInfo>,
    /// The same for the upstream; `None` for an echo, too.
    pub upstream: Option<TcpInfo>,
}

/// The future of a session.
pub(crate) trait Session: Future<Output = ()> {
    /// The session, the same for life. Ids begin at 1.
    fn id(&self) -> SessionId {
        self.describe().id
    }

    /// The present state of the session.
    fn describe(&self) -> Description;

    /// The session's connections: a system call for each.
    fn legs(&self) -> Legs {
        Legs::default()
    }

    /// Lets the session end in the next poll, which follows at once, by a reset of all connections.
    fn ask_to_end(self: Pin<&mut Self>, why: EndRequest);
}

/// Answers for a session with an opaque future, such as an `async fn`.
pub(crate) trait Control {
    /// As [`Session::id`].
    fn id(&self) -> SessionId {
        self.describe().id
    }

    /// As [`Session::describe`].
    fn describe(&self) -> Description;

    /// As [`Session::ask_to_end`]. The future has to poll for the request.
    fn ask_to_end(&self, why: EndRequest);
}

/// Where a listing of a lane's sessions goes on: at a slot of the table of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor(pub(super) usize);

impl Cursor {
    /// The cursor at a slot.
    pub(crate) fn at(slot: usize) -> Self {
        Self(slot)
    }

    /// The slot.
    pub(crate) fn slot(self) -> usize {
        self.0
    }
}
