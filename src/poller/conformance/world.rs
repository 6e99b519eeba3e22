//! A poller under test, and the bookkeeping for its law: ops in flight, events so far.
#![expect(clippy::disallowed_methods, reason = "peers are threads that block")]

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::peer::{PATIENCE, pair, pattern, read_all};
use crate::buf::{Buf, Chain, Pool, PoolOptions};
use crate::poller::{
    BackEnd, Close, Completion, Event, Op, OpKind, Poller, PollerOptions, RecvEnd, Socket,
    Submitted, Wait,
};
use crate::sys::{self, OsSocket, SocketRef, Time};

/// Interval between checks of a condition without a completion.
const LOOK: Duration = Duration::from_millis(1);

/// The poller's resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plenty {
    Ordinary,
    Starved,
}

pub(super) struct World {
    pub(super) poller: Poller,
    pub(super) plenty: Plenty,
    /// The poller receives into buffers of this pool.
    pub(super) pool: Pool,
    /// Chains to send consist of buffers of this pool.
    pub(super) source: Pool,
    /// Keep received buffers in `held` instead of their bytes in `got`.
    pub(super) hold: bool,
    pub(super) held: Vec<Buf>,
    pub(super) waits: u64,
    inflight: HashSet<(Socket, OpKind)>,
    closed: HashSet<Socket>,
    got: HashMap<Socket, Vec<u8>>,
    finals: HashMap<(Socket, OpKind), Event>,
}

impl World {
    pub(super) fn open(back_end: BackEnd, plenty: Plenty) -> Self {
        let (options, receive) = match plenty {
            Plenty::Ordinary => (PollerOptions::default(), PoolOptions::default()),
            Plenty::Starved => (
                PollerOptions {
                    submissions: 4,
                    completions: 16,
                    receive_buffers: 2,
                    ..PollerOptions::default()
                },
                PoolOptions {
                    buffer_bytes: 4096,
                    buffers_max: 2,
                },
            ),
        };
        let pool = Pool::new(receive).unwrap();
        let send = PoolOptions {
            buffer_bytes: 16 * 1024,
            buffers_max: 1024,
        };
        Self {
            poller: Poller::open(back_end, options, &pool).unwrap(),
            plenty,
            pool,
            source: Pool::new(send).unwrap(),
            hold: false,
            held: Vec::new(),
            waits: 0,
            inflight: HashSet::new(),
            closed: HashSet::new(),
            got: HashMap::new(),
            finals: HashMap::new(),
        }
    }

    /// For cases that need few buffers: replaces an ordinary poller by a starved one.
    pub(super) fn starve(&mut self) {
        if self.plenty == Plenty::Ordinary {
            let starved = Self::open(self.poller.back_end(), Plenty::Starved);
            mem::replace(self, starved).finish();
        }
    }

    /// Checks the law at the end of every case.
    pub(super) fn finish(mut self) {
        self.drain();
        assert!(
            self.inflight.is_empty(),
            "ops without an answer: {:?}",
            self.inflight
        );
        self.abandon();
    }

    /// Drops the poller with all ops in flight.
    pub(super) fn abandon(self) {
        if self.poller.back_end() == BackEnd::IoUring {
            let stale = self.poller.stale();
            assert_eq!(stale, 0, "a slot is kept until its ops have ended");
        }
        let Self {
            poller,
            pool,
            source,
            held,
            finals,
            ..
        } = self;
        drop((poller, held, finals));
        assert_eq!(pool.in_use(), 0, "buffers were not returned");
        assert_eq!(source.in_use(), 0, "chains were not returned");
    }

    /// Cancels all ops in flight and awaits their answers.
    pub(super) fn drain(&mut self) {
        for (socket, kind) in self.inflight.clone() {
            self.poller.cancel(socket, kind);
        }
        self.until("the end of the cancelled ops", |world| {
            world.inflight.is_empty()
        });
    }

    pub(super) fn attach(&mut self, socket: impl Into<OsSocket>) -> Socket {
        let socket = socket.into();
        SockRef::from(&socket).set_nonblocking(true).unwrap();
        self.poller.attach(socket)
    }

    /// A connection: our end, attached, and the peer's end.
    pub(super) fn pair(&mut self) -> (Socket, TcpStream) {
        let (ours, peer) = pair();
        (self.attach(ours), peer)
    }

    pub(super) fn submit(&mut self, socket: Socket, op: Op) {
        let kind = op.kind();
        assert!(
            !self.finals.contains_key(&(socket, kind)),
            "the case has not looked at the last {kind:?}"
        );
        assert!(
            self.inflight.insert((socket, kind)),
            "a case submits an op once"
        );
        if let Submitted::Done(event) = self.poller.submit(socket, op) {
            self.book(Completion { socket, event });
        }
    }

