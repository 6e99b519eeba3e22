//! Tables of the back ends: sockets by slot and generation, and chains being sent.

use std::io;

use super::op::{Completion, Event, OpKind, RecvEnd, Socket};
use crate::buf::Chain;
use crate::sys::{self, Bug, ErrorCode, OsSocket, seeded};

/// Generations fit the 24 bits left in io_uring's user data.
const GENERATION_MASK: u32 = 0x00FF_FFFF;

/// Sockets by slot. A reused slot has a new generation.
#[derive(Debug)]
pub(super) struct Table<S> {
    slots: Vec<Slot<S>>,
    free: Vec<u32>,
    stale: u64,
}

#[derive(Debug)]
struct Slot<S> {
    generation: u32,
    state: Option<S>,
}

impl<S> Table<S> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            stale: 0,
        }
    }

    pub(super) fn insert(&mut self, state: S) -> Socket {
        let Some(slot) = self.free.pop() else {
            let slot = u32::try_from(self.slots.len()).expect("sockets fit 32 bits");
            self.slots.push(Slot {
                generation: 0,
                state: Some(state),
            });
            return Socket {
                slot,
                generation: 0,
            };
        };
        let entry = &mut self.slots[slot as usize];
        entry.state = Some(state);
        Socket {
            slot,
            generation: entry.generation,
        }
    }

    /// The socket's state; `None` when the socket was removed.
    pub(super) fn find(&mut self, socket: Socket) -> Option<&mut S> {
        let slot = self.slots.get_mut(socket.slot as usize)?;
        let any = seeded(Bug::GenerationIgnored);
        slot.state
            .as_mut()
            .filter(|_| any || slot.generation == socket.generation)
    }

    /// The state of a socket known to be open.
    pub(super) fn at(&mut self, socket: Socket) -> &mut S {
        self.find(socket).expect("the socket is open")
    }

    pub(super) fn peek(&self, socket: Socket) -> Option<&S> {
        let slot = self.slots.get(socket.slot as usize)?;
        slot.state
            .as_ref()
            .filter(|_| slot.generation == socket.generation)
    }

    /// Like [`Table::find`], for completions of the kernel: counts late ones.
    pub(super) fn find_or_count(&mut self, socket: Socket) -> Option<&mut S> {
        if self.peek(socket).is_none() {
            self.stale += 1;
        }
        self.find(socket)
    }

    /// Frees the slot; from now on the socket is stale.
    pub(super) fn remove(&mut self, socket: Socket) -> Option<S> {
        self.find(socket)?;
        let slot = &mut self.slots[socket.slot as usize];
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        self.free.push(socket.slot);
        slot.state.take()
    }

    /// An upper bound of the sockets: free slots count too.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &S> {
        self.slots.iter().filter_map(|slot| slot.state.as_ref())
    }

    pub(super) fn sockets(&self) -> Vec<Socket> {
        let of = |(slot, entry): (u32, &Slot<S>)| {
            entry.state.is_some().then_some(Socket {
                slot,
                generation: entry.generation,
            })
        };
        (0..).zip(&self.slots).filter_map(of).collect()
    }

    /// Counts the completions for removed sockets.
    #[cfg(test)]
    pub(super) fn stale(&self) -> u64 {
        self.stale
    }
}

/// Accepts a connection of a listener; `None` when none is pending.
pub(super) fn accept(listener: &OsSocket) -> Option<Event> {
    match sys::accept(sys::borrow(listener)) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
        result => Some(Event::Accepted(result)),
    }
}

/// A chain being sent, and the number of bytes that the kernel has taken.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) chain: Chain,
    pub(super) sent: usize,
}

impl Sending {
    pub(super) fn new(chain: Chain) -> Self {
        Self { chain, sent: 0 }
    }

    /// Counts `bytes` taken by the kernel; returns whether the chain is sent.
    pub(super) fn advance(&mut self, bytes: usize) -> bool {
        self.chain.skip(bytes);
        self.sent += bytes;
        self.chain.is_empty()
    }
}

/// The final answer, still to be delivered, to an op that was cancelled before the kernel had it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) socket: Socket,
    pub(super) kind: OpKind,
    pub(super) sent: usize,
}

impl Answer {
    pub(super) fn completion(self) -> Completion {
        Completion {
            socket: self.socket,
            event: Event::cancelled(self.kind, self.sent),
        }
    }
}

/// The error that ended a connection. The kernel reports a connection's error once, to the first
/// call. Later calls get an end of stream or a broken pipe, which a receiver would take for a FIN.
/// So the error is kept for all later ops.
#[derive(Debug, Default)]
pub(super) struct Fault(Option<ErrorCode>);

impl Fault {
    /// Keeps an error that ends the whole connection; returns the error to report.
    pub(super) fn record(&mut self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::ConnectionRefused => {
                self.0.get_or_insert_with(|| ErrorCode::of(&error));
                error
            }
            io::ErrorKind::BrokenPipe => self.error().unwrap_or(error),
            _ => error,
        }
    }

    /// How a stream without more bytes has ended.
    pub(super) fn end(&self) -> RecvEnd {
        self.0.map_or(RecvEnd::Fin, RecvEnd::Failed)
    }

    /// The end of a stream that failed.
    pub(super) fn failed(&mut self, error: io::Error) -> RecvEnd {
        RecvEnd::Failed(ErrorCode::of(&self.record(error)))
    }

    fn error(&self) -> Option<io::Error> {
        self.0.map(ErrorCode::error)
    }
}

/// Values under small indices, which are reused. Grows to the maximum in use at once.
#[derive(Debug)]
pub(super) struct Slab<T> {
    entries: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        let Some(index) = self.free.pop() else {
            self.entries.push(Some(value));
            return u32::try_from(self.entries.len() - 1).expect("ops fit 32 bits");
        };
        self.entries[index as usize] = Some(value);
        index
    }

    pub(super) fn at(&mut self, index: u32) -> &mut T {
        self.entries[index as usize]
            .as_mut()
            .expect("an op in flight keeps its memory")
    }

    /// Takes a value out. A large slab frees its memory when empty.
    pub(super) fn remove(&mut self, index: u32) -> T {
        let value = self.entries[index as usize].take();
        self.free.push(index);
        if self.free.len() == self.entries.len() && self.entries.len() > 1024 {
            self.entries = Vec::new();
            self.free = Vec::new();
        }
        value.expect("an op in flight keeps its memory")
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_slot_used_again_is_another_socket() {
        let mut table = Table::new();
        let first = table.insert('a');
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert('b');
        assert_eq!(first.slot, second.slot);
        assert_eq!(table.find(first), None);
        assert_eq!(table.remove(first), None, "a stale close frees nothing");
        assert_eq!(table.find_or_count(first), None);
        assert_eq!((table.stale(), table.find(second)), (1, Some(&mut 'b')));
    }

    #[test]
    fn generations_wrap_within_their_bits() {
        let mut table = Table::new();
        let mut last = table.insert(());
        for _ in 0..3 {
            table.slots[0].generation = super::GENERATION_MASK;
            last.generation = super::GENERATION_MASK;
            table.remove(last);
            last = table.insert(());
            assert_eq!(last.generation, 0);
        }
    }
}
