//! A poller under test, with the books that check its law: which ops are unanswered, what came.
#![expect(clippy::disallowed_methods, reason = "peers are threads that block")]

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::peer::{pair, pattern, read_all};
use crate::buf::{Buf, Chain, Pool, PoolOptions};
use crate::poller::{
    BackEnd, Close, Completion, Event, Op, OpKind, Poller, PollerOptions, RecvEnd, Socket,
    Submitted, Wait,
};
use crate::sys::{self, OsSocket, SocketRef, Time};

/// Long enough for the slowest machine, short enough to see a hang.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// Between looks at what no completion announces.
const LOOK: Duration = Duration::from_millis(1);

/// How well the poller is provided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plenty {
    Ordinary,
    Starved,
}

pub(super) struct World {
    pub(super) poller: Poller,
    pub(super) plenty: Plenty,
    /// The poller receives into these.
    pub(super) pool: Pool,
    /// Chains to be sent are of these.
    pub(super) source: Pool,
    /// Received buffers are kept in `held` instead of `got`.
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

    /// For cases that need few buffers: goes on with a starved poller whatever it was opened as.
    pub(super) fn starve(&mut self) {
        if self.plenty == Plenty::Ordinary {
            let starved = Self::open(self.poller.back_end(), Plenty::Starved);
            mem::replace(self, starved).finish();
        }
    }

    /// What must hold at the end of every case.
    pub(super) fn finish(mut self) {
        self.drain();
        assert!(self.inflight.is_empty(), "unanswered: {:?}", self.inflight);
        self.abandon();
    }

    /// Drops the poller with whatever is in flight.
    pub(super) fn abandon(self) {
        if self.poller.back_end() == BackEnd::IoUring {
            let stale = self.poller.stale();
            assert_eq!(stale, 0, "a slot is kept until the kernel has let go");
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
        assert_eq!(pool.in_use(), 0, "buffers that never came back");
        assert_eq!(source.in_use(), 0, "chains that never came back");
    }

    /// Cancels whatever is in flight and sees it end.
    pub(super) fn drain(&mut self) {
        for (socket, kind) in self.inflight.clone() {
            self.poller.cancel(socket, kind);
        }
        self.until("the end of what was cancelled", |world| {
            world.inflight.is_empty()
        });
    }

    pub(super) fn attach(&mut self, socket: impl Into<OsSocket>) -> Socket {
        let socket = socket.into();
        SockRef::from(&socket).set_nonblocking(true).unwrap();
        self.poller.attach(socket)
    }

    /// A connection: ours, attached, and the peer's end.
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
        assert!(self.inflight.insert((socket, kind)), "a case asks once");
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

    /// One wait, booked. Says how many completions came.
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

    /// One wait of this time; says whether it ended before, with nothing to tell.
    pub(super) fn turned_early(&mut self, time: Duration) -> bool {
        let before = sys::now();
        self.turn(sleep(time)) == 0 && elapsed(before) < time
    }

    /// Turns until the condition holds, sleeping for as long as patience lasts: a completion that
    /// makes it hold has to end the sleep.
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

    /// Turns until something holds that no completion announces.
    pub(super) fn meanwhile(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = sys::now() + PATIENCE;
        while !done(self) {
            assert!(sys::now() < deadline, "{what}: not within {PATIENCE:?}");
            self.turn(sleep(LOOK));
        }
    }

    /// Turns until a peer's thread has ended, and gives what it says.
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
            assert!(!buf.is_empty(), "nothing was received");
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
            "answered unasked: {event:?}"
        );
        self.finals.insert((socket, kind), event);
    }

    /// The final answer, if it has come; then the op may be submitted again.
    pub(super) fn take_final(&mut self, socket: Socket, kind: OpKind) -> Option<Event> {
        self.finals.remove(&(socket, kind))
    }

    /// The final answer, waited for.
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

    pub(super) fn recv_end(&mut self, socket: Socket) -> RecvEnd {
        match self.answer(socket, OpKind::Recv) {
            Event::RecvEnded(end) => end,
            event => panic!("{event:?}"),
        }
    }

    pub(super) fn accepted(&mut self, socket: Socket) -> io::Result<(OsSocket, SocketAddr)> {
        match self.answer(socket, OpKind::Accept) {
            Event::Accepted(result) => result,
            event => panic!("{event:?}"),
        }
    }

    pub(super) fn connected(&mut self, socket: Socket) -> io::Result<()> {
        match self.answer(socket, OpKind::Connect) {
            Event::Connected(result) => result,
            event => panic!("{event:?}"),
        }
    }

    /// Submits an op that nothing ends yet, and sees that nothing does.
    pub(super) fn park(&mut self, socket: Socket, op: Op) {
        let kind = op.kind();
        self.submit(socket, op);
        for _ in 0..3 {
            self.look();
        }
        assert!(self.is_inflight(socket, kind), "{kind:?} did not wait");
    }

    /// What has been received, taken.
    pub(super) fn take_got(&mut self, socket: Socket) -> Vec<u8> {
        self.got.remove(&socket).unwrap_or_default()
    }

    pub(super) fn got(&self, socket: Socket) -> usize {
        self.got.get(&socket).map_or(0, Vec::len)
    }

    /// Waits for that many received bytes and takes them.
    pub(super) fn receive(&mut self, socket: Socket, bytes: usize) -> Vec<u8> {
        self.until(&format!("{bytes} bytes"), |world| {
            world.got(socket) >= bytes
        });
        self.take_got(socket)
    }

    /// A chain of these bytes.
    pub(super) fn chain(&self, bytes: &[u8]) -> Chain {
        chain(&self.source, bytes)
    }

    /// Makes the kernel's send buffer of a socket small.
    pub(super) fn tiny_send_buffer(&mut self, socket: Socket) {
        let fd = self.poller.descriptor(socket);
        SockRef::from(&fd).set_send_buffer_size(1).unwrap();
    }

    /// Fills all kernel buffers towards a peer that does not read, past the poller; says with how
    /// many bytes.
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

    /// Sees that the descriptor is closed in earnest: a peer that writes is reset.
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

    /// How the stream that the peer reads ends, and the bytes before.
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

/// Whether this says that the op was cancelled.
pub(super) fn is_cancelled(event: &Event) -> bool {
    let error = match event {
        Event::RecvEnded(end) => return matches!(end, RecvEnd::Cancelled),
        Event::Accepted(result) => result.as_ref().err(),
        Event::Sent(_, result)
        | Event::Connected(result)
        | Event::ReadReady(result)
        | Event::WriteReady(result) => result.as_ref().err(),
        Event::Received(_) | Event::SentLazily(_) => None,
    };
    let source = error.and_then(|error| error.get_ref());
    source.is_some_and(|source| source.is::<crate::poller::Cancelled>())
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

/// A socket to be connected with this poller.
pub(super) fn unconnected(world: &mut World, to: SocketAddr) -> Socket {
    world.attach(sys::stream_socket(to).unwrap())
}

/// How long ago that was.
pub(super) fn elapsed(since: Time) -> Duration {
    sys::now().since(since)
}

/// All sockets of a poller read by `mem::take`, in order.
pub(super) fn take_held(world: &mut World) -> Vec<Buf> {
    mem::take(&mut world.held)
}

/// Fills a socket's kernel buffers.
fn fill(fd: SocketRef<'_>) -> usize {
    let raw = SockRef::from(&fd);
    let (mut filled, mut refused) = (0, 0);
    // The peer's kernel makes room for some time, and on a busy machine late.
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
