//! One connection's sent and received streams: makes the bytes to send, compares the received
//! bytes, and describes errors. The kinds of work call this file and decide when to send.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::pin::pin;
use std::time::Duration;

use corelane::buf::{Buf, Chain};
use corelane::net::Stream;
use corelane::runtime::{Either, Handle, either, yield_now};

use super::pattern::Pattern;
use super::proxy_header;
use super::script::{ReplyProgress, ReplyStep, Request, Script};
use super::work::Load;
use crate::args::bytes::{SHOWN_MAX, shown};
use crate::outcome::{ConnectionError, Mismatch};

/// How long to wait for the last replies after the end, and then for the server's FIN.
pub(crate) const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How long a connection with an outstanding reply may be silent, in a load with a message count.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long the receiving half has to find the cause of a failed send: a receive distinguishes a
/// FIN from a reset.
const REASON_MAX: Duration = Duration::from_secs(1);
/// How long the reply to the opening may take.
const OPENING_MAX: Duration = Duration::from_secs(10);
/// How many of the first received bytes decide whether the server echoes at all. A faulty echo
/// returns bytes that look random; a server of another protocol returns text.
const TELLING: usize = 64;
/// The buffers of one send: as many as a lane buffers before it applies backpressure.
const PIECE_BUFFERS: u64 = 4;

/// A connection with its two streams. Positions are in bytes.
pub(crate) struct Connection<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) number: u32,
    pattern: Pattern,
    verify: bool,
    /// The dialogue, if the load has a script.
    state: Option<ScriptState<'a>>,
    /// Bytes submitted to be sent.
    pub(crate) sent: Cell<u64>,
    /// Bytes received and verified.
    pub(crate) received: Cell<u64>,
    /// Sent bytes whose reply is complete. With an echo: the received bytes.
    pub(crate) answered: Cell<u64>,
    pub(crate) fin_sent: Cell<bool>,
}

/// The progress of a scripted dialogue.
struct ScriptState<'a> {
    script: &'a Script,
    progress: Cell<ReplyProgress>,
    /// Complete replies.
    replies: Cell<u64>,
    /// The beginning of the first reply.
    first: RefCell<Vec<u8>>,
}

/// The missing part of the replies, for an error message.
pub(crate) enum Outstanding {
    Bytes(u64),
    Replies(u64),
}

impl fmt::Display for Outstanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Replies(1) => f.write_str("1 reply"),
            Self::Replies(replies) => write!(f, "{replies} replies"),
        }
    }
}

impl<'a> Connection<'a> {
    pub(crate) fn new(stream: &'a Stream, number: u32, load: &'a Load) -> Self {
        Self {
            stream,
            number,
            pattern: Pattern::new(load.seed, number),
            verify: load.verify,
            state: load.script.as_deref().map(|script| ScriptState {
                script,
                progress: Cell::default(),
                replies: Cell::new(0),
                first: RefCell::default(),
            }),
            sent: Cell::new(0),
            received: Cell::new(0),
            answered: Cell::new(0),
            fin_sent: Cell::new(false),
        }
    }

    /// Sends the PROXY header and the script's opening, if the load has them, and waits for the
    /// reply to the opening. These bytes are not part of the stream.
    pub(crate) async fn introduce(&self, load: &Load) -> Result<(), ConnectionError> {
        if let Some(version) = load.proxy {
            self.send_aside(&proxy_header::header(version, self.number, load.address))
                .await?;
        }
        let script = load.script.as_deref();
        let Some(opening) = script.and_then(|script| script.opening.as_ref()) else {
            return Ok(());
        };
        let (state, late) = (pin!(self.open(opening)), pin!(self.sleep(OPENING_MAX)));
        match either(state, late).await {
            Either::First(result) => result,
            Either::Second(()) => Err(ConnectionError::not_opened(self.number, OPENING_MAX)),
        }
    }

    /// Sends bytes outside the stream.
    async fn send_aside(&self, bytes: &[u8]) -> Result<(), ConnectionError> {
        let piece = usize::try_from(self.piece_max()).unwrap_or(usize::MAX);
        for piece in bytes.chunks(piece) {
            let mut chain = Chain::default();
            let mut rest = piece;
            while !rest.is_empty() {
                let mut buf = self.buffer().await;
                let length = rest.len().min(buf.space().len());
                buf.space()[..length].copy_from_slice(&rest[..length]);
                buf.fill(length);
                chain.push(buf);
                rest = &rest[length..];
            }
            let sent = self.stream.send(chain).await;
            sent.map(drop).map_err(|error| self.broken(&error))?;
        }
        Ok(())
    }

