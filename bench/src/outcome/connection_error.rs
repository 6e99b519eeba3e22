//! What can go wrong with a connection, each named as what it is.
//!
//! Made by `lane` and the kinds of work, counted by `tally`, told by the results.

use std::fmt;
use std::io;
use std::time::Duration;

use corelane::net;
use serde::{Deserialize, Serialize};

/// The kinds of fault; their names are those of the JSON report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Nobody listens there.
    Refused,
    /// The handshake took too long.
    ConnectTimedOut,
    /// A reset, before or in the middle of the exchange.
    Reset,
    /// The server's FIN, or its end, before all answers had come.
    ClosedEarly,
    /// A byte that is not the one sent, or not the one expected.
    Corrupted,
    /// What came first has little to do with what was sent.
    NoEcho,
    /// More bytes than were sent or asked for.
    TooMuch,
    /// No answer in time.
    Unanswered,
    /// No FIN in answer to ours.
    NotClosed,
    /// No local port is left to connect from.
    OutOfPorts,
    /// What else the system says.
    Other,
}

impl ErrorKind {
    /// All of them, in their order.
    pub const ALL: [Self; 11] = [
        Self::Refused,
        Self::ConnectTimedOut,
        Self::Reset,
        Self::ClosedEarly,
        Self::Corrupted,
        Self::NoEcho,
        Self::TooMuch,
        Self::Unanswered,
        Self::NotClosed,
        Self::OutOfPorts,
        Self::Other,
    ];

    /// As people say it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ConnectTimedOut => "connect timed out",
            Self::Reset => "reset",
            Self::ClosedEarly => "closed early",
            Self::Corrupted => "corrupted",
            Self::NoEcho => "no echo",
            Self::TooMuch => "too much",
            Self::Unanswered => "unanswered",
            Self::NotClosed => "not closed",
            Self::OutOfPorts => "out of ports",
            Self::Other => "other",
        }
    }

    fn of(error: &io::Error) -> Self {
        if net::is_out_of_ports(error) {
            return Self::OutOfPorts;
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => Self::Reset,
            _ => Self::Other,
        }
    }
}

/// A byte that is not what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Its place in the stream.
    pub(crate) position: u64,
    pub(crate) expected: u8,
    pub(crate) got: u8,
}

/// The end of a connection that should have gone on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionError {
    /// Which kind.
    pub kind: ErrorKind,
    /// Which connection, from 0.
    pub connection: u32,
    /// How far the stream that came back was right, in bytes; absent before the first exchange.
    #[serde(rename = "stream_position_bytes")]
    pub position: Option<u64>,
    /// The byte that should have come, where one is wrong.
    pub expected: Option<u8>,
    /// The byte that came, where one is wrong.
    pub got: Option<u8>,
    /// The same in words.
    pub message: String,
}

impl ConnectionError {
    fn new(kind: ErrorKind, connection: u32, position: Option<u64>, message: String) -> Self {
        Self {
            kind,
            connection,
            position,
            expected: None,
            got: None,
            message,
        }
    }

