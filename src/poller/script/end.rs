//! The objects that a script names.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::stream::Stream;
use crate::poller::{Completion, Event, OpKind, Socket};
use crate::sys::{OsSocket, Pipe};

/// One end of a connection, a listener, or a pipe.
#[derive(Debug)]
pub(super) struct End {
    pub(super) grip: Grip,
    /// The bound address. Kept after the close: a script can connect to a closed listener.
    pub(super) address: Option<SocketAddr>,
    /// Indices of the streams that the end writes and reads.
    pub(super) streams: Option<(usize, usize)>,
    /// Bytes of the send in flight.
    pub(super) sending: usize,
}

/// The object behind a name.
#[derive(Debug)]
pub(super) enum Grip {
    Ours(Socket),
    Theirs(OsSocket),
    Pipe(Pipe, Vec<u8>),
    Gone,
}

impl End {
    pub(super) fn new(grip: Grip, address: Option<SocketAddr>) -> Self {
        Self {
            grip,
            address,
            streams: None,
            sending: 0,
        }
    }
}

/// Ops in flight on the poller, and its completions so far.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) inflight: HashSet<(Socket, OpKind)>,
    pub(super) finals: HashMap<(Socket, OpKind), Event>,
    /// Received bytes that no statement has reported yet.
    pub(super) got: HashMap<Socket, usize>,
    closed: HashSet<Socket>,
    /// The stream that a socket reads.
    pub(super) reads: HashMap<Socket, usize>,
}

impl Books {
    /// Enters a completion and checks the law: submitted, answered once, not after the close.
    pub(super) fn enter(
        &mut self,
        completion: Completion,
        streams: &mut [Stream],
    ) -> Result<(), String> {
        let Completion { socket, event } = completion;
        if self.closed.contains(&socket) {
            return Err(format!("answered after the close: {event:?}"));
        }
        let kind = event.kind();
        if !self.inflight.contains(&(socket, kind)) {
            return Err(format!("answered without an op: {event:?}"));
        }
        if let Event::Received(buf) = event {
            if buf.is_empty() {
                return Err("an empty buffer was received".to_owned());
            }
            *self.got.entry(socket).or_default() += buf.len();
            let stream = self.reads.get(&socket).ok_or("received without a peer")?;
            return streams[*stream].deliver(&buf);
        }
        self.inflight.remove(&(socket, kind));
        self.finals.insert((socket, kind), event);
        Ok(())
    }

    pub(super) fn close(&mut self, socket: Socket) {
        self.inflight.retain(|(of, _)| *of != socket);
        self.finals.retain(|(of, _), _| *of != socket);
        self.closed.insert(socket);
    }
}
