//! One end of a simulated connection: a client, or what an upstream has accepted. It writes its
//! stream, reads the other's, and ends as it was told to.

use super::stream::{HEADER, Reader, write};
use super::world::Violation;
use crate::sys::sim::{Got, Kernel, MILLI, SECOND, SockRef};

/// Bytes written or read in one go.
const PIECE: usize = 4096;

/// How an end behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conduct {
    /// Bytes that it sends in all.
    pub(super) total: u64,
    /// At most so many in one write, then a pause in nanoseconds.
    pub(super) write_max: usize,
    pub(super) write_pause: u64,
    /// At most so many in one read, then a pause.
    pub(super) read_max: usize,
    pub(super) read_pause: u64,
    /// It reads no more after so many bytes.
    pub(super) deaf_after: Option<u64>,
    /// It says nothing before it has heard the other's FIN.
    pub(super) listens_first: bool,
    pub(super) ending: Ending,
    /// When it has had enough, whatever happens; a moment.
    pub(super) patience: u64,
}

/// How an end ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// FIN after its last byte; goes on reading until the other's.
    Fin,
    /// The same, but not before the other's FIN has come.
    FinLast,
    /// A reset after it has sent so many bytes.
    Reset(u64),
    /// The process ends after it has sent so many: close(2), whatever is unread.
    Crash(u64),
    /// The machine ends after it has sent so many: nothing more is heard.
    Vanish(u64),
}

impl Conduct {
    /// Neither breaks off nor stops reading.
    pub(super) fn is_clean(&self) -> bool {
        matches!(self.ending, Ending::Fin | Ending::FinLast) && self.deaf_after.is_none()
    }
}

/// What an end has seen or done last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Open,
    Fin,
    /// An error number; 0 where it was its own doing.
    Reset(i32),
}

/// One end.
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
    /// It ran out of patience.
    pub(super) gave_up: bool,
    /// It has sent a FIN, whatever it did after that.
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

    /// Goes on as far as it can now. Says whether it has just seen the other's end.
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

    /// How many bytes it sends before it ends.
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
                // The connection is gone; the read tells how.
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

    /// Closes, whatever has happened so far.
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

    /// Whether nothing it did could be the cause of a reset, as far as it went.
    pub(super) fn is_innocent(&self) -> bool {
        self.conduct.is_clean() && !self.gave_up
    }
}

/// An end that does nothing special: for what the plan changes.
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

/// Long enough for whatever a session may take when nothing is wrong.
pub(super) const PATIENCE: u64 = 4_000 * SECOND;
/// The longest pause of a slow end.
pub(super) const PAUSE_MAX: u64 = 50 * MILLI;
