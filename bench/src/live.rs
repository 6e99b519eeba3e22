//! A load while it runs: a small value once a second, for whoever shows it.

use std::fmt::{self, Debug, Display, Formatter};
use std::io::{self, IsTerminal, Write};

use crate::figures::{grouped, number, rate, throughput};
use crate::outcome::Second;
use crate::output;
use crate::text::{Row, wrapped};

/// Where a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Connections are being opened.
    Connecting,
    /// They are held.
    Holding,
    /// Messages flow and are not measured yet.
    Warmup,
    /// Messages flow and are measured.
    Measuring,
    /// The last answers are waited for.
    Finishing,
}

impl Phase {
    /// As people say it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Holding => "holding",
            Self::Warmup => "warm-up",
            Self::Measuring => "measuring",
            Self::Finishing => "finishing",
        }
    }
}

/// What a load is made of, and its progress is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Messages, or connections that are made and closed.
    Messages,
    /// Bytes without an end (`bulk`).
    Bytes,
}

/// What is known after another second.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Where the load was for most of the row.
    pub phase: Phase,
    /// What it is made of.
    pub flow: Flow,
    /// What is under way, for a load of several parts: `B, round 3 of 12`, `step 4: 80000/s`.
    pub part: Option<String>,
    /// Connections asked for.
    pub connections: u32,
    /// The row that has ended.
    pub second: Second,
    /// Messages measured so far.
    pub messages: u64,
    /// Faults so far.
    pub errors: u64,
    /// The measured time that is left, in nanoseconds; `None` for a load by count.
    pub left_ns: Option<u64>,
}

/// Is told of a load while it runs, on the main thread, never on a lane's.
pub trait Observer: Debug {
    /// Another second has passed.
    fn second(&mut self, snapshot: &Snapshot);
}

/// One line a second, on standard error; on a terminal as many as it takes.
#[derive(Debug)]
pub(crate) struct Lines {
    columns: Option<usize>,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            columns: output::columns(io::stderr().is_terminal()),
        }
    }
}

impl Observer for Lines {
    fn second(&mut self, snapshot: &Snapshot) {
        // Nobody is left to tell if this fails.
        let line = Line(snapshot).to_string();
        _ = match self.columns {
            Some(columns) => write!(io::stderr(), "{}", wrapped(&line, columns)),
            None => writeln!(io::stderr(), "{line}"),
        };
    }
}

struct Line<'a>(&'a Snapshot);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Snapshot {
            phase,
            flow,
            part,
            connections,
            second,
            errors,
            ..
        } = self.0;
        if let Some(part) = part {
            write!(f, "{part}: ")?;
        }
        write!(f, "{}  ", phase.words())?;
        match flow {
            Flow::Messages => {
                let per_second = rate(second.rate);
                write!(f, "{per_second}  {}", Row(&second.latency))?;
            }
            Flow::Bytes => {
                let sent = throughput(second.sent_bytes_per_second);
                let received = throughput(second.received_bytes_per_second);
                write!(f, "{sent} sent  {received} received")?;
            }
        }
        let (open, errors) = (second.connections, grouped(*errors));
        write!(f, "  {open} of {connections} connections  {errors} errors")?;
        if let Some(cores) = second.server_cores {
            write!(f, "  server {} cores", number(cores))?;
        }
        Ok(())
    }
}
