//! The actions of our end, all through the poller.

use std::net::SocketAddr;

use super::end::{End, Grip};
use super::run::{Outcome, Stage, listener};
use super::say;
use crate::buf::{Chain, Pool};
use crate::poller::{Event, Op, OpKind, RecvEnd, Wait};
use crate::sys::{self, OsSocket};

/// Turns of the poller in which a waiting op gets no answer.
const TURNS: u32 = 3;

impl Stage {
    pub(super) fn serve(&mut self, who: &str, backlog: u32) -> Outcome {
        let (socket, address) = listener(backlog)?;
        let socket = self.poller.attach(socket);
        self.name(who, End::new(Grip::Ours(socket), Some(address)))?;
        Ok("listens".to_owned())
    }

    /// Starts to connect a new socket of our end.
    pub(super) fn connect_ours(&mut self, who: &str, to: &str) -> Outcome {
        let address = self.address(to)?;
        let socket = sys::stream_socket(address);
        let socket = self
            .poller
            .attach(socket.map_err(|e| format!("no socket: {e}"))?);
        let mut end = End::new(Grip::Ours(socket), None);
        end.streams = Some(self.new_streams());
        self.name(who, end)?;
        self.ask(socket, Op::Connect(address))?;
        Ok("asked".to_owned())
    }

    pub(super) fn submit(&mut self, who: &str, kind: OpKind, bytes: usize) -> Outcome {
        let socket = self.ours(who)?;
        let op = match kind {
            OpKind::Accept => Op::Accept,
            OpKind::Recv => Op::Recv,
            OpKind::ReadReady => Op::ReadReady,
            OpKind::WriteReady => Op::WriteReady,
            OpKind::Connect => return Err("`open` submits connects".to_owned()),
            OpKind::Send => {
                let stream = self.outgoing(who)?;
                let data = stream.next(bytes);
                stream.write(&data);
                self.end(who)?.sending = bytes;
                Op::Send(chain(&self.source, &data)?)
            }
        };
        self.ask(socket, op)?;
        Ok("asked".to_owned())
    }

    pub(super) fn cancel(&mut self, who: &str, kind: OpKind) -> Outcome {
        let socket = self.ours(who)?;
        self.poller.cancel(socket, kind);
        Ok("asked".to_owned())
    }

    /// Checks that an op gets no answer while nothing happens.
    pub(super) fn waits(&mut self, who: &str, kind: OpKind) -> Outcome {
        let socket = self.ours(who)?;
        for _ in 0..TURNS {
            self.turn(Wait::NOT)?;
        }
        Ok(match self.is_inflight(socket, kind) {
            true => "yes".to_owned(),
            false => "no".to_owned(),
        })
    }

    /// Waits for received bytes.
    pub(super) fn bytes(&mut self, who: &str, bytes: usize) -> Outcome {
        let socket = self.ours(who)?;
        self.until("bytes", |stage| {
            Ok(stage
                .books
                .got
                .get(&socket)
                .is_some_and(|&got| got >= bytes))
        })?;
        if let Some(got) = self.books.got.get_mut(&socket) {
            *got -= bytes;
        }
        Ok(format!("{bytes} bytes"))
    }

    /// Awaits an op's final answer; an accepted connection gets the name `as_name`.
    pub(super) fn answer(&mut self, who: &str, kind: OpKind, as_name: Option<&str>) -> Outcome {
        let socket = self.ours(who)?;
        let key = (socket, kind);
        self.until("an answer", |stage| {
            Ok(stage.books.finals.contains_key(&key))
        })?;
        let event = self.books.finals.remove(&key).ok_or("seen above")?;
        match event {
            Event::Sent(sent, result) => self.sent(who, sent, &result),
            Event::RecvEnded(_) | Event::RecvCancelled => {
                let got = self.books.got.remove(&socket).unwrap_or(0);
                let is_fin = matches!(event, Event::RecvEnded(RecvEnd::Fin));
                let amount = say::amount(got, self.incoming(who)?, is_fin);
                Ok(format!("{amount}, {}", say::answer(&event)))
            }
            Event::Accepted(Ok((accepted, from))) => {
                let name = as_name.ok_or("an accepted connection needs a name")?;
                let from = from.inet().ok_or("a client without an address")?;
                self.accepted(name, accepted, from)?;
                Ok("accepted".to_owned())
            }
            Event::Connected(Ok(())) => {
                self.remember_caller(who)?;
                Ok("connected".to_owned())
            }
            event => Ok(say::answer(&event)),
        }
    }

    fn sent(&mut self, who: &str, sent: usize, result: &std::io::Result<()>) -> Outcome {
        let all = std::mem::take(&mut self.end(who)?.sending);
        if result.is_ok() && sent < all {
            return Err(format!("a successful send of {sent} of {all} bytes"));
        }
        self.outgoing(who)?.take_back(all - sent)?;
        let part = say::part(sent, all);
        Ok(match result {
            Ok(()) => part,
            Err(e) => format!("{part}, {}", say::error(e)),
        })
    }

    fn accepted(&mut self, name: &str, socket: OsSocket, from: SocketAddr) -> Outcome<()> {
        let streams = self.callers.get(&from).copied();
        let socket = self.poller.attach(socket);
        let mut end = End::new(Grip::Ours(socket), None);
        end.streams = Some(streams.ok_or("no connection from this address")?);
        self.name(name, end)
    }

    /// Records the local address of our connecting end, for the accepting end.
    fn remember_caller(&mut self, who: &str) -> Outcome<()> {
        let from = sys::local_address(self.socket(who)?).map_err(|e| format!("no address: {e}"))?;
        let (out, incoming) = self.end(who)?.streams.ok_or("it has streams")?;
        self.callers.insert(from, (incoming, out));
        Ok(())
    }

    /// A connection: our end accepts, the peer connects.
    pub(super) fn pair(&mut self, who: &str, peer: &str) -> Outcome {
        let (listener, address) = listener(1)?;
        let grip = Grip::Theirs(listener);
        self.name("pair", End::new(grip, Some(address)))?;
        self.begin(peer, "pair")?;
        self.connected(peer)?;
        let (socket, from) = self.take_connection("pair")?;
        self.accepted(who, socket, from)?;
        self.close("pair", false)?;
        Ok("connected".to_owned())
    }
}

fn chain(pool: &Pool, bytes: &[u8]) -> Outcome<Chain> {
    let mut chain = Chain::default();
    for part in bytes.chunks(pool.buffer_bytes()) {
        let mut buf = pool
            .take()
            .ok_or("more is being sent than the pool holds")?;
        buf.space()[..part.len()].copy_from_slice(part);
        buf.fill(part.len());
        chain.push(buf);
    }
    Ok(chain)
}
