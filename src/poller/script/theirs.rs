//! The peer's actions: system calls that never block, with waits in between.

use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;

use super::end::{End, Grip};
use super::run::{Outcome, Stage, listener};
use super::say;
use crate::poller::{Close, OpKind, Wait};
use crate::sys::{self, OsSocket};

/// Bytes of one read or write.
const CHUNK: usize = 64 * 1024;
/// Turns after which a poller has closed a descriptor: cancel the ops in flight, see their end,
/// close. A disturbed kernel delays each step a few times.
const CLOSING_TURNS: u32 = 16;

impl Stage {
    pub(super) fn listen(&mut self, who: &str, backlog: u32) -> Outcome {
        let (socket, address) = listener(backlog)?;
        self.name(who, End::new(Grip::Theirs(socket), Some(address)))?;
        Ok("listens".to_owned())
    }

    /// Starts to connect.
    pub(super) fn begin(&mut self, who: &str, to: &str) -> Outcome {
        let address = self.address(to)?;
        let socket = sys::stream_socket(address).map_err(|e| format!("no socket: {e}"))?;
        let started = sys::connect(sys::borrow(&socket), address);
        started.map_err(|e| format!("no connect: {e}"))?;
        let from = sys::local_address(sys::borrow(&socket)).ok();
        let (out, incoming) = self.new_streams();
        if let Some(from) = from {
            self.callers.insert(from, (incoming, out));
        }
        let mut end = End::new(Grip::Theirs(socket), from);
        end.streams = Some((out, incoming));
        self.name(who, end)?;
        Ok("asked".to_owned())
    }

    /// Waits until the connect has succeeded or failed.
    pub(super) fn connected(&mut self, who: &str) -> Outcome {
        self.until("the connect's end", |stage| {
            Ok(sys::is_writable(stage.socket(who)?))
        })?;
        let result = sys::take_error(self.socket(who)?);
        Ok(say::outcome(&result, "connected"))
    }

    /// A socket bound to a port that connects to the same port (RFC 9293 §3.5).
    pub(super) fn connect_itself(&mut self, who: &str) -> Outcome {
        let bound = || {
            let any = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
            let socket = sys::bind_shared(any, false)?;
            let address = sys::local_address(sys::borrow(&socket))?;
            sys::connect(sys::borrow(&socket), address)?;
            Ok((socket, address))
        };
        let (socket, address) = bound().map_err(|e: io::Error| format!("no connect: {e}"))?;
        let mut end = End::new(Grip::Theirs(socket), Some(address));
        let (both, _) = self.new_streams();
        end.streams = Some((both, both));
        self.name(who, end)?;
        let connected = self.connected(who)?;
        let from = sys::local_address(self.socket(who)?);
        let itself = from.is_ok_and(|from| from == address);
        Ok(if itself {
            "connected to itself".to_owned()
        } else {
            connected
        })
    }

    /// Accepts a connection of the peer's listener.
    pub(super) fn accept(&mut self, who: &str, from: &str) -> Outcome {
        let (socket, caller) = self.take_connection(from)?;
        let streams = self.callers.get(&caller).copied();
        let mut end = End::new(Grip::Theirs(socket), None);
        end.streams = Some(streams.ok_or("nobody has connected from there")?);
        self.name(who, end)?;
        Ok("accepted".to_owned())
    }

    pub(super) fn take_connection(&mut self, listener: &str) -> Outcome<(OsSocket, SocketAddr)> {
        let mut taken = None;
        self.until("a connection", |stage| {
            taken = not_yet(sys::accept(stage.socket(listener)?));
            Ok(taken.is_some())
        })?;
        let taken = taken.ok_or("seen above")?;
        let (socket, from) = taken.map_err(|e| format!("no connection: {e}"))?;
        Ok((socket, from.inet().ok_or("a client without an address")?))
    }

