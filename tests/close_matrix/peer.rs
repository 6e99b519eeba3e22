//! One end of a connection: runs a script of steps, and records its observations.
//!
//! A crash needs a separate process. The steps before the crash run in a second process of this
//! test binary, which gets the socket as standard input and is killed.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::corelane::DEADLINE;

/// The script of a crashing peer, and its side; set only for the peer's process.
const SCRIPT: &str = "CORELANE_TEST_PEER";
/// The test that plays the peer, for [`Command`].
pub(crate) const PLAYER: &str = "plays_a_peer_that_crashes";

/// How long the kernel takes nothing before a sender continues to its end.
const PATIENCE: Duration = Duration::from_millis(60);
/// Bytes of one read or write.
const CHUNK: usize = 64 * 1024;
const SLOW_CHUNK: usize = 16 * 1024;
const SLOW_PAUSE: Duration = Duration::from_micros(200);
/// A prime, so that no buffer's length is a multiple of the pattern's.
const PATTERN: usize = 65_521;

/// A side of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// How a side reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pace {
    Fast,
    Slow,
    /// Not at all until the peer has ended, then fast.
    Stopped,
}

/// A step of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Sends this many bytes, or as many as the kernel takes without delay.
    Send(u64),
    /// Sends this many bytes, however long it takes.
    SendAll(u64),
    /// Reads this many bytes.
    Receive(u64, Pace),
    /// Reads to the end.
    ReceiveToEnd(Pace),
    /// Waits until there are bytes to read, and leaves them unread.
    Peek,
    /// Sends a FIN.
    Fin,
    /// Closes by reset.
    Reset,
    /// Closes.
    Close,
    /// Is killed.
    Crash,
    /// Reports to the peer, outside the connection, that the script has come this far.
    Tell,
    /// Waits for the peer's [`Step::Tell`].
    Await,
}

/// How a connection ends, as one side sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// Not at all.
    #[default]
    Open,
    Fin,
    Reset,
    Refused,
    /// This side has ended the connection and saw no end.
    Own,
}

/// The observations of a side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Bytes that the kernel took.
    pub(crate) sent: u64,
    /// Sent bytes that the peer's kernel did not have when this side ended.
    pub(crate) outstanding: u64,
    pub(crate) received: u64,
    /// A received byte differs from the sent byte.
    pub(crate) corrupt: bool,
    pub(crate) end: End,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            outstanding,
            received,
            corrupt,
            end,
        } = self;
        write!(f, "sent {sent}-{outstanding} got {received} {end:?}")?;
        f.write_str(if *corrupt { " CORRUPT" } else { "" })
    }
}

/// A channel between the two sides outside the connection.
#[derive(Debug)]
pub(crate) struct Whisper {
    pub(crate) tell: Sender<()>,
    pub(crate) hear: Receiver<()>,
}

/// Runs a script on a connection.
pub(crate) fn play(side: Side, stream: TcpStream, script: &[Step], whisper: &Whisper) -> Seen {
    let crashes = script.iter().any(|step| matches!(step, Step::Crash));
    if !crashes {
        let mut peer = Peer::new(side, stream);
        script.iter().for_each(|&step| peer.take(step, whisper));
        return peer.seen;
    }
    let alone = script
        .iter()
        .position(|step| matches!(step, Step::Crash | Step::Await | Step::Tell))
        .unwrap();
    let (process, seen) = spawn(side, stream, &script[..alone]);
    let mut process = Some(process);
    for step in &script[alone..] {
        match step {
            Step::Crash => {
                let mut process = process.take().unwrap();
                process.kill().unwrap();
                process.wait().unwrap();
            }
            Step::Tell => drop(whisper.tell.send(())),
            Step::Await => drop(whisper.hear.recv_timeout(DEADLINE)),
            other => unreachable!("{other:?} is for the process"),
        }
    }
    seen
}

/// Starts a process with these steps, and waits until the process has completed them.
fn spawn(side: Side, stream: TcpStream, script: &[Step]) -> (std::process::Child, Seen) {
    let mut text = String::from(if side == Side::Client { "c" } else { "s" });
    for step in script {
        text += &match step {
            Step::Send(bytes) => format!(" send {bytes}"),
            Step::SendAll(bytes) => format!(" send_all {bytes}"),
            Step::Receive(bytes, _) => format!(" receive {bytes}"),
            Step::Peek => " peek 0".to_owned(),
            other => unreachable!("{other:?} before a crash"),
        };
    }
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", PLAYER, "--nocapture"])
        .env(SCRIPT, text)
        .stdin(Stdio::from(OwnedFd::from(stream)))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut words = Vec::new();
    for line in lines.map_while(Result::ok) {
        // The test harness has begun the line.
        if let Some((_, said)) = line.split_once("seen ") {
            words = said.split(' ').map(str::to_owned).collect();
            break;
        }
    }
    let number = |at: usize| words[at].parse().unwrap();
    let seen = Seen {
        sent: number(0),
        outstanding: number(1),
        received: number(2),
        corrupt: words[3] == "true",
        end: End::Own,
    };
    (process, seen)
}