    pub(super) fn cancel(&mut self, socket: Socket, kind: OpKind) {
        self.poller.cancel(socket, kind);
    }

    pub(super) fn close(&mut self, socket: Socket, how: Close) {
        self.poller.close(socket, how);
        self.inflight.retain(|(of, _)| *of != socket);
        self.finals.retain(|(of, _), _| *of != socket);
        assert!(self.closed.insert(socket), "a case closes once");
    }

    pub(super) fn is_inflight(&self, socket: Socket, kind: OpKind) -> bool {
        self.inflight.contains(&(socket, kind))
    }

    pub(super) fn shutdown(&mut self, socket: Socket) {
        sys::shutdown_write(self.poller.descriptor(socket)).unwrap();
    }

    /// One wait; books the completions and returns their number.
    pub(super) fn turn(&mut self, wait: Wait) -> usize {
        let mut completions = Vec::new();
        self.poller.wait(wait, &mut completions).unwrap();
        self.waits += 1;
        let count = completions.len();
        for completion in completions {
            self.book(completion);
        }
        count
    }

    pub(super) fn look(&mut self) -> usize {
        self.turn(Wait::NOT)
    }

    /// One wait of this time; returns whether the wait ended early and without a completion.
    pub(super) fn turned_early(&mut self, time: Duration) -> bool {
        let before = sys::now();
        self.turn(sleep(time)) == 0 && elapsed(before) < time
    }

    /// Turns until the condition holds. Sleeps as long as the patience lasts, so the completion
    /// that fulfils the condition must end the sleep.
    pub(super) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = sys::now() + PATIENCE;
        while !done(self) {
            let left = deadline.since(sys::now());
            assert!(
                !left.is_zero(),
                "{what}: not within {PATIENCE:?}; in flight: {:?}",
                self.inflight
            );
            self.turn(sleep(left));
        }
    }

    /// Turns until a condition holds that has no completion.
    pub(super) fn meanwhile(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = sys::now() + PATIENCE;
        while !done(self) {
            assert!(sys::now() < deadline, "{what}: not within {PATIENCE:?}");
            self.turn(sleep(LOOK));
        }
    }

    /// Turns until a peer's thread has ended, and returns its result.
    pub(super) fn join<T>(&mut self, what: &str, peer: JoinHandle<T>) -> T {
        self.meanwhile(what, |_| peer.is_finished());
        peer.join().unwrap()
    }

    fn book(&mut self, Completion { socket, event }: Completion) {
        assert!(
            !self.closed.contains(&socket),
            "answered after the close: {event:?}"
        );
        if let Event::Received(buf) = event {
            assert!(!buf.is_empty(), "an empty buffer was received");
            let asked = self.inflight.contains(&(socket, OpKind::Recv));
            assert!(asked, "received after the end");
            if self.hold {
                self.held.push(buf);
            } else {
                self.got.entry(socket).or_default().extend(&*buf);
            }
            return;
        }
        let kind = event.kind();
        assert!(
            self.inflight.remove(&(socket, kind)),
            "answered without an op: {event:?}"
        );
        self.finals.insert((socket, kind), event);
    }

    /// The final answer, if there is an answer; afterwards the op may be submitted again.
    pub(super) fn take_final(&mut self, socket: Socket, kind: OpKind) -> Option<Event> {
        self.finals.remove(&(socket, kind))
    }

    /// Awaits the final answer.
    pub(super) fn answer(&mut self, socket: Socket, kind: OpKind) -> Event {
        self.until(&format!("the answer to {kind:?}"), |world| {
            world.finals.contains_key(&(socket, kind))
        });
        self.take_final(socket, kind).unwrap()
    }

    pub(super) fn sent(&mut self, socket: Socket) -> (usize, io::Result<()>) {
        match self.answer(socket, OpKind::Send) {
            Event::Sent(bytes, result) => (bytes, result),
            Event::SentLazily(bytes) => (bytes, Ok(())),
            event => panic!("{event:?}"),
        }
    }

    /// How the receive ended; `None` if it was cancelled.
    pub(super) fn recv_end(&mut self, socket: Socket) -> Option<RecvEnd> {
        match self.answer(socket, OpKind::Recv) {
            Event::RecvEnded(end) => Some(end),
            Event::RecvCancelled => None,
            event => panic!("{event:?}"),
        }
    }

    pub(super) fn accepted(&mut self, socket: Socket) -> io::Result<(OsSocket, SocketAddr)> {
        match self.answer(socket, OpKind::Accept) {
            Event::Accepted(result) => {
                result.map(|(socket, from)| (socket, from.inet().expect("an IP address")))
            }
            event => panic!("{event:?}"),
        }
    }

    pub(super) fn connected(&mut self, socket: Socket) -> io::Result<()> {
        match self.answer(socket, OpKind::Connect) {
            Event::Connected(result) => result,
            event => panic!("{event:?}"),
        }
    }

    /// Submits an op that must wait, and checks that the op waits.
    pub(super) fn park(&mut self, socket: Socket, op: Op) {
        let kind = op.kind();
        self.submit(socket, op);
        for _ in 0..3 {
            self.look();
        }
        assert!(self.is_inflight(socket, kind), "{kind:?} did not wait");
    }

    /// Removes and returns the received bytes.
    pub(super) fn take_got(&mut self, socket: Socket) -> Vec<u8> {
        self.got.remove(&socket).unwrap_or_default()
    }

    pub(super) fn got(&self, socket: Socket) -> usize {
        self.got.get(&socket).map_or(0, Vec::len)
    }

    /// Awaits and removes this many received bytes.
    pub(super) fn receive(&mut self, socket: Socket, bytes: usize) -> Vec<u8> {
        self.until(&format!("{bytes} bytes"), |world| {
            world.got(socket) >= bytes
        });
        self.take_got(socket)
    }

    /// A chain of the given bytes.
    pub(super) fn chain(&self, bytes: &[u8]) -> Chain {
        chain(&self.source, bytes)
    }

    /// Makes a socket's send buffer small.
    pub(super) fn tiny_send_buffer(&mut self, socket: Socket) {
        let fd = self.poller.descriptor(socket);
        SockRef::from(&fd).set_send_buffer_size(1).unwrap();
    }

    /// Fills all kernel buffers towards a peer that does not read, bypassing the poller; returns
    /// the number of bytes.
    pub(super) fn fill(&mut self, socket: Socket) -> usize {
        fill(self.poller.descriptor(socket))
    }

    /// A send that fills all kernel buffers towards a peer that does not read, and waits.
    pub(super) fn park_send(&mut self, socket: Socket) -> Vec<u8> {
        self.tiny_send_buffer(socket);
        let data = pattern(1, 0, 2 << 20);
        let chain = self.chain(&data);
        self.park(socket, Op::Send(chain));
        data
    }

    /// Checks that the descriptor is really closed: a peer that writes gets a reset.
    pub(super) fn is_gone(&mut self, mut peer: TcpStream) {
        peer.set_nonblocking(true).unwrap();
        self.meanwhile("the reset of a closed descriptor", |_| {
            match peer.write(b"x") {
                Ok(_) => false,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => false,
                Err(_) => true,
            }
        });
    }

    /// The rest of the peer's stream, and how the stream ends.
    pub(super) fn peer_reads(&mut self, peer: TcpStream) -> (Vec<u8>, io::Result<()>) {
        let thread = thread::spawn(move || read_all(&peer));
        self.join("the peer's reading", thread)
    }
}

