//! Scripts as text: one statement per line, with the expected result behind `=>`.

use crate::poller::OpKind;

/// Default backlog of a listener.
const BACKLOG: u32 = 128;
/// Most bytes of one statement, so that a typing error does not exhaust memory.
const BYTES_MAX: usize = 8 << 20;

/// A sequence of events between two sockets.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) lines: Vec<Line>,
}

/// One statement.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) who: String,
    pub(super) verb: Verb,
    /// The expected result, if the script states a result.
    pub(super) expected: Option<String>,
}

/// An action. `corpus/README.md` explains each.
#[derive(Clone, Debug)]
pub(super) enum Verb {
    // Actions of both ends.
    Pair(String),
    Small,
    Shutdown,
    Close,
    Reset,
    Has(usize),
    Acked,
    Unacked,
    Over,
    Readable,
    // Actions of the peer.
    Listen(u32),
    Begin(String),
    Connected,
    Connect(String),
    ConnectItself,
    Accept(String),
    Write(usize),
    Fill,
    Read(usize),
    Drain,
    Recv,
    Send(usize),
    Error,
    // Actions of our end.
    Serve(u32),
    Open(String),
    Submit(OpKind, usize),
    Cancel(OpKind),
    Waits(OpKind),
    Bytes(usize),
    Await(OpKind, Option<String>),
    // Actions on a pipe.
    Pipe,
    Suck(String, usize),
    Blow(String, usize),
    Take(usize),
}

impl Script {
    /// Parses a script.
    ///
    /// # Errors
    /// The first line without a valid statement.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let (statement, expected) = match line.split_once("=>") {
                Some((statement, expected)) => (statement, Some(expected.trim().to_owned())),
                None => (line, None),
            };
            let words: Vec<&str> = statement.split_whitespace().collect();
            let Some((who, words)) = words.split_first() else {
                continue;
            };
            let verb = verb(words).ok_or_else(|| {
                format!("line {number}: no statement: {statement:?}; corpus/README.md lists them")
            })?;
            lines.push(Line {
                number,
                text: statement.trim().to_owned(),
                who: (*who).to_owned(),
                verb,
                expected,
            });
        }
        Ok(Self { lines })
    }

    /// The expected lines of the trace; `None` for a statement without an expected result.
    #[must_use]
    pub fn expected(&self) -> Vec<Option<String>> {
        let of = |line: &Line| {
            let expected = line.expected.as_ref()?;
            Some(line.saw(expected))
        };
        self.lines.iter().map(of).collect()
    }
}

impl Line {
    /// A line of a trace.
    pub(super) fn saw(&self, what: &str) -> String {
        let Self { number, text, .. } = self;
        format!("{number}: {text} => {what}")
    }
}

fn verb(words: &[&str]) -> Option<Verb> {
    let name = |word: &&str| (*word).to_owned();
    Some(match words {
        ["pair", peer] => Verb::Pair(name(peer)),
        ["small"] => Verb::Small,
        ["shutdown"] => Verb::Shutdown,
        ["close"] => Verb::Close,
        ["reset"] => Verb::Reset,
        ["has", count] => Verb::Has(bytes(count)?),
        ["acked"] => Verb::Acked,
        ["unacked"] => Verb::Unacked,
        ["over"] => Verb::Over,
        ["readable"] => Verb::Readable,
        ["listen"] => Verb::Listen(BACKLOG),
        ["listen", backlog] => Verb::Listen(backlog.parse().ok()?),
        ["begin", to] => Verb::Begin(name(to)),
        ["connected"] => Verb::Connected,
        ["connect", "itself"] => Verb::ConnectItself,
        ["connect", to] => Verb::Connect(name(to)),
        ["accept", from] => Verb::Accept(name(from)),
        ["write", count] => Verb::Write(bytes(count)?),
        ["fill"] => Verb::Fill,
        ["read", count] => Verb::Read(bytes(count)?),
        ["drain"] => Verb::Drain,
        ["recv"] => Verb::Recv,
        ["send", count] => Verb::Send(bytes(count)?),
        ["error"] => Verb::Error,
        ["serve"] => Verb::Serve(BACKLOG),
        ["serve", backlog] => Verb::Serve(backlog.parse().ok()?),
        ["open", to] => Verb::Open(name(to)),
        ["submit", "send", count] => Verb::Submit(OpKind::Send, bytes(count)?),
        ["submit", word] => Verb::Submit(kind(word).filter(|&of| of != OpKind::Send)?, 0),
        ["cancel", word] => Verb::Cancel(kind(word)?),
        ["waits", word] => Verb::Waits(kind(word)?),
        ["bytes", count] => Verb::Bytes(bytes(count)?),
        ["await", "accept", as_name] => Verb::Await(OpKind::Accept, Some(name(as_name))),
        ["await", word] => Verb::Await(kind(word)?, None),
        ["pipe"] => Verb::Pipe,
        ["suck", from, count] => Verb::Suck(name(from), bytes(count)?),
        ["blow", to, count] => Verb::Blow(name(to), bytes(count)?),
        ["take", count] => Verb::Take(bytes(count)?),
        _ => return None,
    })
}

fn bytes(word: &str) -> Option<usize> {
    word.parse().ok().filter(|&bytes| bytes <= BYTES_MAX)
}

fn kind(word: &str) -> Option<OpKind> {
    Some(match word {
        "accept" => OpKind::Accept,
        "connect" => OpKind::Connect,
        "recv" => OpKind::Recv,
        "send" => OpKind::Send,
        "read-ready" => OpKind::ReadReady,
        "write-ready" => OpKind::WriteReady,
        _ => return None,
    })
}