    /// Writes all bytes, waiting for room.
    pub(super) fn write(&mut self, who: &str, bytes: usize) -> Outcome {
        let mut written = 0;
        let mut failed = None;
        self.until("room", |stage| {
            while written < bytes && failed.is_none() {
                match stage.write_some(who, (bytes - written).min(CHUNK))? {
                    None => return Ok(false),
                    Some(Ok(count)) => written += count,
                    Some(Err(e)) => failed = Some(e),
                }
            }
            Ok(true)
        })?;
        let part = say::part(written, bytes);
        Ok(match failed {
            None => part,
            Some(e) => format!("{part}, {}", say::error(&e)),
        })
    }

    /// One write of the stream's next bytes; `None` when the call would block.
    fn write_some(&mut self, who: &str, bytes: usize) -> Outcome<Option<io::Result<usize>>> {
        let data = self.outgoing(who)?.next(bytes);
        let result = sys::send(self.socket(who)?, &[IoSlice::new(&data)]);
        if let Ok(count) = result {
            self.outgoing(who)?.write(&data[..count]);
        }
        Ok(not_yet(result))
    }

    /// Writes until all buffers are full.
    pub(super) fn fill(&mut self, who: &str) -> Outcome {
        self.outgoing(who)?.is_vague = true;
        loop {
            match self.write_some(who, CHUNK)? {
                None => return Ok("full".to_owned()),
                Some(Ok(_)) => {}
                Some(Err(e)) => return Ok(say::error(&e)),
            }
        }
    }

    /// Reads this many bytes, or to the end.
    pub(super) fn read(&mut self, who: &str, bytes: Option<usize>) -> Outcome {
        let mut got = 0;
        let mut end = None;
        self.until("bytes", |stage| {
            while bytes.is_none_or(|bytes| got < bytes) && end.is_none() {
                let max = bytes.map_or(CHUNK, |bytes| bytes - got);
                match stage.read_some(who, max)? {
                    None => return Ok(false),
                    Some(Ok(0)) => end = Some(Ok(())),
                    Some(Ok(count)) => got += count,
                    Some(Err(e)) => end = Some(Err(e)),
                }
            }
            Ok(true)
        })?;
        let Some(end) = end else {
            return Ok(format!("{got} bytes"));
        };
        let amount = say::amount(got, self.incoming(who)?, end.is_ok());
        Ok(format!("{amount}, {}", say::outcome(&end, "FIN")))
    }

    /// One read; `None` when the call would block.
    fn read_some(&mut self, who: &str, max: usize) -> Outcome<Option<io::Result<usize>>> {
        let mut into = vec![0; max.min(CHUNK)];
        let result = sys::recv(self.socket(who)?, &mut into);
        if let Ok(count) = result {
            self.incoming(who)?.deliver(&into[..count])?;
        }
        Ok(not_yet(result))
    }

    /// A single recv(2).
    pub(super) fn recv(&mut self, who: &str) -> Outcome {
        Ok(match self.read_some(who, CHUNK)? {
            None => "would block".to_owned(),
            Some(Ok(0)) => "FIN".to_owned(),
            Some(Ok(count)) => format!("{count} bytes"),
            Some(Err(e)) => say::error(&e),
        })
    }

    /// A single send(2).
    pub(super) fn send(&mut self, who: &str, bytes: usize) -> Outcome {
        Ok(match self.write_some(who, bytes)? {
            None => "would block".to_owned(),
            Some(Ok(count)) => format!("{count} bytes"),
            Some(Err(e)) => say::error(&e),
        })
    }

    /// Takes the pending error off the socket.
    pub(super) fn error(&mut self, who: &str) -> Outcome {
        Ok(say::outcome(&sys::take_error(self.socket(who)?), "none"))
    }

    pub(super) fn shutdown(&mut self, who: &str) -> Outcome {
        Ok(say::outcome(
            &sys::shutdown_write(self.socket(who)?),
            "done",
        ))
    }

