//! Runs a script, statement by statement: carries out each action and awaits its effect.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use super::end::{Books, End, Grip};
use super::parse::{Line, Script, Verb};
use super::patience::{Kind, Patience};
use super::stream::Stream;
use crate::buf::{Pool, PoolOptions};
use crate::poller::{BackEnd, Completion, OpKind, Poller, PollerOptions, Socket, Submitted, Wait};
use crate::sys::{self, OsSocket, Pipe, SocketRef};

/// Sizes small enough for a script to reach the limits.
const OPTIONS: PollerOptions = PollerOptions {
    restricted: false,
    submissions: 16,
    completions: 64,
    receive_buffers: 4,
    receive_budget: 2,
};
const RECEIVE: PoolOptions = PoolOptions {
    buffer_bytes: 4096,
    buffers_max: 8,
};
const SEND: PoolOptions = PoolOptions {
    buffer_bytes: 16 * 1024,
    buffers_max: 1024,
};
/// Bytes that a pipe is to hold.
const PIPE: i32 = 64 * 1024;

/// A result, or the defect of the script or the poller.
pub(super) type Outcome<T = String> = Result<T, String>;

/// A poller, its books, and all named ends of a script.
#[derive(Debug)]
pub(super) struct Stage {
    kind: Kind,
    pub(super) poller: Poller,
    pool: Pool,
    pub(super) source: Pool,
    pub(super) ends: HashMap<String, End>,
    pub(super) streams: Vec<Stream>,
    pub(super) books: Books,
    /// The streams of each address that has connected, for the accepting end.
    pub(super) callers: HashMap<SocketAddr, (usize, usize)>,
}

impl Stage {
    pub(super) fn open(back_end: BackEnd, kind: Kind) -> Outcome<Self> {
        let pool = |options| Pool::new(options).map_err(|e| format!("no memory: {e}"));
        let receive = pool(RECEIVE)?;
        let poller = Poller::open(back_end, OPTIONS, &receive);
        Ok(Self {
            kind,
            poller: poller.map_err(|e| format!("no {back_end}: {e}"))?,
            pool: receive,
            source: pool(SEND)?,
            ends: HashMap::new(),
            streams: Vec::new(),
            books: Books::default(),
            callers: HashMap::new(),
        })
    }

    /// Runs the whole script and checks the law at the end.
    pub(super) fn play(mut self, script: &Script) -> Outcome<Vec<String>> {
        let mut trace = Vec::new();
        for line in &script.lines {
            let saw = self.perform(line);
            let saw = saw.map_err(|e| format!("line {}: {}: {e}", line.number, line.text))?;
            trace.push(line.saw(&saw));
        }
        self.finish()?;
        Ok(trace)
    }

    /// Checks the law: every op answered, every buffer returned.
    fn finish(mut self) -> Outcome<()> {
        for (socket, kind) in self.books.inflight.clone() {
            self.poller.cancel(socket, kind);
        }
        self.until("the end of the cancelled ops", |stage| {
            Ok(stage.books.inflight.is_empty())
        })?;
        let Self {
            poller,
            pool,
            source,
            ends,
            books,
            ..
        } = self;
        drop((poller, ends, books));
        match pool.in_use() + source.in_use() {
            0 => Ok(()),
            left => Err(format!("{left} buffers were not returned")),
        }
    }