    /// It could not be opened.
    pub(crate) fn connecting(connection: u32, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::TimedOut => ErrorKind::ConnectTimedOut,
            _ => ErrorKind::of(error),
        };
        Self::new(kind, connection, None, format!("connecting: {error}"))
    }

    /// It was not open in time.
    pub(crate) fn connect_timed_out(connection: u32, after: Duration) -> Self {
        let message = format!("not connected after {after:?}");
        Self::new(ErrorKind::ConnectTimedOut, connection, None, message)
    }

    /// The system broke it off.
    pub(crate) fn broken(connection: u32, position: u64, error: &io::Error) -> Self {
        let message = error.to_string();
        Self::new(ErrorKind::of(error), connection, Some(position), message)
    }

    /// A FIN with `outstanding` to come, or before ours.
    pub(crate) fn closed_early(
        connection: u32,
        position: u64,
        outstanding: impl fmt::Display,
    ) -> Self {
        let message = format!("the server closed with {outstanding} outstanding");
        Self::new(ErrorKind::ClosedEarly, connection, Some(position), message)
    }

    /// A wrong byte.
    pub(crate) fn corrupted(connection: u32, mismatch: Mismatch) -> Self {
        let Mismatch { expected, got, .. } = mismatch;
        let message = format!("expected byte {expected:#04x}, got {got:#04x}");
        Self::mismatched(ErrorKind::Corrupted, connection, mismatch, message)
    }

    /// A wrong byte in an answer of which it is known what it is to be; `came` is what came.
    pub(crate) fn not_expected(connection: u32, mismatch: Mismatch, came: &str) -> Self {
        let Mismatch { expected, got, .. } = mismatch;
        let message =
            format!("expected byte {expected:#04x}, got {got:#04x}: the server sent {came}");
        Self::mismatched(ErrorKind::Corrupted, connection, mismatch, message)
    }

    /// What came first is no echo.
    pub(crate) fn no_echo(connection: u32, mismatch: Mismatch, came: &str) -> Self {
        let message = format!(
            "this target does not echo: it sent {came}; for a server of another protocol say what \
             to send (--send) and what answers it (--until, --reply-bytes or --expect)"
        );
        Self::mismatched(ErrorKind::NoEcho, connection, mismatch, message)
    }

    fn mismatched(kind: ErrorKind, connection: u32, mismatch: Mismatch, message: String) -> Self {
        let Mismatch {
            position,
            expected,
            got,
        } = mismatch;
        let fault = Self::new(kind, connection, Some(position), message);
        Self {
            expected: Some(expected),
            got: Some(got),
            ..fault
        }
    }

    /// Bytes beyond those sent, or asked for: `than` says which.
    pub(crate) fn too_much(connection: u32, position: u64, more: u64, than: &str) -> Self {
        let message = format!("{more} bytes more than were {than}");
        Self::new(ErrorKind::TooMuch, connection, Some(position), message)
    }

    /// Nothing came for a time.
    pub(crate) fn unanswered(
        connection: u32,
        position: u64,
        outstanding: impl fmt::Display,
    ) -> Self {
        let message = format!("{outstanding} had not come back when the wait was over");
        Self::new(ErrorKind::Unanswered, connection, Some(position), message)
    }

    /// What the connection begins with was not answered.
    pub(crate) fn not_opened(connection: u32, after: Duration) -> Self {
        let message = format!("no whole answer to the opening within {after:?}");
        Self::new(ErrorKind::Unanswered, connection, Some(0), message)
    }

    /// The server's FIN in answer to what the connection begins with.
    pub(crate) fn refused_opening(connection: u32, received: u64) -> Self {
        let message = format!("the server closed {received} bytes into its answer to the opening");
        Self::new(ErrorKind::ClosedEarly, connection, Some(0), message)
    }

    /// A server that is to send by itself sent nothing.
    pub(crate) fn silent(connection: u32) -> Self {
        let message = "the server sent nothing by itself".to_owned();
        Self::new(ErrorKind::Unanswered, connection, Some(0), message)
    }

    /// A server that is to read stopped reading.
    pub(crate) fn not_taken(connection: u32) -> Self {
        let message = "the server had stopped reading when the wait was over".to_owned();
        Self::new(ErrorKind::Unanswered, connection, None, message)
    }

    /// Our FIN was not answered.
    pub(crate) fn not_closed(connection: u32, position: u64, after: Duration) -> Self {
        let message = format!("no FIN {after:?} after ours");
        Self::new(ErrorKind::NotClosed, connection, Some(position), message)
    }

    /// A mistake in this program.
    pub(crate) fn panicked(connection: u32) -> Self {
        let message = "a connection's task panicked".to_owned();
        Self::new(ErrorKind::Other, connection, None, message)
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: connection {}", self.kind.words(), self.connection)?;
        if let Some(position) = self.position {
            write!(f, ", stream position {position}")?;
        }
        write!(f, ": {}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{ConnectionError, ErrorKind, Mismatch};

    #[test]
    fn each_says_what_and_where() {
        let mismatch = Mismatch {
            position: 77,
            expected: 0x0a,
            got: 0xf5,
        };
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        for (fault, text) in [
            (
                ConnectionError::corrupted(3, mismatch),
                "corrupted: connection 3, stream position 77: expected byte 0x0a, got 0xf5",
            ),
            (
                ConnectionError::closed_early(0, 640, "64 bytes"),
                "closed early: connection 0, stream position 640: the server closed with 64 bytes \
                 outstanding",
            ),
            (
                ConnectionError::broken(1, 5, &reset),
                "reset: connection 1, stream position 5: connection reset",
            ),
            (
                ConnectionError::connecting(2, &refused),
                "refused: connection 2: connecting: connection refused",
            ),
        ] {
            assert_eq!(fault.to_string(), text);
        }
    }

    #[test]
    fn the_kinds_are_listed_in_their_order() {
        for (place, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
