//! The load client, run on its core for one slice, and the document that it writes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use corelane_bench::outcome::Outcome;

use crate::instance::Place;
use crate::process::Process;

/// The longest load is a sweep, a minute at most.
const LOAD_MAX: Duration = Duration::from_secs(120);

/// What a load is to the others on its core.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Standing {
    Equal,
    /// It has the core when nobody else there wants it (`SCHED_IDLE`, sched(7)): what is measured
    /// beside it then waits for the server and not for this load.
    Behind,
}

/// A load client under way.
#[derive(Debug)]
pub(crate) struct Load {
    process: Process,
    json: PathBuf,
}

impl Load {
    /// Starts `corelane-bench` with these arguments.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        name: &str,
        standing: Standing,
        arguments: &[&str],
        place: &Place,
    ) -> io::Result<Self> {
        let json = place.scratch.join(format!("{name}.json"));
        match fs::remove_file(&json) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        arguments.extend([
            "-q".to_owned(),
            "--json".to_owned(),
            json.display().to_string(),
        ]);
        let log = place.scratch.join(format!("{name}.log"));
        let mut program = place.programs.join("corelane-bench");
        if standing == Standing::Behind {
            let load = program.display().to_string();
            arguments.splice(0..0, ["--idle".to_owned(), "0".to_owned(), load]);
            program = PathBuf::from("chrt");
        }
        let (core, interrupt) = (place.client_core, &place.interrupt);
        let process = Process::start(name, &program, &arguments, core, &log, interrupt)?;
        Ok(Self { process, json })
    }

    /// Its results, once it has ended by itself.
    ///
    /// # Errors
    /// It has none, or something failed in the load.
    pub(crate) fn finish(mut self) -> io::Result<Outcome> {
        let status = self.process.wait(LOAD_MAX)?;
        self.results(status)
    }

    /// Its results, once it has been told to end.
    ///
    /// # Errors
    /// As [`Load::finish`].
    pub(crate) fn stop(self) -> io::Result<Outcome> {
        self.process.interrupt();
        self.finish()
    }

    fn results(&self, status: ExitStatus) -> io::Result<Outcome> {
        if !self.json.exists() {
            return Err(self.process.failed(&format!("no results, {status}")));
        }
        let outcome = Outcome::read(&self.json).map_err(io::Error::other)?;
        match outcome.errors.total {
            0 => Ok(outcome),
            total => Err(self.process.failed(&format!("{total} errors in the load"))),
        }
    }
}

/// Runs a load to its end, and keeps what it wrote in `keep`, for the report.
///
/// # Errors
/// As [`Load::finish`].
pub(crate) fn run(arguments: &[&str], place: &Place, keep: Option<&Path>) -> io::Result<Outcome> {
    let load = Load::start("load", Standing::Equal, arguments, place)?;
    let json = load.json.clone();
    let outcome = load.finish()?;
    if let Some(keep) = keep {
        fs::copy(json, keep)?;
    }
    Ok(outcome)
}
