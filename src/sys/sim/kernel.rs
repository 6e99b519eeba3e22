//! The simulated kernel: its clock, its descriptor table and its queue of events.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::descriptor::{FIRST_DESCRIPTOR, File};
use super::fault::{Fault, Faults, Mark, Marks, Random};
use super::polling::Polling;
use super::socket::{Owner, Sock, SockRef};
use super::trace::Trace;

/// Nanoseconds in a microsecond, a millisecond and a second.
pub(crate) const MICRO: u64 = 1_000;
pub(crate) const MILLI: u64 = 1_000 * MICRO;
pub(crate) const SECOND: u64 = 1_000 * MILLI;

/// How long the ports of a connection stay in use after a close from this side (RFC 9293 §3.3.2,
/// and Linux).
pub(super) const TIME_WAIT: u64 = 60 * SECOND;

/// The limits of a world's kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many descriptors corelane may have open.
    pub(crate) descriptors: usize,
    /// Local ports for a pair of source and destination.
    pub(crate) ports: u16,
    /// Bytes of a socket's send and receive buffer.
    pub(crate) send_buffer: usize,
    pub(crate) receive_buffer: usize,
}

/// An event in simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A SYN reaches its destination, after `lost` lost SYNs.
    Syn {
        from: SockRef,
        to: SocketAddr,
        lost: u32,
    },
    SynAck {
        to: SockRef,
        refused: bool,
    },
    Data {
        to: SockRef,
        bytes: u32,
    },
    Ack {
        to: SockRef,
        bytes: u32,
    },
    Window {
        to: SockRef,
    },
    Fin {
        to: SockRef,
    },
    FinAck {
        to: SockRef,
    },
    Reset {
        to: SockRef,
    },
    /// A connection without an answer times out.
    GiveUp {
        to: SockRef,
        error: i32,
    },
    /// A client or an upstream continues.
    Actor(u32),
}

#[derive(Debug, PartialEq, Eq)]
struct Timed {
    at: u64,
    order: u64,
    event: Event,
}

impl Ord for Timed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The state of a connection of corelane when its descriptor was closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closed {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// Bytes that corelane has read, and bytes that the kernel has taken from corelane.
    pub(crate) read: u64,
    pub(crate) written: u64,
    /// Bytes that had arrived and were unread.
    pub(crate) unread: u64,
    /// Since when there were any.
    pub(crate) unread_since: u64,
    /// Since when the peer had acknowledged everything; the end of time if bytes were
    /// unacknowledged or the connection was dead.
    pub(crate) acknowledged_since: u64,
    /// When corelane accepted the connection; 0 of a connection to an upstream.
    pub(crate) accepted_at: u64,
}

/// The kernel of a world. A thread has a single kernel at a time.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) marks: Marks,
    pub(crate) trace: Trace,
    pub(crate) limits: Limits,
    pub(super) files: Vec<Option<File>>,
    pub(super) lowest_free: usize,
    pub(super) open: usize,
    pub(super) socks: Vec<Sock>,
    pub(super) free_socks: Vec<u32>,
    pub(super) listeners: Vec<(SocketAddr, u32)>,
    pub(super) counters: Vec<(u64, Vec<(u32, u32)>)>,
    pub(super) pipes: Vec<Option<std::collections::VecDeque<u8>>>,
    pub(super) polling: Vec<Option<Polling>>,
    /// Local ports in use, until when, by source and destination.
    pub(super) ports: HashMap<(IpAddr, u16, SocketAddr), u64>,
    /// Clients and upstreams with news.
    pub(crate) roused: Vec<u32>,
    pub(crate) closed: Vec<Closed>,
    /// Accepted connections of corelane that are open.
    pub(crate) accepted_open: usize,
    events: BinaryHeap<Reverse<Timed>>,
    order: u64,
    pub(super) outside_addresses: u32,
    pub(super) bound_ports: u16,
    /// A second server starts, as in an upgrade.
    pub(crate) is_upgrading: bool,
}

impl Kernel {
    pub(crate) fn new(random: Random, faults: Faults, limits: Limits) -> Self {
        Self {
            now: SECOND,
            random,
            faults,
            marks: Marks::default(),
            trace: Trace::default(),
            limits,
            files: Vec::new(),
            lowest_free: 0,
            open: 0,
            socks: Vec::new(),
            free_socks: Vec::new(),
            listeners: Vec::new(),
            counters: Vec::new(),
            pipes: Vec::new(),
            polling: Vec::new(),
            ports: HashMap::new(),
            roused: Vec::new(),
            closed: Vec::new(),
            accepted_open: 0,
            events: BinaryHeap::new(),
            order: 0,
            outside_addresses: 0,
            bound_ports: 0,
            is_upgrading: false,
        }
    }

    /// Whether a fault is on and strikes now, once in `n` times.
    pub(crate) fn strikes(&mut self, fault: Fault, n: usize) -> bool {
        let strikes = self.faults.has(fault) && self.random.one_in(n);
        if strikes {
            self.marks.strike(fault);
        }
        strikes
    }

    pub(crate) fn pass(&mut self, mark: Mark) {
        self.marks.pass(mark);
    }

