//! One end of a simulated connection: a client, or an upstream's accepted connection. A party
//! writes its stream, reads its peer's stream, and ends by its conduct.

use super::stream::{HEADER, Reader, write};
use super::violation::Violation;
use crate::sys::sim::{Got, Kernel, MILLI, SECOND, SockRef};

/// Bytes of one read or write.
const PIECE: usize = 4096;

/// The behaviour of a party.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conduct {
    /// Bytes to send in all.
    pub(super) total: u64,
    /// Maximum of one write, and the pause afterwards in nanoseconds.
    pub(super) write_max: usize,
    pub(super) write_pause: u64,
    /// Maximum of one read, and the pause afterwards.
    pub(super) read_max: usize,
    pub(super) read_pause: u64,
    /// Stops reading after this many bytes.
    pub(super) deaf_after: Option<u64>,
    /// Sends nothing before the peer's FIN.
    pub(super) listens_first: bool,
    pub(super) ending: Ending,
    /// The time at which the party gives up and resets.
    pub(super) patience: u64,
}

/// How a party ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Sends a FIN after the last byte and reads until the peer's FIN.
    Fin,
    /// As `Fin`, but after the peer's FIN.
    FinLast,
    /// A reset after this many sent bytes.
    Reset(u64),
    /// The process ends after this many sent bytes: close(2), with bytes unread.
    Crash(u64),
    /// The machine fails after this many sent bytes: no further segment.
    Vanish(u64),
}

impl Conduct {
    /// Neither breaks off nor stops reading.
    pub(super) fn is_clean(&self) -> bool {
        matches!(self.ending, Ending::Fin | Ending::FinLast) && self.deaf_after.is_none()
    }
}

/// The last end that a party has seen or caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    Fin,
    /// An error number; 0 for a reset of the party's own.
    Reset(i32),
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) name: u64,
    pub(super) actor: u32,
    pub(super) conduct: Conduct,
    pub(super) socket: Option<SockRef>,
    pub(super) is_connected: bool,
    pub(super) sent: u64,
    pub(super) reader: Reader,
    pub(super) saw: End,
    pub(super) did: End,
    /// The patience ran out.
    pub(super) gave_up: bool,
    /// The party has sent a FIN, whatever followed.
    pub(super) sent_fin: bool,
    next_write: u64,
    next_read: u64,
}