    fn perform(&mut self, line: &Line) -> Outcome {
        let who = line.who.as_str();
        match &line.verb {
            Verb::Pair(peer) => self.pair(who, peer),
            Verb::Small => self.small(who),
            Verb::Shutdown => self.shutdown(who),
            Verb::Close => self.close(who, false),
            Verb::Reset => self.close(who, true),
            Verb::Has(bytes) => self.has(who, *bytes),
            Verb::Acked => self.condition(who, "unacknowledged", |socket| {
                sys::unacknowledged(socket).is_ok_and(|left| left == 0)
            }),
            Verb::Unacked => self.unacked(who),
            Verb::Over => self.condition(who, "not over", sys::is_closed),
            Verb::Readable => self.condition(who, "not readable", sys::is_readable),
            Verb::Listen(backlog) => self.listen(who, *backlog),
            Verb::Begin(to) => self.begin(who, to),
            Verb::Connected => self.connected(who),
            Verb::Connect(to) => {
                self.begin(who, to)?;
                self.connected(who)
            }
            Verb::ConnectItself => self.connect_itself(who),
            Verb::Accept(from) => self.accept(who, from),
            Verb::Write(bytes) => self.write(who, *bytes),
            Verb::Fill => self.fill(who),
            Verb::Read(bytes) => self.read(who, Some(*bytes)),
            Verb::Drain => self.read(who, None),
            Verb::Recv => self.recv(who),
            Verb::Send(bytes) => self.send(who, *bytes),
            Verb::Error => self.error(who),
            Verb::Serve(backlog) => self.serve(who, *backlog),
            Verb::Open(to) => self.connect_ours(who, to),
            Verb::Submit(kind, bytes) => self.submit(who, *kind, *bytes),
            Verb::Cancel(kind) => self.cancel(who, *kind),
            Verb::Waits(kind) => self.waits(who, *kind),
            Verb::Bytes(bytes) => self.bytes(who, *bytes),
            Verb::Await(kind, as_name) => self.answer(who, *kind, as_name.as_deref()),
            Verb::Pipe => self.pipe(who),
            Verb::Suck(from, bytes) => self.suck(who, from, *bytes),
            Verb::Blow(to, bytes) => self.blow(who, to, *bytes),
            Verb::Take(bytes) => self.take(who, *bytes),
        }
    }

    /// One turn of the poller; books the completions.
    pub(super) fn turn(&mut self, wait: Wait) -> Outcome<()> {
        let mut completions = Vec::new();
        let waited = self.poller.wait(wait, &mut completions);
        waited.map_err(|e| format!("the poller is broken: {e}"))?;
        completions
            .into_iter()
            .try_for_each(|completion| self.enter(completion))
    }

    fn enter(&mut self, completion: Completion) -> Outcome<()> {
        self.books.enter(completion, &mut self.streams)
    }

