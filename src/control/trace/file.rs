//! A recording as packets of Perfetto's `Trace` (protos/perfetto/trace/ of google/perfetto).
//!
//! A lane is a thread with a track of slices (a turn holds polls; between turns the lane sleeps or
//! looks at the kernel) and instants, and has a counter for the run queue. A wake and the poll that
//! follows are joined by a flow. Each lane is a packet sequence with names of its own. Times are
//! those of the process's clock, declared as Perfetto's "boottime", beside the wall clock.

use std::collections::{HashMap, HashSet};
use std::process;
use std::time::{Duration, SystemTime};

use super::protobuf::{fixed, integer, message, text};
use crate::runtime::{Completed, Event, NamedTasks, Recording, SessionId, TaskName, What};
use crate::sys::{self, Time};

/// A turn of this length is marked; the watchdog's bound.
const STALL: Duration = Duration::from_millis(50);
/// The track of the process.
const PROCESS: u64 = 1;

/// Fields of a `TracePacket`.
mod packet {
    pub(super) const CLOCK_SNAPSHOT: u32 = 6;
    pub(super) const TIMESTAMP: u32 = 8;
    pub(super) const SEQUENCE: u32 = 10;
    pub(super) const TRACK_EVENT: u32 = 11;
    pub(super) const INTERNED: u32 = 12;
    pub(super) const SEQUENCE_FLAGS: u32 = 13;
    pub(super) const DEFAULTS: u32 = 59;
    pub(super) const TRACK: u32 = 60;
}

/// Fields of a `TrackEvent`.
mod event {
    pub(super) const ANNOTATION: u32 = 4;
    pub(super) const KIND: u32 = 9;
    pub(super) const NAME: u32 = 10;
    pub(super) const TRACK: u32 = 11;
    pub(super) const COUNTER: u32 = 30;
    pub(super) const FLOW: u32 = 47;
    pub(super) const FLOW_END: u32 = 48;
}

/// The kinds of a `TrackEvent`.
const BEGIN: u64 = 1;
const END: u64 = 2;
const INSTANT: u64 = 3;
const COUNTER: u64 = 4;

/// The interned names of annotations, by number from 1 on.
const SESSION: u64 = 1;
const BY: u64 = 2;
const COUNT: u64 = 3;
const ANNOTATIONS: [&str; 3] = ["session", "by", "count"];

/// The interned names of events, by number from 1 on. Names of tasks follow.
const NAMES: [&str; 19] = [
    "turn",
    "sleep",
    "look",
    "wake",
    "wake by another thread",
    "spawn",
    "end",
    "timer",
    "call",
    "hand over",
    "handed over",
    "accepted",
    "connected",
    "received",
    "sent",
    "ready",
    "stall",
    "the recording is full",
    "a task",
];

