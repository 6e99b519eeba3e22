//! Follows the events of each lane in a trace: turns, polls, and waits from a wake to the poll.
//!
//! A lane learns of bytes when it looks at the kernel, which it does between two turns. A wait is
//! known to last from the wake on; it may have begun after the look before, since the bytes may
//! have arrived while tasks ran. Both are kept.

use std::collections::HashMap;

use super::wire::{Fields, Malformed, Value};

/// A stay in the kernel of this length was a sleep: what woke the lane had not waited. A shorter
/// one may have found its completions there.
const SLEPT_NS: u64 = 20_000;

/// A time between two moments of the server's clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// The poll of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Poll {
    /// The number of the task's name.
    pub(super) who: u64,
    pub(super) span: Span,
}

/// A task waited in the run queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) who: u64,
    /// From the wake to the poll.
    pub(super) span: Span,
    /// The earliest moment of the cause.
    pub(super) earliest: u64,
}

/// What a lane did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) name: String,
    /// From the first event to the last.
    pub(super) span: Span,
    /// In order, as all lists.
    pub(super) turns: Vec<Span>,
    pub(super) polls: Vec<Poll>,
    pub(super) waits: Vec<Wait>,
    pub(super) queue_longest: u64,
    /// The recording of the lane ended early.
    pub(super) is_full: bool,
    names: HashMap<u64, String>,
    sessions: HashMap<u64, u64>,
}

impl Span {
    pub(super) fn length(self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// The length of the common part.
    pub(super) fn overlap(self, other: Self) -> u64 {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        to.saturating_sub(from)
    }
}

impl Wait {
    /// The longest that the wait can have been.
    pub(super) fn at_most(&self) -> Span {
        Span {
            from: self.earliest,
            ..self.span
        }
    }
}

impl Lane {
    /// The name of a task.
    pub(super) fn who(&self, who: u64) -> &str {
        self.names.get(&who).map_or("a task", String::as_str)
    }

    /// The id of a session.
    pub(super) fn session(&self, who: u64) -> Option<u64> {
        self.sessions.get(&who).copied()
    }
}

/// The lanes of a trace.
///
/// # Errors
/// The bytes are no trace of this program.
pub(super) fn replay(trace: &[u8]) -> Result<Vec<Lane>, String> {
    let no_trace = "this is no trace of corelane ctl trace";
    let mut lanes = Replays::default();
    for field in Fields::of(trace) {
        let read = field.and_then(|field| match field {
            (1, Value::Bytes(packet)) => lanes.packet(packet),
            _ => Err(Malformed),
        });
        read.map_err(|Malformed| format!("{no_trace}, or it is cut off"))?;
    }
    let mut done: Vec<Lane> = lanes.0.into_values().map(|one| one.lane).collect();
    done.retain(|lane| lane.name.starts_with("lane-"));
    if done.is_empty() {
        return Err(format!("{no_trace}: it has no lane"));
    }
    done.sort_by_key(|lane| lane.name[5..].parse::<usize>().unwrap_or(usize::MAX));
    Ok(done)
}

/// By packet sequence.
#[derive(Debug, Default)]
struct Replays(HashMap<u64, Replay>);

/// The state of a lane between two events.
#[derive(Debug, Default)]
struct Replay {
    lane: Lane,
    has_begun: bool,
    /// The open slices: the name and the begin.
    open: Vec<(u64, u64)>,
    /// The last two stays in the kernel.
    stays: [Span; 2],
    /// The wakes without a poll yet, by flow: the moment, and the earliest moment of the cause.
    wakes: HashMap<u64, (u64, u64)>,
}

/// An event of a track.
#[derive(Clone, Copy, Debug, Default)]
struct Event {
    kind: u64,
    name: u64,
    counter: u64,
    flow: Option<u64>,
    flow_end: Option<u64>,
    session: Option<u64>,
}

impl Replays {
    fn packet(&mut self, packet: &[u8]) -> Result<(), Malformed> {
        let (mut at, mut sequence) = (0, 0);
        let (mut event, mut interned, mut track) = (None, None, None);
        for field in Fields::of(packet) {
            match field? {
                (8, Value::Integer(time)) => at = time,
                (10, Value::Integer(number)) => sequence = number,
                (11, Value::Bytes(bytes)) => event = Some(bytes),
                (12, Value::Bytes(bytes)) => interned = Some(bytes),
                (60, Value::Bytes(bytes)) => track = Some(bytes),
                _ => {}
            }
        }
        let replay = self.0.entry(sequence).or_default();
        if let Some(thread) = track.map(|track| bytes_of(track, 4)).transpose()?.flatten() {
            replay.lane.name = bytes_of(thread, 5)?.map(text).unwrap_or_default();
        }
        for entry in interned.into_iter().flat_map(Fields::of) {
            if let (2, Value::Bytes(entry)) = entry? {
                replay.intern(entry)?;
            }
        }
        match event {
            Some(event) => {
                let event = Event::read(event)?;
                replay.event(at, event);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Event {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut event = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (9, Value::Integer(kind)) => event.kind = kind,
                (10, Value::Integer(name)) => event.name = name,
                (30, Value::Integer(counter)) => event.counter = counter,
                (47, Value::Integer(flow)) => event.flow = Some(flow),
                (48, Value::Integer(flow)) => event.flow_end = Some(flow),
                (4, Value::Bytes(annotation)) => {
                    // The first annotation is the session, where there is one.
                    let [name, value] = [integer_of(annotation, 1)?, integer_of(annotation, 3)?];
                    if name == Some(1) {
                        event.session = value;
                    }
                }
                _ => {}
            }
        }
        Ok(event)
    }
}

impl Replay {
    fn intern(&mut self, entry: &[u8]) -> Result<(), Malformed> {
        if let (Some(number), Some(name)) = (integer_of(entry, 1)?, bytes_of(entry, 2)?) {
            self.lane.names.insert(number, text(name));
        }
        Ok(())
    }

