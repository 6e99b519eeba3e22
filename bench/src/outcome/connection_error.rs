//! The errors of a connection, by kind. Made by `load`, counted by its recorder, shown with the
//! results.

use std::fmt;
use std::io;
use std::time::Duration;

use corelane::net;
use serde::{Deserialize, Serialize};

/// The kinds of error, with the names of the JSON document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The target refused the connection.
    Refused,
    /// The handshake timed out.
    ConnectTimedOut,
    /// A reset before or during the exchange.
    Reset,
    /// The server's FIN before the last reply.
    ClosedEarly,
    /// A wrong byte.
    Corrupted,
    /// The first received bytes are no echo.
    NoEcho,
    /// More bytes than expected.
    TooMuch,
    /// No reply in time.
    Unanswered,
    /// No FIN in answer to ours.
    NotClosed,
    /// No local port is free.
    OutOfPorts,
    /// Any other error of the operating system.
    Other,
}

impl ErrorKind {
    /// All kinds in their order.
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

    /// The name for people.
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

/// A wrong byte in the received stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// The position in the stream.
    pub(crate) position: u64,
    pub(crate) expected: u8,
    pub(crate) got: u8,
}

/// An error that ended a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionError {
    /// The kind.
    pub kind: ErrorKind,
    /// The connection's number, from 0.
    pub connection: u32,
    /// Correctly received bytes; absent before the first exchange.
    #[serde(rename = "stream_position_bytes")]
    pub position: Option<u64>,
    /// The expected byte, if the error is a wrong byte.
    pub expected: Option<u8>,
    /// The received byte, if the error is a wrong byte.
    pub got: Option<u8>,
    /// The error in words.
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

    /// The connect failed.
    pub(crate) fn connecting(connection: u32, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::TimedOut => ErrorKind::ConnectTimedOut,
            _ => ErrorKind::of(error),
        };
        Self::new(kind, connection, None, format!("connecting: {error}"))
    }

    /// The connect timed out.
    pub(crate) fn connect_timed_out(connection: u32, after: Duration) -> Self {
        let message = format!("not connected after {after:?}");
        Self::new(ErrorKind::ConnectTimedOut, connection, None, message)
    }

    /// A send or receive failed.
    pub(crate) fn broken(connection: u32, position: u64, error: &io::Error) -> Self {
        let message = error.to_string();
        Self::new(ErrorKind::of(error), connection, Some(position), message)
    }

    /// The server's FIN came with `outstanding` bytes or replies missing, or before our FIN.
    pub(crate) fn closed_early(
        connection: u32,
        position: u64,
        outstanding: impl fmt::Display,
    ) -> Self {
        let message = format!("the server closed with {outstanding} outstanding");
        Self::new(ErrorKind::ClosedEarly, connection, Some(position), message)
    }

    /// An echoed byte is wrong.
    pub(crate) fn corrupted(connection: u32, mismatch: Mismatch) -> Self {
        let Mismatch { expected, got, .. } = mismatch;
        let message = format!("expected byte {expected:#04x}, got {got:#04x}");
        Self::mismatched(ErrorKind::Corrupted, connection, mismatch, message)
    }

    /// A byte of a reply is wrong; `came` is the beginning of the received bytes.
    pub(crate) fn not_expected(connection: u32, mismatch: Mismatch, came: &str) -> Self {
        let Mismatch { expected, got, .. } = mismatch;
        let message =
            format!("expected byte {expected:#04x}, got {got:#04x}: the server sent {came}");
        Self::mismatched(ErrorKind::Corrupted, connection, mismatch, message)
    }

    /// The first received bytes are no echo.
    pub(crate) fn no_echo(connection: u32, mismatch: Mismatch, came: &str) -> Self {
        let message = format!(
            "this target does not echo: it sent {came}; for a server of another protocol, set the \
             request (--send) and the reply (--until, --reply-bytes or --expect)"
        );
        Self::mismatched(ErrorKind::NoEcho, connection, mismatch, message)
    }

    fn mismatched(kind: ErrorKind, connection: u32, mismatch: Mismatch, message: String) -> Self {
        let Mismatch {
            position,
            expected,
            got,
        } = mismatch;
        let error = Self::new(kind, connection, Some(position), message);
        Self {
            expected: Some(expected),
            got: Some(got),
            ..error
        }
    }

    /// Bytes beyond the expected ones; `than` is the verb of the message.
    pub(crate) fn too_much(connection: u32, position: u64, more: u64, than: &str) -> Self {
        let message = format!("{more} bytes more than {than}");
        Self::new(ErrorKind::TooMuch, connection, Some(position), message)
    }

    /// A reply is overdue.
    pub(crate) fn unanswered(
        connection: u32,
        position: u64,
        outstanding: impl fmt::Display,
    ) -> Self {
        let message = format!("timed out with {outstanding} outstanding");
        Self::new(ErrorKind::Unanswered, connection, Some(position), message)
    }

    /// The reply to the opening is overdue.
    pub(crate) fn not_opened(connection: u32, after: Duration) -> Self {
        let message = format!("no complete reply to the opening within {after:?}");
        Self::new(ErrorKind::Unanswered, connection, Some(0), message)
    }

    /// The server's FIN came during its reply to the opening.
    pub(crate) fn refused_opening(connection: u32, received: u64) -> Self {
        let message = format!("the server closed {received} bytes into its reply to the opening");
        Self::new(ErrorKind::ClosedEarly, connection, Some(0), message)
    }

    /// A server in `bulk --direction down` sent nothing.
    pub(crate) fn silent(connection: u32) -> Self {
        let message = "the server sent nothing by itself".to_owned();
        Self::new(ErrorKind::Unanswered, connection, Some(0), message)
    }

    /// A server in `bulk --direction up` stopped reading.
    pub(crate) fn not_read(connection: u32) -> Self {
        let message = "timed out: the server is not reading".to_owned();
        Self::new(ErrorKind::Unanswered, connection, None, message)
    }

    /// The server's FIN is overdue.
    pub(crate) fn not_closed(connection: u32, position: u64, after: Duration) -> Self {
        let message = format!("no FIN within {after:?} of ours");
        Self::new(ErrorKind::NotClosed, connection, Some(position), message)
    }

    /// A bug in this program.
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
    fn the_text_names_kind_and_position() {
        let mismatch = Mismatch {
            position: 77,
            expected: 0x0a,
            got: 0xf5,
        };
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, text) in [
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
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn the_kinds_are_listed_in_their_order() {
        for (place, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
    }
}