    /// Schedules an event for `at`, or for now if `at` is past.
    pub(super) fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse(Timed {
            at: at.max(self.now),
            order: self.order,
            event,
        }));
    }

    /// Wakes a client or an upstream after a while.
    pub(crate) fn wake_actor(&mut self, actor: u32, after: u64) {
        self.at(self.now.saturating_add(after), Event::Actor(actor));
    }

    /// Wakes an actor at this time if the time is still to come.
    pub(crate) fn wake_later(&mut self, actor: u32, at: u64) -> bool {
        let is_later = at > self.now;
        if is_later {
            self.at(at, Event::Actor(actor));
        }
        is_later
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.events.peek().map(|Reverse(timed)| timed.at)
    }

    /// Runs the next event if due.
    pub(crate) fn step(&mut self) -> bool {
        if self.next_at().is_none_or(|at| at > self.now) {
            return false;
        }
        let Some(Reverse(timed)) = self.events.pop() else {
            return false;
        };
        self.happen(timed.event);
        true
    }

    /// corelane's connections to an address, begun ones included.
    pub(crate) fn connections_to(&self, address: SocketAddr) -> usize {
        let is_one = |sock: &&Sock| {
            !sock.is_free
                && !sock.is_orphan
                && !sock.was_accepted
                && sock.owner == Some(Owner::Corelane)
                && sock.remote == Some(address)
        };
        self.socks.iter().filter(is_one).count()
    }

    /// How many descriptors corelane has open.
    pub(crate) fn descriptors(&self) -> usize {
        self.open
    }

    /// Whether corelane may open `count` more descriptors.
    pub(super) fn may_open(&self, count: usize) -> bool {
        self.open + count <= self.limits.descriptors
    }

    /// Uses the lowest free descriptor, as POSIX requires.
    pub(super) fn install(&mut self, file: File) -> i32 {
        let from = self.lowest_free;
        let free = self.files[from..].iter().position(Option::is_none);
        let place = free.map_or(self.files.len(), |free| from + free);
        if place == self.files.len() {
            self.files.push(None);
        } else {
            self.pass(Mark::DescriptorUsedAgain);
        }
        self.files[place] = Some(file);
        self.lowest_free = place + 1;
        self.open += 1;
        FIRST_DESCRIPTOR + i32::try_from(place).expect("few descriptors")
    }

    pub(super) fn file(&self, descriptor: i32) -> Option<File> {
        let place = usize::try_from(descriptor - FIRST_DESCRIPTOR).ok()?;
        *self.files.get(place)?
    }

    /// The socket of a descriptor.
    ///
    /// # Panics
    /// Without a socket: the use of a closed descriptor is a server's gravest error.
    pub(super) fn socket(&self, descriptor: i32) -> u32 {
        match self.file(descriptor) {
            Some(File::Socket(index)) => index,
            other => panic!("invariant I4: descriptor {descriptor} is no socket but {other:?}"),
        }
    }

    /// Closes a descriptor.
    pub(crate) fn close(&mut self, descriptor: i32) {
        let file = self.file(descriptor);
        assert!(file.is_some(), "invariant I6: a descriptor is closed twice");
        let place = usize::try_from(descriptor - FIRST_DESCRIPTOR).expect("found above");
        self.files[place] = None;
        self.lowest_free = self.lowest_free.min(place);
        self.open -= 1;
        match file {
            Some(File::Socket(index)) => {
                self.unwatch(index);
                self.let_go(index);
            }
            Some(File::Pipe(pipe)) => {
                // Both ends are closed together.
                self.pipes[pipe as usize] = None;
                self.open -= 1;
            }
            Some(File::Event(_)) | None => {}
        }
    }

    /// Kills the server's process: the kernel closes all descriptors, in random order.
    pub(crate) fn kill(&mut self) {
        let held = |sock: &Sock| {
            let is_open = sock.holders > 0 && !sock.is_waiting;
            sock.owner == Some(Owner::Corelane) && is_open
        };
        let all = (0..).zip(&self.socks);
        let mut left: Vec<u32> = all
            .filter(|(_, s)| held(s))
            .map(|(index, _)| index)
            .collect();
        self.polling.iter_mut().for_each(|polling| *polling = None);
        while !left.is_empty() {
            let index = left.swap_remove(self.random.below(left.len()));
            self.unwatch(index);
            let sock = &mut self.socks[index as usize];
            sock.holders = 0;
            sock.ops.clear();
            self.app_closes(index);
        }
        self.files.clear();
        (self.lowest_free, self.open, self.accepted_open) = (0, 0, 0);
    }

    pub(super) fn sock(&mut self, to: SockRef) -> Option<&mut Sock> {
        let sock = &mut self.socks[to.index as usize];
        (sock.generation == to.generation && !sock.is_free).then_some(sock)
    }

    pub(super) fn reference(&self, index: u32) -> SockRef {
        let generation = self.socks[index as usize].generation;
        SockRef { index, generation }
    }

    pub(super) fn new_sock(&mut self, owner: Owner) -> u32 {
        let (send, receive) = (self.limits.send_buffer, self.limits.receive_buffer);
        let index = self.free_socks.pop().unwrap_or_else(|| {
            self.socks.push(Sock::default());
            u32::try_from(self.socks.len() - 1).expect("few sockets")
        });
        self.socks[index as usize].begin(owner, send, receive);
        index
    }

    /// Drops a reference of a descriptor or an op.
    pub(super) fn let_go(&mut self, index: u32) {
        let sock = &mut self.socks[index as usize];
        sock.holders -= 1;
        if sock.holders == 0 {
            self.app_closes(index);
        }
    }

    /// Frees the slot of a dead socket without references.
    pub(super) fn free_if_done(&mut self, index: u32) {
        let sock = &mut self.socks[index as usize];
        if sock.holders == 0 && sock.is_dead() && !sock.is_free {
            sock.is_free = true;
            sock.generation += 1;
            self.free_socks.push(index);
        }
    }
}
