//! The recorder of a lane: what the scheduler does, as plain values in memory that was reserved
//! before.
//!
//! The scheduler and the lane record; the driver of the lane starts and stops a recording between
//! turns. Off, an event costs a branch. On, an event costs a store of 24 bytes, and a turn costs
//! three reads of the clock and one for each task. Never allocates, never sends.

use std::cell::{Cell, RefCell};

use super::session::SessionId;
use super::task::TaskName;
use crate::sys::{self, Time};

/// An event of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// The last reading of the clock before the event.
    pub at: Time,
    /// The event.
    pub what: What,
}

// A recording of a busy second has a million events.
const _: () = assert!(size_of::<Event>() == 24);

/// The kinds of events. A `slot` is a place in the lane's table of tasks, for a task's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A turn begins.
    Turn,
    /// The tasks of the run queue begin to run: this many.
    Run { queued: u32 },
    /// The tasks of the turn have run. The lane enters the kernel, and may sleep there.
    Wait { may_sleep: bool },
    /// The lane is back from the kernel, with this many completions.
    Waited { completions: u32 },
    /// The poll of a task begins.
    Poll { slot: u32 },
    /// The poll ends.
    Polled,
    /// A task gets into the run queue; `by` is the slot of the task that ran meanwhile.
    Wake { slot: u32, by: Option<u32> },
    /// A wake from another thread gets into the run queue.
    RemoteWake { slot: u32 },
    /// The timer of a task is due.
    Timer { slot: u32 },
    /// A completion arrives for the socket in this slot of the table of sockets.
    Completion { socket: u32, of: Completed },
    /// A closure of another thread runs.
    Call,
    /// A connection goes to another lane.
    HandOver { to: u32 },
    /// A connection of another lane arrives.
    HandedOver,
    /// The task that begins next, in this slot, is this session.
    Session { slot: u32, id: SessionId },
    /// A task begins in this slot, and gets into the run queue. Ends the task before, if any.
    Spawn { slot: u32, name: TaskName },
    /// The task in this slot has ended.
    End { slot: u32 },
}

/// The kinds of completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completed {
    Accept,
    Connect,
    Receive,
    Send,
    Readiness,
}

/// The events of a lane, in order.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Never more than the capacity.
    pub events: Vec<Event>,
    /// The capacity was too small for all events: the recording ended early.
    pub is_cut: bool,
    /// The lane's thread, by the operating system's number.
    pub thread: u32,
}

/// Records while a recording is on.
#[derive(Debug)]
pub(super) struct Recorder {
    is_on: Cell<bool>,
    now: Cell<Time>,
    /// The slot of the task whose poll is being recorded.
    polled: Cell<Option<u32>>,
    recording: RefCell<Recording>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            is_on: Cell::new(false),
            now: Cell::new(Time::ZERO),
            polled: Cell::new(None),
            recording: RefCell::new(Recording::empty()),
        }
    }

    /// Records into `memory` as far as the capacity goes; a recording before is dropped. The caller
    /// allocates, on another thread.
    pub(super) fn start(&self, mut memory: Vec<Event>) {
        memory.clear();
        self.recording.replace(Recording {
            events: memory,
            is_cut: false,
            thread: sys::thread_id(),
        });
        self.is_on.set(true);
        self.polled.set(None);
        self.read_clock();
    }

    /// Ends the recording.
    pub(super) fn stop(&self) -> Recording {
        self.is_on.set(false);
        self.recording.replace(Recording::empty())
    }

    /// The number of events so far.
    pub(super) fn len(&self) -> usize {
        self.recording.borrow().events.len()
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Records an event at the last reading of the clock.
    #[inline]
    pub(super) fn record(&self, what: What) {
        if self.is_on.get() {
            self.push(what);
        }
    }

    /// Reads the clock, and records an event.
    #[inline]
    pub(super) fn record_now(&self, what: What) {
        if self.is_on.get() {
            self.read_clock();
            self.push(what);
        }
    }

    /// Records that a task gets into the run queue.
    #[inline]
    pub(super) fn record_wake(&self, slot: u32) {
        if self.is_on.get() {
            let by = self.polled.get();
            self.push(What::Wake { slot, by });
        }
    }

    fn read_clock(&self) {
        self.now.set(sys::now());
    }

    #[cold]
    #[inline(never)]
    fn push(&self, what: What) {
        let mut recording = self.recording.borrow_mut();
        if recording.events.len() == recording.events.capacity() {
            recording.is_cut = true;
            self.is_on.set(false);
            return;
        }
        match what {
            What::Poll { slot } => self.polled.set(Some(slot)),
            What::Polled => self.polled.set(None),
            _ => {}
        }
        let at = self.now.get();
        recording.events.push(Event { at, what });
    }
}

impl Recording {
    const fn empty() -> Self {
        Self {
            events: Vec::new(),
            is_cut: false,
            thread: 0,
        }
    }
}
