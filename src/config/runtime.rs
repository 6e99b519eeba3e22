//! `[runtime]`: how many lanes, on which CPUs, with which poller.
//!
//! Read by `Config::parse`. The start finds out whether this machine has the CPUs, the poller and
//! the descriptors, so a file is valid or invalid on every machine alike.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use toml::de::DeValue;

use super::effective::{Effective, Keys};
use super::errors::Reported;
use super::section::Section;
use super::value::{self, Unique, Value};

/// The `[runtime]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runtime {
    /// How many lanes there are, or on which CPUs; `runtime.lanes`.
    pub lanes: Lanes,
    /// Whether a lane stays on its CPU; `runtime.pin`.
    pub pin: Pin,
    /// The back end of the lanes' pollers; `runtime.poller`.
    pub poller: PollerChoice,
    /// How long a busy lane polls before a sleep, 0 to 1 ms; zero is never; `runtime.idle_spin`.
    pub idle_spin: Duration,
    /// How many sessions there may be at once, over all lanes; `runtime.max_sessions`.
    pub max_sessions: MaxSessions,
    /// How many bytes one direction of a session may buffer in user space before the session stops
    /// reading, 40 KiB to 16 MiB; `runtime.high_mark`.
    pub high_mark: usize,
}

/// How many lanes there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// One for each CPU that the process may use.
    Auto,
    /// So many, at most 1,024.
    Count(NonZeroUsize),
    /// A lane on each of these CPUs, by the operating system's numbers: at least one, none twice.
    Cpus(Vec<usize>),
}

/// Whether a lane stays on its CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pin {
    /// Where this process has all CPUs that it may use for itself: with a lane for each of them.
    Auto,
    /// Each lane, on CPUs from the first on.
    Yes,
    /// None.
    No,
}

/// The back end of the lanes' pollers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollerChoice {
    /// The best that passes its self-test at start.
    Auto,
    /// Linux io_uring, or no start.
    IoUring,
    /// Linux epoll, or no start.
    Epoll,
    /// The BSDs' and macOS's kqueue, or no start.
    Kqueue,
    /// Windows' completion ports, or no start.
    Iocp,
}

/// How many sessions there may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaxSessions {
    /// What the limits on descriptors and on memory allow, some kept spare.
    Auto,
    /// A fixed number; further connections wait in the backlog.
    Count(NonZeroU32),
}

/// Beyond the largest machines; a mistyped number does not start a million threads.
const LANES_MAX: usize = 1024;
/// The highest CPU in a `cpu_set_t` (sched_setaffinity(2)).
const CPU_ID_MAX: usize = 1023;
/// Two sockets and a task are some 5 KiB: more than half a terabyte for so many.
const SESSIONS_MAX: u32 = 100_000_000;
/// A wake-up costs some 5 to 50 us; polling for much longer only wastes CPU time.
const IDLE_SPIN_MAX: Duration = Duration::from_millis(1);
/// Two buffers: a receive fills a buffer while a send empties the second.
const HIGH_MARK_MIN: u64 = 40 << 10;
/// More than 10 Gbit/s over 10 ms has in flight: a larger buffer adds delay, not throughput.
const HIGH_MARK_MAX: u64 = 16 << 20;

const POLLERS: &[(&str, PollerChoice)] = &[
    ("auto", PollerChoice::Auto),
    ("io_uring", PollerChoice::IoUring),
    ("epoll", PollerChoice::Epoll),
    ("kqueue", PollerChoice::Kqueue),
    ("iocp", PollerChoice::Iocp),
];