    /// Exchanges the script's opening.
    async fn open(&self, opening: &Request) -> Result<(), ConnectionError> {
        self.send_aside(&opening.bytes).await?;
        let mut progress = ReplyProgress::default();
        let mut received = 0;
        loop {
            let chain = self.stream.recv().await;
            let chain = chain.map_err(|error| self.broken(&error))?;
            if chain.is_empty() {
                return Err(ConnectionError::refused_opening(self.number, received));
            }
            let mut done = false;
            for part in chain.parts() {
                if done {
                    return Err(ConnectionError::too_much(
                        self.number,
                        0,
                        part.len() as u64,
                        "requested",
                    ));
                }
                match opening.reply.step(&mut progress, part) {
                    ReplyStep::More => {}
                    ReplyStep::Done(length) if length == part.len() => done = true,
                    ReplyStep::Done(length) => {
                        let more = (part.len() - length) as u64;
                        return Err(ConnectionError::too_much(self.number, 0, more, "requested"));
                    }
                    ReplyStep::Wrong { at, expected, got } => {
                        let place = received + at as u64;
                        return Err(self.wrong(place, expected, got, part));
                    }
                }
                received += part.len() as u64;
            }
            if done {
                return Ok(());
            }
        }
    }

    /// Makes the next `bytes` of the stream and counts them as sent.
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

    /// The most bytes of one send.
    pub(crate) fn piece_max(&self) -> u64 {
        PIECE_BUFFERS * self.lane().pool().buffer_bytes() as u64
    }

    async fn buffer(&self) -> Buf {
        loop {
            match self.lane().pool().take() {
                Some(buf) => return buf,
                // The pool holds the buffers of all connections, but may be empty for a moment.
                None => yield_now().await,
            }
        }
    }

    /// Fills a buffer with the stream from `position` on and returns the number of bytes.
    fn fill(&self, buf: &mut Buf, position: u64, end: u64) -> u64 {
        let space = buf.space();
        let bytes = usize::try_from(end - position).unwrap_or(usize::MAX);
        let bytes = bytes.min(space.len());
        match (&self.state, self.verify) {
            (Some(state), _) => repeat(&state.script.message.bytes, position, &mut space[..bytes]),
            (None, true) => self.pattern.fill(position, &mut space[..bytes]),
            (None, false) => space[..bytes].fill(0),
        }
        buf.fill(bytes);
        bytes as u64
    }

    /// Verifies received bytes and counts them, and the sent bytes with a complete reply.
    pub(crate) fn take(&self, chain: &Chain) -> Result<(), ConnectionError> {
        if let Some(state) = &self.state {
            return self.take_replies(state, chain);
        }
        let mut position = self.received.get();
        for part in chain.parts() {
            let room = self.sent.get() - position;
            let expected = &part[..usize::try_from(room).unwrap_or(usize::MAX).min(part.len())];
            if self.verify
                && let Some(mismatch) = self.pattern.mismatch(position, expected)
            {
                return Err(match position == 0 && is_text(part) {
                    true => ConnectionError::no_echo(self.number, mismatch, &shown(part)),
                    false => ConnectionError::corrupted(self.number, mismatch),
                });
            }
            position += expected.len() as u64;
            if expected.len() < part.len() {
                let more = self.received.get() + chain.len() as u64 - position;
                return Err(ConnectionError::too_much(
                    self.number,
                    position,
                    more,
                    "sent",
                ));
            }
        }
        self.received.set(position);
        self.answered.set(position);
        Ok(())
    }

    /// The same for the replies of a script.
    fn take_replies(&self, state: &ScriptState<'_>, chain: &Chain) -> Result<(), ConnectionError> {
        let request = &state.script.message;
        let length = request.bytes.len() as u64;
        let asked = self.sent.get() / length;
        let mut progress = state.progress.get();
        for part in chain.parts() {
            let mut rest = part;
            while !rest.is_empty() {
                let position = self.received.get();
                if state.replies.get() == asked {
                    let more = rest.len() as u64;
                    return Err(ConnectionError::too_much(
                        self.number,
                        position,
                        more,
                        "requested",
                    ));
                }
                let (taken, whole) = match request.reply.step(&mut progress, rest) {
                    ReplyStep::More => (rest.len(), false),
                    ReplyStep::Done(taken) => (taken, true),
                    ReplyStep::Wrong { at, expected, got } => {
                        return Err(self.wrong(position + at as u64, expected, got, rest));
                    }
                };
                state.remember(&rest[..taken]);
                state.replies.set(state.replies.get() + u64::from(whole));
                self.received.set(position + taken as u64);
                rest = &rest[taken..];
            }
        }
        state.progress.set(progress);
        self.answered.set(state.replies.get() * length);
        Ok(())
    }

    /// The first reply, once complete.
    pub(crate) fn first_reply(&self) -> Option<String> {
        let state = self
            .state
            .as_ref()
            .filter(|state| state.replies.get() > 0)?;
        Some(shown(&state.first.borrow()))
    }

