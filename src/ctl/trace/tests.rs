//! Answers from traces that are written by hand.

use super::replay::{Lane, replay};
use super::summary::{Asked, of};

/// Writes the packets of a lane. Names are numbered: 1 "turn", 2 "look", 3 "sleep", 4 "wake", 5
/// "session 71", 6 "session 72", 7 "accept".
struct Trace(Vec<u8>);

const NAMES: [&str; 7] = [
    "turn",
    "look",
    "sleep",
    "wake",
    "session 71",
    "session 72",
    "accept",
];
const MS: u64 = 1_000_000;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

fn integer(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
    let head = [varint(field << 3 | 2), varint(bytes.len() as u64)].concat();
    [&head, bytes].concat()
}

impl Trace {
    fn new() -> Self {
        let thread = bytes(60, &bytes(4, &bytes(5, b"lane-0")));
        let name = |(name, number): (&&str, u64)| {
            bytes(2, &[integer(1, number), bytes(2, name.as_bytes())].concat())
        };
        let names: Vec<u8> = NAMES.iter().zip(1..).flat_map(name).collect();
        let packet = [thread, bytes(12, &names), integer(10, 2)].concat();
        Self(bytes(1, &packet))
    }

    fn event(&mut self, at: u64, kind: u64, name: u64, more: &[u8]) {
        let event = [integer(9, kind), integer(10, name), more.to_vec()].concat();
        let packet = [integer(8, at), integer(10, 2), bytes(11, &event)].concat();
        self.0.extend(bytes(1, &packet));
    }

    /// The lane is in the kernel for a millisecond, or looks only.
    fn stay(&mut self, from: u64, name: u64) -> u64 {
        let to = from + if name == 3 { MS } else { 1000 };
        self.event(from, 1, name, &[]);
        self.event(to, 2, 0, &[]);
        to
    }

    fn wake(&mut self, at: u64, flow: u64) {
        let flow = [&varint(47 << 3 | 1)[..], &flow.to_le_bytes()].concat();
        self.event(at, 3, 4, &flow);
    }

    fn poll(&mut self, from: u64, to: u64, name: u64, flow: u64) {
        let session = match name {
            5 => bytes(4, &[integer(1, 1), integer(3, 71)].concat()),
            6 => bytes(4, &[integer(1, 1), integer(3, 72)].concat()),
            _ => Vec::new(),
        };
        let flow = [&varint(48 << 3 | 1)[..], &flow.to_le_bytes()].concat();
        self.event(from, 1, name, &[session, flow].concat());
        self.event(to, 2, 0, &[]);
    }

    fn lanes(&self) -> Vec<Lane> {
        replay(&self.0).unwrap()
    }
}

/// Two sessions are woken together: the second waits for the first.
#[test]
fn a_session_waits_behind_those_before_it_in_the_queue() {
    let mut trace = Trace::new();
    let at = trace.stay(MS, 3);
    trace.wake(at, 1);
    trace.wake(at, 2);
    trace.event(at, 1, 1, &[]);
    trace.poll(at, at + 5 * MS, 5, 1);
    trace.poll(at + 5 * MS, at + 6 * MS, 6, 2);
    trace.event(at + 6 * MS, 2, 0, &[]);
    let asked = Asked {
        session: Some(72),
        top: 10,
    };
    let answer = of(&trace.lanes(), asked);
    let wait = &answer["waits"][0];
    assert_eq!(wait["queued_us"], 5000.0);
    assert_eq!(wait["at_most_us"], 5000.0, "the lane slept before");
    assert_eq!(wait["behind"].as_array().unwrap().len(), 1);
    assert_eq!(wait["behind"][0]["session"], 71);
    assert_eq!(wait["behind"][0]["us"], 5000.0);
    assert_eq!(answer["waits"].as_array().unwrap().len(), 1);
    assert_eq!(answer["lanes"][0]["turn_longest_us"], 6000.0);
    assert_eq!(answer["lanes"][0]["load"], 0.857);
}

/// The bytes of the second session arrive while the first runs, and the lane learns of it later.
#[test]
fn a_session_may_have_waited_since_the_look_before() {
    let mut trace = Trace::new();
    let at = trace.stay(MS, 3);
    trace.wake(at, 1);
    trace.event(at, 1, 1, &[]);
    trace.poll(at, at + 60 * MS, 5, 1);
    trace.event(at + 60 * MS, 2, 0, &[]);
    let then = trace.stay(at + 60 * MS, 2);
    trace.wake(then, 2);
    trace.event(then, 1, 1, &[]);
    trace.poll(then, then + MS, 6, 2);
    trace.event(then + MS, 2, 0, &[]);
    let asked = Asked {
        session: None,
        top: 10,
    };
    let answer = of(&trace.lanes(), asked);
    let first = &answer["waits"][0];
    assert_eq!(first["session"], 72, "the longest first");
    assert_eq!(first["queued_us"], 0.0);
    assert_eq!(first["at_most_us"], 60_001.0);
    assert_eq!(first["behind"][0]["session"], 71);
    assert_eq!(answer["waits"][1]["at_most_us"], 0.0);
    assert_eq!(answer["lanes"][0]["stalls"], 1);
    assert_eq!(answer["polls"][0]["us"], 60_000.0);
    let text = super::show::summary(&answer);
    assert!(text.contains("session 71 60.00ms"), "{text}");
}

/// A task that the running task wakes has waited since then, whatever the lane did before.
#[test]
fn a_wake_by_a_task_has_its_moment() {
    let mut trace = Trace::new();
    let at = trace.stay(MS, 3);
    trace.wake(at, 1);
    trace.event(at, 1, 1, &[]);
    trace.event(at, 1, 7, &[]);
    trace.wake(at + 2 * MS, 2);
    trace.event(at + 3 * MS, 2, 0, &[]);
    trace.poll(at + 3 * MS, at + 4 * MS, 6, 2);
    trace.event(at + 4 * MS, 2, 0, &[]);
    let waits = &trace.lanes()[0].waits;
    assert_eq!(waits.len(), 1);
    assert_eq!(waits[0].at_most().length(), MS);
}

#[test]
fn what_is_no_trace_is_refused() {
    let whole = Trace::new().0;
    let refused = |bytes: &[u8]| replay(bytes).unwrap_err();
    assert!(refused(&whole[..whole.len() - 1]).contains("cut off"));
    assert!(refused(b"hello, I am no trace").contains("no trace"));
    assert!(refused(b"").contains("no lane"));
}