impl Runtime {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let idle_spin = value::duration(
            Duration::ZERO..=IDLE_SPIN_MAX,
            "a longer spin burns a core and saves nothing, a wake takes some 50us",
        );
        let high_mark = value::size(
            HIGH_MARK_MIN..=HIGH_MARK_MAX,
            "less stops a fast transfer at every turn, more lets one slow reader hold it all",
        );
        Self {
            lanes: section.optional("lanes", Lanes::Auto, lanes),
            pin: pin(section),
            poller: section.optional(
                "poller",
                PollerChoice::Auto,
                value::word("a poller", POLLERS),
            ),
            idle_spin: section.optional("idle_spin", Duration::ZERO, idle_spin),
            max_sessions: section.optional("max_sessions", MaxSessions::Auto, max_sessions),
            high_mark: section.optional("high_mark", 80 << 10, high_mark),
        }
    }

    pub(super) fn keys(&self) -> Keys {
        let Self {
            lanes,
            pin,
            poller,
            idle_spin,
            max_sessions,
            high_mark,
        } = self;
        let lanes = match lanes {
            Lanes::Auto => Effective::text("auto"),
            Lanes::Count(count) => Effective::number(count.get()),
            Lanes::Cpus(cpus) => {
                Effective::List(cpus.iter().map(|cpu| Effective::number(*cpu)).collect())
            }
        };
        let pin = match pin {
            Pin::Auto => Effective::text("auto"),
            Pin::Yes => Effective::Boolean(true),
            Pin::No => Effective::Boolean(false),
        };
        let max_sessions = match max_sessions {
            MaxSessions::Auto => Effective::text("auto"),
            MaxSessions::Count(count) => Effective::number(count.get()),
        };
        Keys::default()
            .on_restart("lanes", lanes)
            .on_restart("pin", pin)
            .on_restart("poller", Effective::text(value::word_of(POLLERS, poller)))
            .on_restart("idle_spin", Effective::duration(*idle_spin))
            .on_reload("max_sessions", max_sessions)
            .on_restart("high_mark", Effective::size(*high_mark))
    }
}

fn lanes(value: &Value<'_>) -> Result<Lanes, Reported> {
    match value.raw() {
        DeValue::String(text) if text == "auto" => Ok(Lanes::Auto),
        DeValue::Integer(_) => {
            let count = value::integer(1..=LANES_MAX, "one for each CPU is enough")(value)?;
            let count = NonZeroUsize::new(count).expect("the range begins at 1");
            Ok(Lanes::Count(count))
        }
        DeValue::Array(_) => cpus(value).map(Lanes::Cpus),
        _ => Err(value.malformed(
            "a number of lanes",
            format!("\"auto\", 1 to {LANES_MAX}, or a list of CPU ids such as [0, 1]"),
        )),
    }
}

fn cpus(value: &Value<'_>) -> Result<Vec<usize>, Reported> {
    let elements = value.elements("a list of CPU ids", "a list such as [0, 1]")?;
    if elements.is_empty() {
        return Err(value.senseless("no CPU, so no lane", "at least one CPU id, or \"auto\""));
    }
    let id = value::integer(0..=CPU_ID_MAX, "the CPUs that a thread can be bound to");
    let mut seen = Unique::new("this CPU");
    value::all(&elements, |element| {
        let id = id(element)?;
        seen.claim(id, element)?;
        Ok(id)
    })
}

/// `pin`, checked against a list of CPUs.
fn pin(section: &mut Section<'_>) -> Pin {
    let listed = section
        .value("lanes")
        .is_some_and(|lanes| matches!(lanes.raw(), DeValue::Array(_)));
    let pin = value::unless("auto", value::boolean);
    section.optional("pin", Pin::Auto, |value| match pin(value)? {
        Some(false) if listed => Err(value.senseless(
            "runtime.lanes names the CPUs that lanes are bound to",
            "true here, or a number of lanes there",
        )),
        Some(false) => Ok(Pin::No),
        Some(true) => Ok(Pin::Yes),
        None => Ok(Pin::Auto),
    })
}

fn max_sessions(value: &Value<'_>) -> Result<MaxSessions, Reported> {
    match value.raw() {
        DeValue::String(text) if text == "auto" => Ok(MaxSessions::Auto),
        DeValue::Integer(_) => {
            let why = "a session costs memory and descriptors";
            let count = value::integer(1..=SESSIONS_MAX, why)(value)?;
            let count = NonZeroU32::new(count).expect("the range begins at 1");
            Ok(MaxSessions::Count(count))
        }
        _ => Err(value.malformed(
            "a number of sessions",
            format!("\"auto\", or 1 to {SESSIONS_MAX}"),
        )),
    }
}
