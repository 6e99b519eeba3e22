//! What a script's names stand for.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::stream::Stream;
use crate::poller::{Completion, Event, OpKind, Socket};
use crate::sys::{OsSocket, Pipe};

/// One end of a connection, a listener, or a pipe.
#[derive(Debug)]
pub(super) struct End {
    pub(super) grip: Grip,
    /// Where it is bound; stays when it is closed, so that one can connect to where nobody is.
    pub(super) address: Option<SocketAddr>,
    /// Which streams it writes and reads.
    pub(super) streams: Option<(usize, usize)>,
    /// Bytes of its send in flight.
    pub(super) sending: usize,
}

/// How it is held.
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

/// What the poller owes us and has told us.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) inflight: HashSet<(Socket, OpKind)>,
    pub(super) finals: HashMap<(Socket, OpKind), Event>,
    /// Received and not yet told.
    pub(super) got: HashMap<Socket, usize>,
    closed: HashSet<Socket>,
    /// Which stream a socket reads.
    pub(super) reads: HashMap<Socket, usize>,
}

impl Books {
    /// Enters an answer, by the law: asked for, once, not after the close.
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
            return Err(format!("answered unasked: {event:?}"));
        }
        if let Event::Received(buf) = event {
            if buf.is_empty() {
                return Err("nothing was received".to_owned());
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