impl Party {
    pub(super) fn new(name: u64, actor: u32, conduct: Conduct, socket: SockRef) -> Self {
        Self {
            name,
            actor,
            conduct,
            socket: Some(socket),
            is_connected: false,
            sent: 0,
            reader: Reader::default(),
            saw: End::Open,
            did: End::Open,
            gave_up: false,
            sent_fin: false,
            next_write: 0,
            next_read: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.socket.is_none()
    }

    /// Acts as far as possible now. Returns whether the peer's end has just arrived.
    pub(super) fn step(&mut self, kernel: &mut Kernel) -> Result<bool, Violation> {
        let Some(socket) = self.socket else {
            return Ok(false);
        };
        let saw = self.saw;
        if kernel.now >= self.conduct.patience {
            self.gave_up = true;
            self.leave(kernel, true);
            return Ok(false);
        }
        if !self.is_connected {
            match kernel.outside_connected(socket) {
                Ok(false) => return Ok(false),
                Ok(true) => self.is_connected = true,
                Err(error) => {
                    self.saw = End::Reset(error);
                    self.leave(kernel, false);
                    return Ok(false);
                }
            }
        }
        self.read(kernel, socket)?;
        self.write(kernel, socket);
        if self.socket.is_some() {
            self.end(kernel, socket);
        }
        Ok(self.saw != saw)
    }

    fn is_deaf(&self) -> bool {
        let after = self.conduct.deaf_after;
        after.is_some_and(|after| self.reader.received >= after)
    }

    fn read(&mut self, kernel: &mut Kernel, socket: SockRef) -> Result<(), Violation> {
        let mut piece = [0; PIECE];
        while self.saw == End::Open && !self.is_deaf() {
            if kernel.now < self.next_read {
                return Ok(());
            }
            let max = self.conduct.read_max.min(PIECE);
            match kernel.outside_read(socket, &mut piece[..max]) {
                Got::Nothing => return Ok(()),
                Got::Fin => self.saw = End::Fin,
                Got::Failed(error) => self.saw = End::Reset(error),
                Got::Bytes(bytes) => {
                    let name = self.name;
                    self.reader.take(&piece[..bytes]).map_err(|at| {
                        Violation::new("I1", format!("party {name} got a wrong byte at {at}"))
                    })?;
                    if self.conduct.read_pause > 0 {
                        self.next_read = kernel.now + self.conduct.read_pause;
                        kernel.wake_actor(self.actor, self.conduct.read_pause);
                    }
                }
            }
        }
        Ok(())
    }

    /// Bytes to send before the end.
    fn goal(&self) -> u64 {
        match self.conduct.ending {
            Ending::Fin | Ending::FinLast => self.conduct.total,
            Ending::Reset(at) | Ending::Crash(at) | Ending::Vanish(at) => at,
        }
    }

    fn write(&mut self, kernel: &mut Kernel, socket: SockRef) {
        let mut piece = [0; PIECE];
        if self.conduct.listens_first && self.saw == End::Open {
            return;
        }
        while self.did == End::Open && self.sent < self.goal() {
            if kernel.now < self.next_write {
                return;
            }
            let left = usize::try_from(self.goal() - self.sent).unwrap_or(usize::MAX);
            let max = left.min(self.conduct.write_max).min(PIECE);
            write(self.name, self.sent, &mut piece[..max]);
            match kernel.outside_write(socket, &piece[..max]) {
                Ok(0) => return,
                Ok(bytes) => self.sent += bytes as u64,
                // The connection is gone; the read reports how.
                Err(_) => return,
            }
            if self.conduct.write_pause > 0 {
                self.next_write = kernel.now + self.conduct.write_pause;
                kernel.wake_actor(self.actor, self.conduct.write_pause);
            }
        }
    }

    fn end(&mut self, kernel: &mut Kernel, socket: SockRef) {
        if matches!(self.saw, End::Reset(_)) {
            self.leave(kernel, false);
            return;
        }
        if self.sent < self.goal() || self.did != End::Open {
            if self.did == End::Fin && self.saw == End::Fin {
                self.leave(kernel, false);
            }
            return;
        }
        match self.conduct.ending {
            Ending::FinLast if self.saw == End::Open => {}
            Ending::Fin | Ending::FinLast => {
                if kernel.outside_shutdown(socket) {
                    (self.did, self.sent_fin) = (End::Fin, true);
                }
                if self.saw == End::Fin {
                    self.leave(kernel, false);
                }
            }
            Ending::Reset(_) => self.leave(kernel, true),
            Ending::Crash(_) => self.leave(kernel, false),
            Ending::Vanish(_) => {
                self.did = End::Reset(0);
                self.socket = None;
                kernel.outside_vanish(socket);
            }
        }
    }

    /// Closes in any state.
    fn leave(&mut self, kernel: &mut Kernel, reset: bool) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        let resets = kernel.outside_close(socket, reset);
        if resets || reset {
            self.did = End::Reset(0);
        } else if self.did == End::Open {
            (self.did, self.sent_fin) = (End::Fin, true);
        }
        kernel.trace.note(self.name, || {
            format!(
                "party {} leaves: sent {}, received {}, saw {:?}, did {:?}",
                self.name, self.sent, self.reader.received, self.saw, self.did
            )
        });
    }

    /// Whether no action of the party so far could cause a reset.
    pub(super) fn is_innocent(&self) -> bool {
        self.conduct.is_clean() && !self.gave_up
    }
}

/// An ordinary conduct, for the plan to modify.
pub(super) fn plain(total: u64, patience: u64) -> Conduct {
    Conduct {
        total: total.max(HEADER),
        write_max: PIECE,
        write_pause: 0,
        read_max: PIECE,
        read_pause: 0,
        deaf_after: None,
        listens_first: false,
        ending: Ending::Fin,
        patience,
    }
}

/// Longer than any session without a fault.
pub(super) const PATIENCE: u64 = 4_000 * SECOND;
/// The longest pause of a slow end.
pub(super) const PAUSE_MAX: u64 = 50 * MILLI;