    /// Turns, and lets the kernel work, until a condition holds.
    pub(super) fn until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&mut Self) -> Outcome<bool>,
    ) -> Outcome<()> {
        let mut patience = Patience::new(self.kind);
        self.turn(Wait::NOT)?;
        while !holds(self)? {
            let Some(wait) = patience.pass() else {
                let inflight = &self.books.inflight;
                return Err(format!("timed out: {what}; in flight: {inflight:?}"));
            };
            self.turn(wait)?;
        }
        Ok(())
    }

    fn condition(
        &mut self,
        who: &str,
        otherwise: &str,
        holds: impl Fn(SocketRef<'_>) -> bool,
    ) -> Outcome {
        self.until(otherwise, |stage| Ok(holds(stage.socket(who)?)))?;
        Ok("yes".to_owned())
    }

    /// Waits until exactly this many bytes have arrived unread.
    fn has(&mut self, who: &str, bytes: usize) -> Outcome {
        self.condition(who, "not that many bytes", |socket| {
            sys::unread(socket).is_ok_and(|unread| unread == bytes)
        })
    }

    /// Whether sent bytes or a FIN are unacknowledged.
    fn unacked(&mut self, who: &str) -> Outcome {
        let left = sys::unacknowledged(self.socket(who)?).map_err(|e| format!("no count: {e}"))?;
        Ok(if left > 0 { "some" } else { "none" }.to_owned())
    }

    pub(super) fn end(&mut self, who: &str) -> Outcome<&mut End> {
        self.ends
            .get_mut(who)
            .ok_or_else(|| format!("no end is named {who}"))
    }

    /// The socket of an open end, for a system call.
    pub(super) fn socket(&self, who: &str) -> Outcome<SocketRef<'_>> {
        match self.ends.get(who).map(|end| &end.grip) {
            Some(Grip::Ours(socket)) => Ok(self.poller.descriptor(*socket)),
            Some(Grip::Theirs(socket)) => Ok(sys::borrow(socket)),
            other => Err(format!("{who} is no open socket: {other:?}")),
        }
    }

    /// Our socket of this name.
    pub(super) fn ours(&self, who: &str) -> Outcome<Socket> {
        match self.ends.get(who).map(|end| &end.grip) {
            Some(Grip::Ours(socket)) => Ok(*socket),
            other => Err(format!("{who} is no socket of the poller: {other:?}")),
        }
    }

    pub(super) fn address(&self, of: &str) -> Outcome<SocketAddr> {
        let end = self.ends.get(of).and_then(|end| end.address);
        end.ok_or_else(|| format!("{of} has no address"))
    }

    pub(super) fn outgoing(&mut self, who: &str) -> Outcome<&mut Stream> {
        let (out, _) = self.streams_of(who)?;
        Ok(&mut self.streams[out])
    }

    pub(super) fn incoming(&mut self, who: &str) -> Outcome<&mut Stream> {
        let (_, incoming) = self.streams_of(who)?;
        Ok(&mut self.streams[incoming])
    }

    fn streams_of(&self, who: &str) -> Outcome<(usize, usize)> {
        let end = self.ends.get(who).and_then(|end| end.streams);
        end.ok_or_else(|| format!("{who} is not connected"))
    }

    /// Names an end; the name may have belonged to a closed end.
    pub(super) fn name(&mut self, who: &str, end: End) -> Outcome<()> {
        if let Some(Grip::Ours(_) | Grip::Theirs(_)) = self.ends.get(who).map(|end| &end.grip) {
            return Err(format!("{who} is open already"));
        }
        if let (Grip::Ours(socket), Some((_, incoming))) = (&end.grip, end.streams) {
            self.books.reads.insert(*socket, incoming);
        }
        self.ends.insert(who.to_owned(), end);
        Ok(())
    }

    /// Two new streams, for a connection.
    pub(super) fn new_streams(&mut self) -> (usize, usize) {
        let first = self.streams.len();
        self.streams
            .extend([Stream::new(first), Stream::new(first + 1)]);
        (first, first + 1)
    }

    fn pipe(&mut self, who: &str) -> Outcome {
        let pipe = Pipe::open(PIPE).map_err(|e| format!("no pipe: {e}"))?;
        self.name(who, End::new(Grip::Pipe(pipe, Vec::new()), None))?;
        Ok("open".to_owned())
    }

    /// Submits an op and books an immediate answer.
    pub(super) fn ask(&mut self, socket: Socket, op: crate::poller::Op) -> Outcome<()> {
        let kind = op.kind();
        if self.books.finals.contains_key(&(socket, kind)) {
            return Err(format!("the last {kind:?} was not awaited"));
        }
        if !self.books.inflight.insert((socket, kind)) {
            return Err(format!("a {kind:?} is in flight"));
        }
        match self.poller.submit(socket, op) {
            Submitted::Pending => Ok(()),
            Submitted::Done(event) => self.enter(Completion { socket, event }),
        }
    }

    pub(super) fn is_inflight(&self, socket: Socket, kind: OpKind) -> bool {
        self.books.inflight.contains(&(socket, kind))
    }
}

/// A listener on a free port, and its address.
pub(super) fn listener(backlog: u32) -> Outcome<(OsSocket, SocketAddr)> {
    let opened = || {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = sys::bind_shared(any, false)?;
        sys::listen(sys::borrow(&socket), backlog)?;
        let address = sys::local_address(sys::borrow(&socket))?;
        Ok((socket, address))
    };
    opened().map_err(|e: std::io::Error| format!("no listener: {e}"))
}