/// Plays the peer of a process to be killed. Does nothing in an ordinary run.
#[expect(clippy::infinite_loop, reason = "it is killed")]
pub(crate) fn play_alone() {
    let Ok(text) = std::env::var(SCRIPT) else {
        return;
    };
    // SAFETY: standard input is open for as long as the process lives.
    let stdin = unsafe { BorrowedFd::borrow_raw(0) };
    let stream = TcpStream::from(stdin.try_clone_to_owned().unwrap());
    let mut words = text.split(' ');
    let side = if words.next() == Some("c") {
        Side::Client
    } else {
        Side::Server
    };
    let mut peer = Peer::new(side, stream);
    while let Some(word) = words.next() {
        let bytes = words.next().unwrap().parse().unwrap();
        match word {
            "send" => peer.send(bytes, PATIENCE),
            "send_all" => peer.send(bytes, DEADLINE),
            "receive" => peer.receive(bytes, Pace::Fast),
            "peek" => peer.peek(),
            other => unreachable!("{other}"),
        }
    }
    peer.note_outstanding();
    let Seen {
        sent,
        outstanding,
        received,
        corrupt,
        ..
    } = peer.seen;
    println!("seen {sent} {outstanding} {received} {corrupt}");
    io::stdout().flush().unwrap();
    loop {
        thread::park();
    }
}

struct Peer {
    stream: Option<TcpStream>,
    /// The sent and the expected pattern, each twice in a row.
    out: Vec<u8>,
    expected: Vec<u8>,
    seen: Seen,
}

impl Peer {
    fn new(side: Side, stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let (client, server) = (pattern(1), pattern(2));
        let (out, expected) = match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        Self {
            stream: Some(stream),
            out,
            expected,
            seen: Seen::default(),
        }
    }

    fn take(&mut self, step: Step, whisper: &Whisper) {
        match step {
            Step::Send(bytes) => self.send(bytes, PATIENCE),
            Step::SendAll(bytes) => self.send(bytes, DEADLINE),
            Step::Receive(bytes, pace) => self.receive(bytes, pace),
            Step::ReceiveToEnd(pace) => self.receive(u64::MAX, pace),
            Step::Peek => self.peek(),
            // Fails when the connection is gone, which the next read shows.
            Step::Fin => drop(self.stream().shutdown(Shutdown::Write)),
            Step::Reset => {
                self.note_outstanding();
                SockRef::from(self.stream())
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                self.close();
            }
            Step::Close => {
                self.note_outstanding();
                self.close();
            }
            Step::Tell => drop(whisper.tell.send(())),
            Step::Await => drop(whisper.hear.recv_timeout(DEADLINE)),
            Step::Crash => unreachable!("only a process of its own can crash"),
        }
    }

    fn stream(&self) -> &TcpStream {
        self.stream.as_ref().expect("a closed side does no more")
    }

    fn close(&mut self) {
        self.stream = None;
        self.ended(End::Own);
    }

    fn ended(&mut self, end: End) {
        if self.seen.end == End::Open {
            self.seen.end = end;
        }
    }

    fn send(&mut self, bytes: u64, patience: Duration) {
        let mut stream = self.stream.as_ref().unwrap();
        stream.set_write_timeout(Some(patience)).unwrap();
        let until = self.seen.sent + bytes;
        while self.seen.sent < until {
            let at = offset(self.seen.sent);
            let length = CHUNK.min(usize::try_from(until - self.seen.sent).unwrap());
            match stream.write(&self.out[at..at + length]) {
                Ok(written) => self.seen.sent += written as u64,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return,
                    _ => return self.ended(End::Reset),
                },
            }
        }
    }

    fn receive(&mut self, bytes: u64, pace: Pace) {
        if self.seen.end != End::Open {
            return;
        }
        let chunk = if pace == Pace::Slow {
            SLOW_CHUNK
        } else {
            CHUNK
        };
        let mut buffer = vec![0; chunk];
        let until = self.seen.received.saturating_add(bytes);
        while self.seen.received < until {
            let left = usize::try_from(until - self.seen.received).unwrap();
            match self.stream().read(&mut buffer[..chunk.min(left)]) {
                Ok(0) => return self.ended(End::Fin),
                Ok(read) => {
                    let at = offset(self.seen.received);
                    self.seen.corrupt |= buffer[..read] != self.expected[at..at + read];
                    self.seen.received += read as u64;
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return,
                    _ => return self.ended(End::Reset),
                },
            }
            if pace == Pace::Slow {
                thread::sleep(SLOW_PAUSE);
            }
        }
    }

    fn peek(&self) {
        drop(self.stream().peek(&mut [0]));
    }

    fn note_outstanding(&mut self) {
        let mut bytes: libc::c_int = 0;
        let fd = self.stream().as_raw_fd();
        // SAFETY: the request writes one int.
        let result = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut bytes) };
        assert_eq!(result, 0);
        self.seen.outstanding = u64::try_from(bytes).unwrap();
    }
}

/// A pattern without a period, followed by its own beginning.
fn pattern(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    let mut pattern: Vec<u8> = (0..PATTERN).map(|_| next()).collect();
    pattern.extend_from_within(..);
    pattern.extend_from_within(..CHUNK);
    pattern
}

fn offset(at: u64) -> usize {
    usize::try_from(at % PATTERN as u64).unwrap()
}
