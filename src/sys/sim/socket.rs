//! A simulated TCP socket: its state, and the result of a poll.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// No address yet.
pub(super) const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

/// A socket's index and generation. The generation excludes later sockets with the same index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SockRef {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// The owner of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The server under test, by descriptors.
    Corelane,
    /// A client or an upstream, by number.
    Outside(u32),
}

/// Where a socket stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    New,
    Listening,
    Connecting,
    /// Connected, until both directions are closed.
    Open,
    /// Reset, timed out, or closed by both sides.
    Dead,
}

/// A poller's interest in a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) poller: u32,
    pub(super) token: u64,
}

/// A socket.
#[derive(Debug, Default)]
pub(super) struct Sock {
    pub(super) generation: u32,
    pub(super) is_free: bool,
    pub(super) owner: Option<Owner>,
    /// References by descriptors and ops.
    pub(super) holders: u32,
    pub(super) stage: Stage,
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
    pub(super) peer: Option<SockRef>,
    pub(super) reset_on_close: bool,
    /// No descriptor or op of the application is left.
    pub(super) is_orphan: bool,
    /// In a listener's backlog; the listener holds a reference.
    pub(super) is_waiting: bool,
    /// corelane has accepted the socket.
    pub(super) was_accepted: bool,
    pub(super) accepted_at: u64,

    // Written here.
    pub(super) output: VecDeque<u8>,
    /// Bytes on the wire or unacknowledged.
    pub(super) unacknowledged: usize,
    /// Neither sent nor acknowledged when the connection died; `tcp_reset` leaves the numbers be.
    pub(super) lost: usize,
    pub(super) send_buffer: usize,
    pub(super) fin_wanted: bool,
    pub(super) fin_sent: bool,
    pub(super) fin_acknowledged: bool,
    pub(super) written: u64,
    pub(super) acknowledged: u64,
    pub(super) acknowledged_at: u64,
    /// A send or a poll found no room: new room is an edge.
    pub(super) is_full: bool,

    // To be read here.
    pub(super) input: VecDeque<u8>,
    /// When the oldest unread byte arrived, or an earlier byte.
    pub(super) unread_since: u64,
    /// Bytes on the way to this socket.
    pub(super) wire: VecDeque<u8>,
    pub(super) receive_buffer: usize,
    pub(super) fin_received: bool,
    pub(super) read: u64,

    /// Returned by a single call, then forgotten.
    pub(super) error: Option<i32>,
    /// When the last segment to the peer arrives; later segments arrive later.
    pub(super) last_arrival: u64,
    /// Segments of this connection are lost.
    pub(super) is_cut_off: bool,
    pub(super) user_timeout: Option<u64>,
    /// When silence ends the connection: idle time, interval times probes.
    pub(super) keepalive: Option<u64>,

    // Listening.
    pub(super) backlog: usize,
    /// SYNs are dropped.
    pub(super) turns_away: bool,
    pub(super) queue: VecDeque<u32>,

    // Waiters for a change.
    pub(super) ops: Vec<Watch>,
    pub(super) watch: Option<Watch>,
}

impl Sock {
    /// Begins a new life, keeping the memory of the last.
    pub(super) fn begin(&mut self, owner: Owner, send_buffer: usize, receive_buffer: usize) {
        let mut old = std::mem::take(self);
        let clear = |queue: &mut VecDeque<u8>| {
            queue.clear();
            std::mem::take(queue)
        };
        old.ops.clear();
        *self = Self {
            generation: old.generation,
            owner: Some(owner),
            holders: 1,
            send_buffer,
            receive_buffer,
            output: clear(&mut old.output),
            input: clear(&mut old.input),
            wire: clear(&mut old.wire),
            ops: std::mem::take(&mut old.ops),
            ..Self::default()
        };
    }

    pub(super) fn is_dead(&self) -> bool {
        self.stage == Stage::Dead
    }

    /// How many bytes fit into the send buffer.
    pub(super) fn room(&self) -> usize {
        self.send_buffer
            .saturating_sub(self.output.len() + self.unacknowledged)
    }

    /// The result of `SIOCOUTQ`: `tcp_ioctl` subtracts sequence numbers, so a FIN counts as a byte.
    pub(super) fn unacknowledged_in_all(&self) -> usize {
        if self.stage == Stage::Connecting {
            return 0;
        }
        let fin = self.fin_wanted && !self.fin_acknowledged;
        self.output.len() + self.unacknowledged + self.lost + usize::from(fin)
    }

    /// How many bytes the peer may send.
    pub(super) fn window(&self) -> usize {
        self.receive_buffer
            .saturating_sub(self.input.len() + self.wire.len())
    }

    /// Nothing more can be written.
    pub(super) fn is_write_closed(&self) -> bool {
        self.fin_wanted || self.is_dead()
    }

    /// A read would not block.
    pub(super) fn is_readable(&self) -> bool {
        match self.stage {
            Stage::Listening => !self.queue.is_empty(),
            Stage::New | Stage::Connecting => self.error.is_some(),
            Stage::Open | Stage::Dead => {
                !self.input.is_empty() || self.is_ended() || self.error.is_some()
            }
        }
    }

    /// FIN, reset or error has arrived.
    pub(super) fn is_ended(&self) -> bool {
        self.fin_received || self.is_dead() || self.error.is_some()
    }

    /// A write would not block; a third of the buffer must be free, as in Linux.
    pub(super) fn is_writable(&self) -> bool {
        match self.stage {
            Stage::New | Stage::Listening | Stage::Connecting => self.error.is_some(),
            Stage::Open if !self.fin_wanted => {
                self.room() > 0 && 3 * self.room() >= self.send_buffer
            }
            Stage::Open | Stage::Dead => true,
        }
    }

    /// [`Self::is_writable`] for a poll. A change to writable is then an edge (`SOCK_NOSPACE` in
    /// `tcp_poll`).
    pub(super) fn poll_writable(&mut self) -> bool {
        let writable = self.is_writable();
        self.is_full |= !writable;
        writable
    }

    /// Takes the pending error.
    pub(super) fn take_error(&mut self) -> Option<i32> {
        self.error.take()
    }
}