pub(super) fn sleep(timeout: Duration) -> Wait {
    Wait {
        spin: Duration::ZERO,
        timeout: Some(timeout),
    }
}

/// Whether the event reports a cancelled op.
pub(super) fn is_cancelled(event: &Event) -> bool {
    let error = match event {
        Event::RecvCancelled => return true,
        Event::Accepted(result) => result.as_ref().err(),
        Event::Sent(_, result)
        | Event::Connected(result)
        | Event::ReadReady(result)
        | Event::WriteReady(result) => result.as_ref().err(),
        Event::Received(_) | Event::RecvEnded(_) | Event::SentLazily(_) => None,
    };
    let source = error.and_then(|error| error.get_ref());
    source.is_some_and(|source| source.is::<crate::poller::op::Cancelled>())
}

pub(super) fn chain(pool: &Pool, bytes: &[u8]) -> Chain {
    let mut chain = Chain::default();
    for part in bytes.chunks(pool.buffer_bytes()) {
        let mut buf = pool.take().expect("the case's pool is large enough");
        buf.space()[..part.len()].copy_from_slice(part);
        buf.fill(part.len());
        chain.push(buf);
    }
    chain
}

/// An unconnected socket, attached.
pub(super) fn unconnected(world: &mut World, to: SocketAddr) -> Socket {
    world.attach(sys::stream_socket(to).unwrap())
}

/// The time since a moment.
pub(super) fn elapsed(since: Time) -> Duration {
    sys::now().since(since)
}

/// Removes and returns the held buffers of all sockets, in order of arrival.
pub(super) fn take_held(world: &mut World) -> Vec<Buf> {
    mem::take(&mut world.held)
}

/// Fills a socket's kernel buffers.
fn fill(fd: SocketRef<'_>) -> usize {
    let raw = SockRef::from(&fd);
    let (mut filled, mut refused) = (0, 0);
    // The peer's kernel keeps making room for some time, and later on a busy machine.
    while refused < 1000 {
        refused += 1;
        while let Ok(bytes) = raw.send(&[0; 4096]) {
            filled += bytes;
            refused = 0;
        }
        thread::yield_now();
    }
    filled
}
