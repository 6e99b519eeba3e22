//! The rows of the matrix: the endings of a connection, and both sides' scripts.

use crate::peer::Side::{Client, Server};
use crate::peer::Step::{
    Await, Close, Crash, Fin, Peek, Receive, ReceiveToEnd, Reset, Send, SendAll, Tell,
};
use crate::peer::{Pace, Side, Step};

/// A request or reply of ordinary size.
const SMALL: u64 = 10_000;
/// More than socket buffers hold at once, so that some bytes are always in flight.
const LARGE: u64 = 4 << 20;
/// Enough to become a bulk transfer.
const BULK: u64 = 8 << 20;

/// The ending of a connection; the side is the ending side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// FIN behind the sent bytes; the peer answers with as many bytes and its own FIN.
    Fin(Side),
    /// Both sides have sent, then both send a FIN at once.
    BothFin,
    /// Reset behind the sent bytes.
    Reset(Side),
    /// Reset while the peer sends, with a part unread.
    ResetUnread(Side),
    /// Close behind the sent bytes, with unread input, which turns the close into a reset.
    CloseUnread(Side),
    /// Killed behind the sent bytes: the kernel sends a FIN.
    Crash(Side),
    /// Killed while the peer sends, with a part unread.
    CrashUnread(Side),
}

/// The bytes in flight at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flight {
    Nothing,
    Small,
    Large,
}

/// The data path that the earlier bytes have led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    Interactive,
    Bulk,
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) ending: Ending,
    pub(crate) flight: Flight,
    pub(crate) pace: Pace,
    pub(crate) path: Path,
}

impl Ending {
    const ALL: [Self; 13] = [
        Self::Fin(Client),
        Self::Fin(Server),
        Self::BothFin,
        Self::Reset(Client),
        Self::Reset(Server),
        Self::ResetUnread(Client),
        Self::ResetUnread(Server),
        Self::CloseUnread(Client),
        Self::CloseUnread(Server),
        Self::Crash(Client),
        Self::Crash(Server),
        Self::CrashUnread(Client),
        Self::CrashUnread(Server),
    ];

    /// The end reasons allowed in the session's record.
    pub(crate) fn words(self, flight: Flight) -> &'static [&'static str] {
        match self {
            Self::BothFin => &["client_fin", "upstream_fin"],
            // Without sent bytes nothing is unread.
            Self::CrashUnread(Client) if flight == Flight::Nothing => &["client_fin"],
            Self::CrashUnread(Server) if flight == Flight::Nothing => &["upstream_fin"],
            // Silent, and perhaps before the proxy has seen its connect succeed.
            Self::Reset(Server) | Self::ResetUnread(Server) if flight == Flight::Nothing => {
                &["upstream_rst", "connect_refused"]
            }
            Self::Fin(Client) | Self::Crash(Client) => &["client_fin"],
            Self::Fin(Server) | Self::Crash(Server) => &["upstream_fin"],
            Self::Reset(Client)
            | Self::ResetUnread(Client)
            | Self::CloseUnread(Client)
            | Self::CrashUnread(Client) => &["client_rst"],
            Self::Reset(Server)
            | Self::ResetUnread(Server)
            | Self::CloseUnread(Server)
            | Self::CrashUnread(Server) => &["upstream_rst"],
        }
    }
}

impl Cell {
    pub(crate) fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for ending in Ending::ALL {
            for flight in [Flight::Nothing, Flight::Small, Flight::Large] {
                for pace in [Pace::Fast, Pace::Slow, Pace::Stopped] {
                    for path in [Path::Interactive, Path::Bulk] {
                        cells.push(Self {
                            ending,
                            flight,
                            pace,
                            path,
                        });
                    }
                }
            }
        }
        cells
    }

    /// Index in [`Cell::all`].
    pub(crate) fn position(self) -> usize {
        let all = Self::all();
        all.iter().position(|&cell| cell == self).unwrap()
    }

    pub(crate) fn bytes(self) -> u64 {
        match self.flight {
            Flight::Nothing => 0,
            Flight::Small => SMALL,
            Flight::Large => LARGE,
        }
    }

    /// The scripts of client and server.
    pub(crate) fn scripts(self) -> [Vec<Step>; 2] {
        let (ender, [first, second]) = self.scripts_of_ender_and_other();
        match ender {
            Client => [first, second],
            Server => [second, first],
        }
    }

    fn scripts_of_ender_and_other(self) -> (Side, [Vec<Step>; 2]) {
        let (bytes, pace) = (self.bytes(), self.pace);
        let stopped = pace == Pace::Stopped;
        let wait = move || stopped.then_some(Await);
        let (mut ender, mut other) = (Vec::new(), Vec::new());
        self.precede(&mut ender, &mut other);
        let side = match self.ending {
            Ending::Fin(side) => {
                ender.extend([Send(bytes), Fin, Tell]);
                ender.extend(wait());
                ender.extend([ReceiveToEnd(pace), Close]);
                other.extend(wait());
                other.extend([ReceiveToEnd(pace), Send(bytes), Fin, Tell, Close]);
                side
            }
            Ending::BothFin => {
                for script in [&mut ender, &mut other] {
                    script.extend([Send(bytes), Tell, Await, Fin, ReceiveToEnd(pace), Close]);
                }
                Client
            }
            Ending::Reset(side) => {
                ender.extend([Send(bytes), Reset, Tell]);
                other.extend(wait());
                other.extend([ReceiveToEnd(pace), Close]);
                side
            }
            Ending::CloseUnread(side) => {
                ender.extend([Peek, Send(bytes), Close, Tell]);
                other.push(Send(SMALL));
                other.extend(wait());
                other.extend([ReceiveToEnd(pace), Close]);
                side
            }
            Ending::Crash(side) => {
                ender.extend([Send(bytes), Crash, Tell]);
                other.extend(wait());
                other.extend([ReceiveToEnd(pace), Close]);
                side
            }
            Ending::ResetUnread(side) | Ending::CrashUnread(side) => {
                // The pace describes the ending side's earlier reads.
                let send = if stopped { Send(bytes) } else { SendAll(bytes) };
                other.extend([send, Tell, ReceiveToEnd(Pace::Fast), Close]);
                match pace {
                    Pace::Fast => ender.push(Receive(bytes / 2, pace)),
                    Pace::Slow => ender.push(Receive(bytes / 4, pace)),
                    Pace::Stopped => {}
                }
                if bytes > 0 {
                    ender.push(Peek);
                }
                ender.extend(wait());
                ender.push(if matches!(self.ending, Ending::ResetUnread(_)) {
                    Reset
                } else {
                    Crash
                });
                side
            }
        };
        (side, [ender, other])
    }

    /// Earlier traffic, so that the connection is on the cell's data path.
    fn precede(self, ender: &mut Vec<Step>, other: &mut Vec<Step>) {
        if self.path == Path::Interactive {
            return;
        }
        let to_ender = matches!(self.ending, Ending::ResetUnread(_) | Ending::CrashUnread(_));
        let (from, to) = if to_ender {
            (other, ender)
        } else {
            (ender, other)
        };
        from.push(SendAll(BULK));
        to.push(Receive(BULK, Pace::Fast));
        // Only later bytes are in flight at the end. A process that is to crash cannot wait; its
        // FIN stands behind all bytes anyway.
        if !to_ender && !matches!(self.ending, Ending::Crash(_)) {
            to.push(Tell);
            from.push(Await);
        }
    }
}