    /// Makes the send buffer as small as possible.
    pub(super) fn small(&mut self, who: &str) -> Outcome {
        let result = sys::set_send_buffer(self.socket(who)?, 1);
        Ok(say::outcome(&result, "done"))
    }

    /// Closes an end or a pipe.
    pub(super) fn close(&mut self, who: &str, reset: bool) -> Outcome {
        let how = if reset { Close::Reset } else { Close::Fin };
        let grip = std::mem::replace(&mut self.end(who)?.grip, Grip::Gone);
        match grip {
            Grip::Ours(socket) => {
                if self.is_inflight(socket, OpKind::Send) {
                    // The number of sent bytes stays unknown.
                    self.outgoing(who)?.is_vague = true;
                }
                self.poller.close(socket, how);
                self.books.close(socket);
                // The descriptor closes once the ops have ended.
                for _ in 0..CLOSING_TURNS {
                    self.turn(Wait::NOT)?;
                }
            }
            Grip::Theirs(socket) => {
                if reset {
                    let result = sys::reset_on_close(sys::borrow(&socket));
                    result.map_err(|e| format!("no reset: {e}"))?;
                }
                drop(socket);
            }
            Grip::Pipe(..) => {}
            Grip::Gone => return Err(format!("{who} is closed")),
        }
        Ok("closed".to_owned())
    }

    /// Splices from a socket into a pipe, once.
    pub(super) fn suck(&mut self, pipe: &str, from: &str, bytes: usize) -> Outcome {
        let socket = self.socket(from)?;
        let result = self.pipe_of(pipe)?.fill(socket, bytes);
        if let Ok(count) = result {
            let stream = self.incoming(from)?;
            let data = stream.expected(count)?;
            stream.deliver(&data)?;
            let Grip::Pipe(_, held) = &mut self.end(pipe)?.grip else {
                return Err(format!("{pipe} is no pipe"));
            };
            held.extend(data);
        }
        Ok(match result {
            Ok(0) => "FIN".to_owned(),
            Ok(count) => format!("{count} bytes"),
            Err(e) => say::error(&e),
        })
    }

    /// Splices from a pipe into a socket, once.
    pub(super) fn blow(&mut self, pipe: &str, to: &str, bytes: usize) -> Outcome {
        let socket = self.socket(to)?;
        let result = self.pipe_of(pipe)?.drain(socket, bytes);
        if let Ok(count) = result {
            let data = self.taken_from(pipe, count)?;
            self.outgoing(to)?.write(&data);
        }
        Ok(match result {
            Ok(count) => format!("{count} bytes"),
            Err(e) => say::error(&e),
        })
    }

    /// Reads from a pipe, once.
    pub(super) fn take(&mut self, pipe: &str, bytes: usize) -> Outcome {
        let mut into = vec![0; bytes];
        let count = match self.pipe_of(pipe)?.read(&mut into) {
            Ok(count) => count,
            Err(e) => return Ok(say::error(&e)),
        };
        if self.taken_from(pipe, count)? != into[..count] {
            return Err("the pipe returned different bytes".to_owned());
        }
        Ok(format!("{count} bytes"))
    }

    fn pipe_of(&self, who: &str) -> Outcome<&sys::Pipe> {
        match self.ends.get(who).map(|end| &end.grip) {
            Some(Grip::Pipe(pipe, _)) => Ok(pipe),
            other => Err(format!("{who} is no pipe: {other:?}")),
        }
    }

    fn taken_from(&mut self, pipe: &str, bytes: usize) -> Outcome<Vec<u8>> {
        match &mut self.end(pipe)?.grip {
            Grip::Pipe(_, held) if bytes <= held.len() => Ok(held.drain(..bytes).collect()),
            _ => Err("the pipe returned more bytes than it got".to_owned()),
        }
    }
}

/// `None` when a call would block.
fn not_yet<T>(result: io::Result<T>) -> Option<io::Result<T>> {
    match result {
        Err(e) if e.kind() == ErrorKind::WouldBlock => None,
        result => Some(result),
    }
}