    fn event(&mut self, at: u64, event: Event) {
        if !self.has_begun {
            self.has_begun = true;
            self.lane.span.from = at;
        }
        self.lane.span.to = self.lane.span.to.max(at);
        match event.kind {
            1 => self.begin(at, event),
            2 => self.end(at),
            3 => self.instant(at, event),
            4 => self.lane.queue_longest = self.lane.queue_longest.max(event.counter),
            _ => {}
        }
    }

    fn begin(&mut self, at: u64, event: Event) {
        self.open.push((event.name, at));
        if let Some(session) = event.session {
            self.lane.sessions.insert(event.name, session);
        }
        let wake = event.flow_end.and_then(|flow| self.wakes.remove(&flow));
        if let Some((woken, earliest)) = wake {
            self.lane.waits.push(Wait {
                who: event.name,
                span: Span {
                    from: woken,
                    to: at,
                },
                earliest,
            });
        }
    }

    fn end(&mut self, at: u64) {
        let Some((name, from)) = self.open.pop() else {
            return;
        };
        let span = Span { from, to: at };
        match self.lane.who(name) {
            "turn" => self.lane.turns.push(span),
            "sleep" | "look" => self.stays = [self.stays[1], span],
            _ => self.lane.polls.push(Poll { who: name, span }),
        }
    }

    fn instant(&mut self, at: u64, event: Event) {
        if self.lane.who(event.name) == "the recording is full" {
            self.lane.is_full = true;
        }
        if let Some(flow) = event.flow {
            let earliest = self.earliest(at);
            self.wakes.insert(flow, (at, earliest));
        }
    }

    /// The earliest moment of what wakes a task now.
    fn earliest(&self, at: u64) -> u64 {
        let is_polling = self.open.last().is_some_and(|&(name, _)| {
            let name = self.lane.who(name);
            name != "turn" && name != "sleep" && name != "look"
        });
        let [before, last] = self.stays;
        match () {
            // The running task is the cause.
            () if is_polling => at,
            // The first look of the recording has none before.
            () if last == Span::default() => at,
            () if last.length() >= SLEPT_NS || before == Span::default() => last.to,
            () => before.to,
        }
    }
}

fn integer_of(message: &[u8], field: u64) -> Result<Option<u64>, Malformed> {
    for one in Fields::of(message) {
        match one? {
            (number, Value::Integer(value)) if number == field => return Ok(Some(value)),
            _ => {}
        }
    }
    Ok(None)
}

fn bytes_of(message: &[u8], field: u64) -> Result<Option<&[u8]>, Malformed> {
    for one in Fields::of(message) {
        match one? {
            (number, Value::Bytes(value)) if number == field => return Ok(Some(value)),
            _ => {}
        }
    }
    Ok(None)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
