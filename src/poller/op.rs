//! The words of the seam: what is asked of a poller and what it answers.

use std::io;
use std::net::SocketAddr;

use crate::buf::{Buf, Chain};
use crate::sys::OsSocket;

/// A socket that a poller watches: a slot and the generation of its tenant, so that an answer to a
/// former tenant is told from one to the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Socket {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl Socket {
    /// Index of the socket's slot; small numbers are used again.
    #[must_use]
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// What can be asked. At most one of each kind is in flight for one socket.
#[derive(Debug)]
pub enum Op {
    /// Take one connection off a listener's queue.
    Accept,
    /// Connect to an address.
    Connect(SocketAddr),
    /// Receive until the peer's FIN, an error or a cancel: a stream of [`Event::Received`], ended
    /// by one [`Event::RecvEnded`]. No buffer is held while nothing arrives, and an empty pool only
    /// delays it.
    Recv,
    /// Send all of a chain, however often the kernel takes a part of it.
    Send(Chain),
    /// Send all of a chain. The success may arrive as late as the next completion of any op, as
    /// [`Event::SentLazily`] (docs/decisions/0010-lazy-sends.md).
    SendLazily(Chain),
    /// Wait until a read would not block.
    ReadReady,
    /// Wait until a write would not block.
    WriteReady,
}

/// The kind of an op; with the socket, its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpKind {
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
    pub fn kind(&self) -> OpKind {
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

/// What came of submitting an op.
#[derive(Debug)]
#[must_use = "an op that is done gets no completion"]
pub enum Submitted {
    /// A completion will follow.
    Pending,
    /// This is the final answer; no completion follows.
    Done(Event),
}

/// An answer from the poller.
#[derive(Debug)]
pub struct Completion {
    /// The socket that the op was for.
    pub socket: Socket,
    /// What happened.
    pub event: Event,
}

/// What happened. Every kind but [`Event::Received`] is final for its op.
#[derive(Debug)]
pub enum Event {
    /// A connection and its peer's address.
    Accepted(io::Result<(OsSocket, SocketAddr)>),
    /// The handshake's end.
    Connected(io::Result<()>),
    /// Bytes, never none; more may follow.
    Received(Buf),
    /// The stream of received bytes has ended.
    RecvEnded(RecvEnd),
    /// All is sent, or this many bytes until the error.
    Sent(usize, io::Result<()>),
    /// All bytes of a lazy send are sent, this many, at some time since its submission.
    SentLazily(usize),
    /// A read would not block, or the wait was cancelled.
    ReadReady(io::Result<()>),
    /// A write would not block, or the wait was cancelled.
    WriteReady(io::Result<()>),
}

impl Event {
    /// The kind of the op that it answers.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn kind(&self) -> OpKind {
        match self {
            Self::Accepted(_) => OpKind::Accept,
            Self::Connected(_) => OpKind::Connect,
            Self::Received(_) | Self::RecvEnded(_) => OpKind::Recv,
            Self::Sent(..) | Self::SentLazily(_) => OpKind::Send,
            Self::ReadReady(_) => OpKind::ReadReady,
            Self::WriteReady(_) => OpKind::WriteReady,
        }
    }

    /// The final answer to a cancelled op.
    pub(super) fn cancelled(kind: OpKind, sent: usize) -> Self {
        // On the heap, so not for a receive: back-pressure cancels those message by message.
        let error = || io::Error::from(Cancelled);
        match kind {
            OpKind::Accept => Self::Accepted(Err(error())),
            OpKind::Connect => Self::Connected(Err(error())),
            OpKind::Recv => Self::RecvEnded(RecvEnd::Cancelled),
            OpKind::Send => Self::Sent(sent, Err(error())),
            OpKind::ReadReady => Self::ReadReady(Err(error())),
            OpKind::WriteReady => Self::WriteReady(Err(error())),
        }
    }
}

/// Why a stream of received bytes has ended.
#[derive(Debug)]
pub enum RecvEnd {
    /// The peer's FIN.
    Fin,
    /// The op was cancelled; what was received before has been delivered.
    Cancelled,
    /// A reset or another error.
    Failed(io::Error),
}

/// The error of an op that was cancelled, inside an [`io::Error`] of kind `Other`.
#[derive(Clone, Copy, Debug)]
pub struct Cancelled;

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
    /// As `close(2)` does it: a FIN behind what was sent. Becomes a reset while a send is in
    /// flight: a FIN after half of it would pass for its end.
    Fin,
    /// A reset, so that the peer cannot take what it got for all (RFC 9293 §3.10.5).
    Reset,
}