/// The number of a name in [`NAMES`].
const fn iid(name: &str) -> u64 {
    let mut at = 0;
    while at < NAMES.len() {
        if equal(NAMES[at].as_bytes(), name.as_bytes()) {
            return at as u64 + 1;
        }
        at += 1;
    }
    panic!("no such name");
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// A lane's part of a trace.
#[derive(Debug)]
pub(super) struct LaneTrace {
    pub(super) lane: usize,
    pub(super) recording: Recording,
    /// The tasks from before the recording.
    pub(super) named: Vec<NamedTasks>,
}

/// Appends what is said once in a trace.
pub(super) fn write_head(to: &mut Vec<u8>) {
    let now = sys::now().as_nanos();
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let wall = u64::try_from(wall.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
    message(to, 1, |packet| {
        message(packet, packet::CLOCK_SNAPSHOT, |snapshot| {
            // BUILTIN_CLOCK_BOOTTIME and BUILTIN_CLOCK_REALTIME.
            for (clock, time) in [(6, now), (1, wall)] {
                message(snapshot, 1, |pair| {
                    integer(pair, 1, clock);
                    integer(pair, 2, time);
                });
            }
        });
        integer(packet, packet::SEQUENCE, 1);
    });
    message(to, 1, |packet| {
        message(packet, packet::TRACK, |track| {
            integer(track, 1, PROCESS);
            message(track, 3, |of| {
                integer(of, 1, u64::from(process::id()));
                text(of, 6, "corelane");
            });
        });
        integer(packet, packet::SEQUENCE, 1);
    });
}

/// A task in a slot.
#[derive(Clone, Copy, Debug)]
struct Named {
    /// The number of the name.
    name: u64,
    session: Option<SessionId>,
}

/// Writes the packets of a lane.
#[derive(Debug)]
pub(super) struct Writer {
    track: u64,
    counter: u64,
    sequence: u64,
    /// By slot.
    tasks: HashMap<u32, Named>,
    /// The session that begins with the next task.
    newborn: Option<(u32, SessionId)>,
    /// Names of tasks without a session.
    names: HashMap<&'static str, u64>,
    names_used: u64,
    /// A name to intern with the next packet.
    new_name: Option<(u64, String)>,
    /// The flow from the wake of the task in a slot.
    flows: HashMap<u32, u64>,
    flows_used: u64,
    /// The begins of the open slices: a turn, a sleep or a look, with a poll within.
    outer: Option<Time>,
    is_polling: bool,
    queued: u32,
    last: Time,
}

impl Writer {
    /// Begins the lane's part.
    pub(super) fn new(to: &mut Vec<u8>, of: &LaneTrace) -> Self {
        let lane = of.lane as u64;
        let mut writer = Self {
            track: 2 + 2 * lane,
            counter: 3 + 2 * lane,
            sequence: 2 + lane,
            tasks: HashMap::new(),
            newborn: None,
            names: HashMap::new(),
            names_used: NAMES.len() as u64,
            new_name: None,
            flows: HashMap::new(),
            flows_used: (lane + 1) << 48,
            outer: None,
            is_polling: false,
            queued: u32::MAX,
            last: Time::ZERO,
        };
        writer.write_tracks(to, of);
        writer.name_tasks(to, of);
        writer
    }

    fn write_tracks(&self, to: &mut Vec<u8>, of: &LaneTrace) {
        message(to, 1, |packet| {
            message(packet, packet::TRACK, |track| {
                integer(track, 1, self.track);
                integer(track, 5, PROCESS);
                message(track, 4, |thread| {
                    integer(thread, 1, u64::from(process::id()));
                    integer(thread, 2, u64::from(of.recording.thread));
                    text(thread, 5, &format!("lane-{}", of.lane));
                });
            });
            integer(packet, packet::SEQUENCE, self.sequence);
            // SEQ_INCREMENTAL_STATE_CLEARED: the names below are all there are.
            integer(packet, packet::SEQUENCE_FLAGS, 1);
            message(packet, packet::DEFAULTS, |defaults| {
                message(defaults, 11, |event| integer(event, 11, self.track));
            });
            message(packet, packet::INTERNED, |interned| {
                for (name, number) in NAMES.iter().zip(1..) {
                    intern(interned, 2, number, name);
                }
                for (name, number) in ANNOTATIONS.iter().zip(1..) {
                    intern(interned, 3, number, name);
                }
            });
        });
        message(to, 1, |packet| {
            message(packet, packet::TRACK, |track| {
                integer(track, 1, self.counter);
                text(track, 2, &format!("run queue of lane {}", of.lane));
                integer(track, 5, PROCESS);
                message(track, 8, |_| {});
            });
            integer(packet, packet::SEQUENCE, self.sequence);
        });
    }

    /// Names the tasks from before the recording. A slot that changed its task before it was listed
    /// is left to the events.
    fn name_tasks(&mut self, to: &mut Vec<u8>, of: &LaneTrace) {
        let mut changed = HashSet::new();
        let mut seen = 0;
        for page in &of.named {
            let events = of.recording.events.get(seen..page.events);
            changed.extend(
                events
                    .into_iter()
                    .flatten()
                    .filter_map(|one| match one.what {
                        What::Spawn { slot, .. } | What::End { slot } => Some(slot),
                        _ => None,
                    }),
            );
            seen = seen.max(page.events);
            for &(slot, name, session) in &page.tasks {
                if !changed.contains(&slot) {
                    match session {
                        Some(id) => self.identify(slot, id),
                        None => self.name(slot, name),
                    }
                    self.intern_new(to);
                }
            }
        }
    }

    /// The task of this slot has this name.
    fn name(&mut self, slot: u32, name: TaskName) {
        let number = *self.names.entry(name).or_insert_with(|| {
            self.names_used += 1;
            self.new_name = Some((self.names_used, (*name).to_owned()));
            self.names_used
        });
        let session = None;
        self.tasks.insert(
            slot,
            Named {
                name: number,
                session,
            },
        );
    }

    /// The task of this slot is this session, whose name says so.
    fn identify(&mut self, slot: u32, id: SessionId) {
        let before = self.tasks.get(&slot);
        if before.is_some_and(|before| before.session == Some(id)) {
            return;
        }
        self.names_used += 1;
        let name = self.names_used;
        self.new_name = Some((name, format!("session {id}")));
        let session = Some(id);
        self.tasks.insert(slot, Named { name, session });
    }

    /// Interns a new name in a packet of its own.
    fn intern_new(&mut self, to: &mut Vec<u8>) {
        if let Some((number, name)) = self.new_name.take() {
            message(to, 1, |packet| {
                integer(packet, packet::SEQUENCE, self.sequence);
                integer(packet, packet::SEQUENCE_FLAGS, 2);
                message(packet, packet::INTERNED, |to| intern(to, 2, number, &name));
            });
        }
    }

    fn task(&self, slot: u32) -> Named {
        let unknown = Named {
            name: iid("a task"),
            session: None,
        };
        self.tasks.get(&slot).copied().unwrap_or(unknown)
    }

    /// Appends the packets of an event.
    pub(super) fn write(&mut self, to: &mut Vec<u8>, event: Event) {
        self.last = event.at;
        let to = &mut Packets {
            to,
            at: event.at,
            sequence: self.sequence,
        };
        match event.what {
            What::Turn => self.begin_outer(to, iid("turn")),
            What::Wait { may_sleep } => {
                if self
                    .outer
                    .is_some_and(|since| event.at.since(since) >= STALL)
                {
                    to.instant(iid("stall"), |_| {});
                }
                let name = if may_sleep { iid("sleep") } else { iid("look") };
                self.begin_outer(to, name);
            }
            What::Waited { completions } => {
                if self.outer.take().is_some() {
                    to.end(|event| annotate(event, COUNT, u64::from(completions)));
                }
            }
            What::Run { queued } => self.count_queued(to, queued),
            What::Poll { slot } => {
                self.is_polling = true;
                let (task, flow) = (self.task(slot), self.flows.remove(&slot));
                to.event(BEGIN, task.name, |event| {
                    annotate_session(event, SESSION, task.session);
                    if let Some(flow) = flow {
                        fixed(event, event::FLOW_END, flow);
                    }
                });
            }
            What::Polled => {
                if std::mem::take(&mut self.is_polling) {
                    to.end(|_| {});
                }
            }
            What::Wake { slot, by } => self.wake(to, slot, by, iid("wake")),
            What::RemoteWake { slot } => self.wake(to, slot, None, iid("wake by another thread")),
            What::Session { slot, id } => self.newborn = Some((slot, id)),
            What::Spawn { slot, name } => {
                let newborn = self.newborn.take().filter(|&(of, _)| of == slot);
                match newborn {
                    Some((_, id)) => self.identify(slot, id),
                    None => self.name(slot, name),
                }
                self.intern_new(to.to);
                self.wake(to, slot, None, iid("spawn"));
            }
            What::Timer { slot } => self.of_task(to, slot, iid("timer")),
            What::End { slot } => self.of_task(to, slot, iid("end")),
            What::Completion { of, .. } => to.instant(completed(of), |_| {}),
            What::Call => to.instant(iid("call"), |_| {}),
            What::HandOver { to: lane } => {
                to.instant(iid("hand over"), |event| {
                    annotate(event, COUNT, u64::from(lane))
                });
            }
            What::HandedOver => to.instant(iid("handed over"), |_| {}),
        }
    }

    /// Ends the lane's part: closes the open slices.
    pub(super) fn finish(&mut self, to: &mut Vec<u8>, of: &Recording) {
        let to = &mut Packets {
            to,
            at: self.last,
            sequence: self.sequence,
        };
        if of.is_cut {
            to.instant(iid("the recording is full"), |_| {});
        }
        if std::mem::take(&mut self.is_polling) {
            to.end(|_| {});
        }
        if self.outer.take().is_some() {
            to.end(|_| {});
        }
    }

    /// Begins a slice that is in no other, and ends the one before.
    fn begin_outer(&mut self, to: &mut Packets<'_>, name: u64) {
        if self.outer.replace(to.at).is_some() {
            to.end(|_| {});
        }
        to.event(BEGIN, name, |_| {});
    }

    fn count_queued(&mut self, to: &mut Packets<'_>, queued: u32) {
        if std::mem::replace(&mut self.queued, queued) != queued {
            let counter = self.counter;
            to.event(COUNTER, 0, |event| {
                integer(event, event::TRACK, counter);
                integer(event, event::COUNTER, u64::from(queued));
            });
        }
    }

    fn wake(&mut self, to: &mut Packets<'_>, slot: u32, by: Option<u32>, name: u64) {
        self.flows_used += 1;
        let flow = self.flows_used;
        self.flows.insert(slot, flow);
        let task = self.task(slot);
        let by = by.and_then(|by| self.task(by).session);
        to.instant(name, |event| {
            annotate_session(event, SESSION, task.session);
            annotate_session(event, BY, by);
            fixed(event, event::FLOW, flow);
        });
    }

    fn of_task(&self, to: &mut Packets<'_>, slot: u32, name: u64) {
        let session = self.task(slot).session;
        to.instant(name, |event| annotate_session(event, SESSION, session));
    }
}

/// Packets of one moment of a lane.
struct Packets<'t> {
    to: &'t mut Vec<u8>,
    at: Time,
    sequence: u64,
}

impl Packets<'_> {
    /// Name 0: none.
    fn event(&mut self, kind: u64, name: u64, fill: impl FnOnce(&mut Vec<u8>)) {
        message(self.to, 1, |packet| {
            integer(packet, packet::TIMESTAMP, self.at.as_nanos());
            integer(packet, packet::SEQUENCE, self.sequence);
            // SEQ_NEEDS_INCREMENTAL_STATE.
            integer(packet, packet::SEQUENCE_FLAGS, 2);
            message(packet, packet::TRACK_EVENT, |event| {
                integer(event, event::KIND, kind);
                if name > 0 {
                    integer(event, event::NAME, name);
                }
                fill(event);
            });
        });
    }

    fn instant(&mut self, name: u64, fill: impl FnOnce(&mut Vec<u8>)) {
        self.event(INSTANT, name, fill);
    }

    fn end(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        self.event(END, 0, fill);
    }
}

fn completed(of: Completed) -> u64 {
    match of {
        Completed::Accept => iid("accepted"),
        Completed::Connect => iid("connected"),
        Completed::Receive => iid("received"),
        Completed::Send => iid("sent"),
        Completed::Readiness => iid("ready"),
    }
}

fn annotate(event: &mut Vec<u8>, name: u64, value: u64) {
    message(event, event::ANNOTATION, |annotation| {
        integer(annotation, 1, name);
        integer(annotation, 3, value);
    });
}

fn annotate_session(event: &mut Vec<u8>, name: u64, session: Option<SessionId>) {
    if let Some(SessionId(id)) = session {
        annotate(event, name, id);
    }
}

/// Appends an entry of `InternedData`.
fn intern(to: &mut Vec<u8>, field: u32, number: u64, name: &str) {
    message(to, field, |entry| {
        integer(entry, 1, number);
        text(entry, 2, name);
    });
}
