//! `corelane ctl`: the client of the control socket, with tables for people and JSON for programs;
//! `corelane top`, which runs the live view.
//!
//! Called by `cli`. Knows the API by its JSON alone, as any client does.

mod arguments;
mod client;
mod command;
mod names;
mod show;
mod socket;
mod table;
mod top;
mod trace;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use self::arguments::Command;
pub(crate) use self::arguments::{Ctl, ReloadCommand};
use self::client::{Client, Failed};
pub(crate) use self::top::Top;
use crate::config::Config;

impl Ctl {
    /// Runs the command. `usual` is the default configuration file, and `load` reads a file.
    ///
    /// Exit codes: 0 done; 1 refused or failed by the server; 2 no connection.
    ///
    /// # Errors
    /// The configuration file of the arguments cannot be read.
    pub(crate) fn run<E>(
        self,
        usual: &Path,
        load: impl Fn(&Path) -> Result<Config, E>,
    ) -> Result<ExitCode, E> {
        if let Command::Trace {
            read: Some(read), ..
        } = &self.command
            && let Some(done) = trace::read_file(read, self.json)
        {
            return Ok(ended(done));
        }
        let client =
            match socket::find(self.socket.as_deref(), self.config.as_deref(), usual, load)? {
                Ok(path) => Client::new(path),
                Err(failed) => return Ok(report(&failed)),
            };
        Ok(ended(match &self.command {
            Command::Trace { record, read } => {
                trace::run(&client, record, read.as_ref(), self.json)
            }
            command => command::run(&client, command, self.json).map(String::into_bytes),
        }))
    }
}

/// Prints what a command answers, or reports why not.
fn ended(done: Result<Vec<u8>, Failed>) -> ExitCode {
    let done = done.and_then(|answer| print(&answer).map_err(Failed::Output));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => report(&failed),
    }
}

/// Tells the failure to standard error.
fn report(failed: &Failed) -> ExitCode {
    // Without a standard error there is no way to report.
    _ = writeln!(io::stderr(), "corelane: {failed}");
    match failed {
        Failed::NoConnection(_) | Failed::Unusable(_) => 2.into(),
        Failed::Refused(_) | Failed::Broken(_) | Failed::Output(_) => 1.into(),
    }
}

/// Writes to standard output. A closed pipe is no failure: the reader has read enough.
fn print(answer: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(answer).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
