//! The live view without a terminal: one line a second on standard error.

use std::fmt::{self, Display, Formatter};
use std::io::{self, IsTerminal, Write};

use crate::measure::progress::{Flow, Observer, Snapshot};
use crate::show::output;
use crate::text::figures::{grouped, number, rate, throughput};
use crate::text::table::PercentileLine;
use crate::text::wrap::wrapped;

/// One line a second on standard error, wrapped on a terminal.
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
        // An error of standard error cannot be reported anywhere.
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
                write!(f, "{per_second}  {}", PercentileLine(&second.latency))?;
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
