//! One connection's two streams: makes the bytes that are sent, compares those that come back, and
//! knows how to say what went wrong. Called by the kinds of work; decides nothing of when.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use corelane::buf::{Buf, Chain};
use corelane::net::Stream;
use corelane::runtime::{Handle, yield_now};

use crate::fault::Fault;
use crate::pattern::Pattern;
use crate::plan::Load;
use crate::proxy_header;

/// How long after the end the last answers, and then the server's FIN, are waited for.
pub(crate) const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be silent that has an answer to come, in a load that ends by itself.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long the receiving side has to say why sending failed: it knows a FIN from a reset.
const REASON_MAX: Duration = Duration::from_secs(1);
/// Buffers handed over at once: as many as a lane takes in before it holds the peer back.
const PIECE_BUFFERS: u64 = 4;

/// A connection's streams. Positions are in bytes.
pub(crate) struct Wire<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) number: u32,
    pattern: Pattern,
    verify: bool,
    /// Handed over to be sent.
    pub(crate) sent: Cell<u64>,
    /// Received and found right.
    pub(crate) received: Cell<u64>,
    pub(crate) fin_sent: Cell<bool>,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(stream: &'a Stream, number: u32, load: &Load) -> Self {
        Self {
            stream,
            number,
            pattern: Pattern::new(load.seed, number),
            verify: load.verify,
            sent: Cell::new(0),
            received: Cell::new(0),
            fin_sent: Cell::new(false),
        }
    }

    /// Sends the PROXY header, if the load has one. It is not part of the stream.
    pub(crate) async fn introduce(&self, load: &Load) -> Result<(), Fault> {
        let Some(version) = load.proxy else {
            return Ok(());
        };
        let header = proxy_header::header(version, self.number, load.address);
        let mut buf = self.buffer().await;
        buf.space()[..header.len()].copy_from_slice(&header);
        buf.fill(header.len());
        let mut chain = Chain::default();
        chain.push(buf);
        let sent = self.stream.send(chain).await;
        sent.map(drop).map_err(|error| self.broken(&error))
    }

    /// The next `bytes` of the stream, which count as handed over.
    pub(crate) async fn piece(&self, bytes: u64) -> Chain {
        let (mut position, end) = (self.sent.get(), self.sent.get() + bytes);
        let mut chain = Chain::default();
        while position < end {
            let mut buf = self.buffer().await;
            position += self.fill(&mut buf, position, end);
            chain.push(buf);
        }
        self.sent.set(end);
        chain
    }

    /// How many bytes are handed over at once, at most.
    pub(crate) fn piece_max(&self) -> u64 {
        PIECE_BUFFERS * self.lane().pool().buffer_bytes() as u64
    }

    async fn buffer(&self) -> Buf {
        loop {
            match self.lane().pool().take() {
                Some(buf) => return buf,
                // The pool has room for what all connections may hold, but for a moment.
                None => yield_now().await,
            }
        }
    }

    /// Fills a buffer with the stream from `position`, and says how far.
    fn fill(&self, buf: &mut Buf, position: u64, end: u64) -> u64 {
        let space = buf.space();
        let bytes = usize::try_from(end - position).unwrap_or(usize::MAX);
        let bytes = bytes.min(space.len());
        match self.verify {
            true => self.pattern.fill(position, &mut space[..bytes]),
            false => space[..bytes].fill(0),
        }
        buf.fill(bytes);
        bytes as u64
    }

    /// Counts what came back as received, if it is right.
    pub(crate) fn take(&self, chain: &Chain) -> Result<(), Fault> {
        let mut position = self.received.get();
        for part in chain.parts() {
            let room = self.sent.get() - position;
            let expected = &part[..usize::try_from(room).unwrap_or(usize::MAX).min(part.len())];
            if self.verify
                && let Some(mismatch) = self.pattern.mismatch(position, expected)
            {
                return Err(Fault::corrupted(self.number, mismatch));
            }
            position += expected.len() as u64;
            if expected.len() < part.len() {
                let more = self.received.get() + chain.len() as u64 - position;
                return Err(Fault::too_much(self.number, position, more));
            }
        }
        self.received.set(position);
        Ok(())
    }

    /// The server's FIN: right behind all bytes, and after ours.
    pub(crate) fn ended(&self) -> Result<(), Fault> {
        match self.fin_sent.get() && self.outstanding() == 0 {
            true => Ok(()),
            false => Err(self.closed_early()),
        }
    }

    pub(crate) fn closed_early(&self) -> Fault {
        Fault::closed_early(self.number, self.received.get(), self.outstanding())
    }

    /// Sends our FIN.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        self.fin_sent.set(true);
        self.stream.shutdown()
    }

    /// Sending failed: the receiving side knows best why, so this one waits a little.
    pub(crate) async fn failed_to_send(&self, error: &io::Error) -> Fault {
        self.sleep(REASON_MAX).await;
        self.broken(error)
    }

    /// No FIN has answered ours.
    pub(crate) async fn not_closed(&self) -> Fault {
        self.sleep(CLOSE_MAX).await;
        Fault::not_closed(self.number, self.received.get(), CLOSE_MAX)
    }

    pub(crate) fn unanswered(&self) -> Fault {
        Fault::unanswered(self.number, self.received.get(), self.outstanding())
    }

    pub(crate) fn broken(&self, error: &io::Error) -> Fault {
        Fault::broken(self.number, self.received.get(), error)
    }

    pub(crate) fn outstanding(&self) -> u64 {
        self.sent.get() - self.received.get()
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        let end = self.lane().now() + time;
        self.lane().sleep_until(end).await;
    }

    pub(crate) fn lane(&self) -> &Handle {
        self.stream.lane()
    }
}
