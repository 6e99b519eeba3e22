//! The types of the seam: ops for the poller, and its completions.

use std::io;
use std::net::SocketAddr;

use crate::buf::{Buf, Chain};
use crate::sys::{ErrorCode, OsSocket, PeerAddress};

/// A socket that a poller watches: slot and generation. A late completion for the slot's former
/// socket has the wrong generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Socket {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl Socket {
    /// Index of the socket's slot. Slots are reused, so indices stay small.
    #[must_use]
    pub(crate) fn slot(self) -> usize {
        self.slot as usize
    }
}

/// An operation on a socket. At most one op of each kind is in flight per socket.
#[derive(Debug)]
pub(crate) enum Op {
    /// Accept one connection of a listener.
    Accept,
    /// Connect to an address.
    Connect(SocketAddr),
    /// Receive until the peer's FIN, an error or a cancel: a stream of [`Event::Received`], ended
    /// by one [`Event::RecvEnded`]. No buffer is held while nothing arrives, and an empty pool only
    /// delays the receive.
    Recv,
    /// Send a whole chain, in as many pieces as the kernel takes.
    Send(Chain),
    /// Send all of a chain. The success may arrive as late as the next completion of any op, as
    /// [`Event::SentLazily`] (docs/decisions/0010-lazy-sends.md).
    SendLazily(Chain),
    /// Wait until a read would not block.
    ReadReady,
    /// Wait until a write would not block.
    WriteReady,
}

/// The kind of an op. Socket and kind identify an op in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum OpKind {
    /// [`Op::Accept`].
    Accept = 0,
    /// [`Op::Connect`].
    Connect = 1,
    /// [`Op::Recv`].
    Recv = 2,
    /// [`Op::Send`] and [`Op::SendLazily`].
    Send = 3,
    /// [`Op::ReadReady`].
    ReadReady = 4,
    /// [`Op::WriteReady`].
    WriteReady = 5,
}

impl OpKind {
    pub(super) const ALL: [Self; 6] = [
        Self::Accept,
        Self::Connect,
        Self::Recv,
        Self::Send,
        Self::ReadReady,
        Self::WriteReady,
    ];

    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Op {
    /// The op's kind.
    #[must_use]
    pub(crate) fn kind(&self) -> OpKind {
        match self {
            Self::Accept => OpKind::Accept,
            Self::Connect(_) => OpKind::Connect,
            Self::Recv => OpKind::Recv,
            Self::Send(_) | Self::SendLazily(_) => OpKind::Send,
            Self::ReadReady => OpKind::ReadReady,
            Self::WriteReady => OpKind::WriteReady,
        }
    }
}

/// The result of submitting an op.
#[derive(Debug)]
#[must_use = "an op that is done gets no completion"]
pub(crate) enum Submitted {
    /// A completion will follow.
    Pending,
    /// This is the final answer; no completion follows.
    Done(Event),
}

/// An event of one socket.
#[derive(Debug)]
pub(crate) struct Completion {
    /// The socket that the op was for.
    pub socket: Socket,
    /// The event.
    pub event: Event,
}

/// An op's event. Every kind but [`Event::Received`] is final for the op.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection and its peer's address.
    Accepted(io::Result<(OsSocket, PeerAddress)>),
    /// The end of the handshake.
    Connected(io::Result<()>),
    /// At least one byte; more may follow.
    Received(Buf),
    /// The stream of received bytes has ended.
    RecvEnded(RecvEnd),
    /// The receive was cancelled; [`Event::Received`] has delivered all bytes before.
    RecvCancelled,
    /// The whole chain is sent, or this many bytes before the error.
    Sent(usize, io::Result<()>),
    /// All bytes of a lazy send are sent, this many, at some time since its submission.
    SentLazily(usize),
    /// A read would not block, or the wait was cancelled.
    ReadReady(io::Result<()>),
    /// A write would not block, or the wait was cancelled.
    WriteReady(
        #[cfg_attr(
            not(any(test, feature = "sim")),
            expect(
                dead_code,
                reason = "the conformance suite and the scripts read the error"
            )
        )]
        io::Result<()>,
    ),
}

impl Event {
    /// The kind of the op that the event answers.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn kind(&self) -> OpKind {
        match self {
            Self::Accepted(_) => OpKind::Accept,
            Self::Connected(_) => OpKind::Connect,
            Self::Received(_) | Self::RecvEnded(_) | Self::RecvCancelled => OpKind::Recv,
            Self::Sent(..) | Self::SentLazily(_) => OpKind::Send,
            Self::ReadReady(_) => OpKind::ReadReady,
            Self::WriteReady(_) => OpKind::WriteReady,
        }
    }

    /// The final answer to a cancelled op.
    pub(super) fn cancelled(kind: OpKind, sent: usize) -> Self {
        // An `io::Error` allocates; backpressure cancels receives per message, so none for those.
        let error = || io::Error::from(Cancelled);
        match kind {
            OpKind::Accept => Self::Accepted(Err(error())),
            OpKind::Connect => Self::Connected(Err(error())),
            OpKind::Recv => Self::RecvCancelled,
            OpKind::Send => Self::Sent(sent, Err(error())),
            OpKind::ReadReady => Self::ReadReady(Err(error())),
            OpKind::WriteReady => Self::WriteReady(Err(error())),
        }
    }
}

/// How the incoming bytes of a connection have ended, from the poller to the record of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecvEnd {
    /// By the peer's FIN.
    Fin,
    /// The connection has failed: a reset, a timeout of the kernel or another error.
    Failed(ErrorCode),
}

/// The error of an op that was cancelled, inside an [`io::Error`] of kind `Other`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cancelled;

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the operation was cancelled")
    }
}

impl std::error::Error for Cancelled {}

impl From<Cancelled> for io::Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::other(cancelled)
    }
}

/// How a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// As `close(2)` does: a FIN behind the sent bytes. While a send is in flight a reset
    /// instead, since a FIN after half of the chain would look like an orderly end.
    Fin,
    /// A reset, so that the peer cannot mistake a part for the whole (RFC 9293 §3.10.5).
    Reset,
    /// The descriptor alone: a listener that another process keeps open.
    Shared,
}
