//! A load while it runs: a small value once a second, for whoever shows it.

use std::fmt::{self, Debug, Display, Formatter};
use std::io::{self, Write};

use crate::outcome::Second;
use crate::text::Row;
use crate::text::quantity::Rounded;

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

/// What is known after another second.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Where the load is.
    pub phase: Phase,
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

/// One line a second, on standard error.
#[derive(Debug)]
pub(crate) struct Lines;

impl Observer for Lines {
    fn second(&mut self, snapshot: &Snapshot) {
        // Nobody is left to tell if this fails.
        _ = writeln!(io::stderr(), "{}", Line(snapshot));
    }
}

struct Line<'a>(&'a Snapshot);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Snapshot {
            phase,
            part,
            connections,
            second,
            errors,
            ..
        } = self.0;
        if let Some(part) = part {
            write!(f, "{part}: ")?;
        }
        let phase = match phase {
            Phase::Connecting => "connecting",
            Phase::Holding => "holding",
            Phase::Warmup => "warm-up",
            Phase::Measuring => "measuring",
            Phase::Finishing => "finishing",
        };
        let open = second.connections;
        write!(
            f,
            "{phase}  {}/s  {}",
            Rounded(second.rate),
            Row(&second.latency)
        )?;
        write!(f, "  {open} of {connections} connections  {errors} errors")?;
        if let Some(cores) = second.server_cores {
            write!(f, "  server {:.0} %", 100.0 * cores)?;
        }
        Ok(())
    }
}