    fn wrong(&self, position: u64, expected: u8, got: u8, came: &[u8]) -> ConnectionError {
        let mismatch = Mismatch {
            position,
            expected,
            got,
        };
        ConnectionError::not_expected(self.number, mismatch, &shown(came))
    }

    /// Checks the server's FIN: correct only after all replies and after our FIN.
    pub(crate) fn ended(&self) -> Result<(), ConnectionError> {
        match self.fin_sent.get() && self.is_all_answered() {
            true => Ok(()),
            false => Err(self.closed_early()),
        }
    }

    pub(crate) fn closed_early(&self) -> ConnectionError {
        ConnectionError::closed_early(self.number, self.received.get(), self.outstanding())
    }

    /// Sends our FIN.
    pub(crate) fn shutdown(&self) -> io::Result<()> {
        self.fin_sent.set(true);
        self.stream.shutdown()
    }

    /// Gives the receiving half time to report the cause, then reports the failed send.
    pub(crate) async fn failed_to_send(&self, error: &io::Error) -> ConnectionError {
        self.sleep(REASON_MAX).await;
        self.broken(error)
    }

    /// Waits for the FIN in answer to ours, then reports the missing FIN.
    pub(crate) async fn not_closed(&self) -> ConnectionError {
        self.sleep(CLOSE_MAX).await;
        ConnectionError::not_closed(self.number, self.received.get(), CLOSE_MAX)
    }

    pub(crate) fn unanswered(&self) -> ConnectionError {
        ConnectionError::unanswered(self.number, self.received.get(), self.outstanding())
    }

    pub(crate) fn broken(&self, error: &io::Error) -> ConnectionError {
        ConnectionError::broken(self.number, self.received.get(), error)
    }

    /// Whether no reply is outstanding.
    pub(crate) fn is_all_answered(&self) -> bool {
        self.sent.get() == self.answered.get()
    }

    fn outstanding(&self) -> Outstanding {
        let bytes = self.sent.get() - self.answered.get();
        match &self.state {
            None => Outstanding::Bytes(bytes),
            Some(state) => {
                Outstanding::Replies(bytes.div_ceil(state.script.message.bytes.len() as u64))
            }
        }
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        let end = self.lane().now() + time;
        self.lane().sleep_until(end).await;
    }

    pub(crate) fn lane(&self) -> &Handle {
        self.stream.lane()
    }
}

impl ScriptState<'_> {
    /// Keeps the beginning of the first reply for the report.
    fn remember(&self, bytes: &[u8]) {
        if self.replies.get() == 0 {
            let mut first = self.first.borrow_mut();
            // One byte more than the report shows, so that `shown` can mark the cut.
            let room = (SHOWN_MAX + 1).saturating_sub(first.len());
            first.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

/// Whether at least three quarters of the bytes are text, as in the error replies of most
/// protocols. Of random bytes two in five are text.
fn is_text(bytes: &[u8]) -> bool {
    let bytes = &bytes[..bytes.len().min(TELLING)];
    let text = bytes
        .iter()
        .filter(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    4 * text.count() >= 3 * bytes.len()
}

/// Fills `into` with a repeated message, from `position` in the stream of repetitions.
fn repeat(message: &[u8], position: u64, into: &mut [u8]) {
    let start = position % message.len() as u64;
    let mut at = usize::try_from(start).expect("less than the length of a slice");
    let mut rest = into;
    while !rest.is_empty() {
        let length = rest.len().min(message.len() - at);
        let (head, tail) = rest.split_at_mut(length);
        head.copy_from_slice(&message[at..at + length]);
        (rest, at) = (tail, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::{is_text, repeat};
    use crate::load::pattern::Pattern;

    #[test]
    fn replies_of_protocols_are_text_and_patterns_are_not() {
        let postgres = b"E\0\0\0\x8dSFATAL\0VFATAL\0C0A000\0Munsupported frontend protocol\0";
        for answer in [
            &b"-ERR unknown command\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\n",
            postgres,
        ] {
            assert!(is_text(answer));
        }
        for connection in 0..1000 {
            let mut bytes = [0; 64];
            Pattern::new(1, connection).fill(0, &mut bytes);
            assert!(!is_text(&bytes), "{connection}");
        }
        assert!(!is_text(&[0; 64]));
    }

    #[test]
    fn a_repeated_message_continues_across_pieces() {
        let mut stream = Vec::new();
        for length in [1, 2, 3, 7, 10, 1] {
            let mut piece = vec![0; length];
            repeat(b"abcde", stream.len() as u64, &mut piece);
            stream.extend(piece);
        }
        assert_eq!(stream, b"abcdeabcdeabcdeabcdeabcd");
    }
}
