//! The result of a check.

use std::io;

use crate::sys;

/// What a check has shown.
#[derive(Debug)]
pub(super) enum Outcome {
    Good,
    Bad(Fault),
    /// This machine lacks a descriptor, a port or memory: nothing is known of the endpoint.
    Local(io::Error),
}

/// Why a check has failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// For people.
    pub(super) reason: String,
}

/// The kinds of results, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Good,
    Refused,
    Timeout,
    Unreachable,
    /// The connection has ended before the answer.
    Ended,
    /// The answer is not a good one.
    Answer,
    Local,
}

impl Kind {
    /// By index.
    pub(super) const WORDS: [&'static str; 7] = [
        "good",
        "refused",
        "timeout",
        "unreachable",
        "ended",
        "answer",
        "local_resources",
    ];

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

impl Outcome {
    pub(super) fn bad(kind: Kind, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Bad(Fault { kind, reason })
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Good => Kind::Good,
            Self::Bad(fault) => fault.kind,
            Self::Local(_) => Kind::Local,
        }
    }

    /// Of a failed connect, or of a socket that could not be made.
    pub(super) fn of_connect(error: io::Error) -> Self {
        // As `net::is_local`, which judges the connects of sessions.
        let is_out_of_ports = error.kind() == io::ErrorKind::AddrNotAvailable;
        if is_out_of_ports || sys::is_out_of_resources(&error) {
            return Self::Local(error);
        }
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => Kind::Refused,
            io::ErrorKind::TimedOut => Kind::Timeout,
            // The endpoint has accepted the connection and reset it.
            io::ErrorKind::ConnectionReset => Kind::Ended,
            _ => Kind::Unreachable,
        };
        Self::bad(kind, format!("cannot connect: {error}"))
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::io;

    use super::{Kind, Outcome};

    #[test]
    fn what_this_machine_lacks_is_no_fault_of_an_endpoint() {
        for (code, kind) in [
            (libc::EMFILE, Kind::Local),
            (libc::ENFILE, Kind::Local),
            (libc::ENOBUFS, Kind::Local),
            (libc::ENOMEM, Kind::Local),
            (libc::EADDRNOTAVAIL, Kind::Local),
            (libc::ECONNREFUSED, Kind::Refused),
            (libc::ETIMEDOUT, Kind::Timeout),
            (libc::ECONNRESET, Kind::Ended),
            (libc::EHOSTUNREACH, Kind::Unreachable),
            (libc::EACCES, Kind::Unreachable),
        ] {
            let outcome = Outcome::of_connect(io::Error::from_raw_os_error(code));
            assert_eq!(outcome.kind(), kind, "{outcome:?}");
        }
        assert_eq!(Kind::WORDS[Kind::Local.index()], "local_resources");
        assert_eq!(Kind::WORDS[Kind::Good.index()], "good");
    }
}
