//! The verbs: arguments in, a load made and told, an exit code out. Called by the binary alone.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, CommonArguments, Verb};
use crate::plan::{Impossible, Plan};
use crate::report::Report;
use crate::run::{self, RunError};
use crate::text::Text;

/// How a load went that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything came back right.
    Good,
    /// Something failed; the report says what.
    Failed,
}

impl Outcome {
    /// 0 or 1.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Good => ExitCode::SUCCESS,
            Self::Failed => ExitCode::FAILURE,
        }
    }
}

/// Why there is no report.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments make no sense, or ask for help or the version.
    Arguments(clap::Error),
    /// They make sense, and cannot be carried out here.
    Impossible(Impossible),
    /// The report has no place to go to.
    Output(PathBuf, io::Error),
    Run(RunError),
}

impl Failure {
    /// Says on standard error why, and gives the exit code: 2 when nothing was started, 1 when the
    /// load failed as a whole, 0 for help and version.
    pub(crate) fn report(&self) -> ExitCode {
        let (text, code) = match self {
            Self::Arguments(error) => {
                let code = u8::try_from(error.exit_code()).unwrap_or(2);
                // Nobody is left to tell if this fails, as below.
                _ = error.print();
                return code.into();
            }
            Self::Impossible(error) => (error.to_string(), 2),
            Self::Output(path, error) => (format!("cannot write {}: {error}", path.display()), 2),
            Self::Run(error) => (error.to_string(), 1),
        };
        _ = writeln!(io::stderr(), "corelane-bench: {text}");
        code.into()
    }
}

/// Does what the arguments ask for, says what came of it, and gives the exit code. The first
/// argument is the name of the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match obey(arguments) {
        Ok(outcome) => outcome.code(),
        Err(failure) => failure.report(),
    }
}

fn obey(arguments: impl IntoIterator<Item = OsString>) -> Result<Outcome, Failure> {
    let arguments = Arguments::try_parse_from(arguments).map_err(Failure::Arguments)?;
    match &arguments.verb {
        Verb::Run(arguments) => make(Plan::run(arguments), &arguments.common),
        Verb::Idle(arguments) => make(Plan::idle(arguments), &arguments.common),
    }
}

fn make(plan: Result<Plan, Impossible>, common: &CommonArguments) -> Result<Outcome, Failure> {
    let plan = plan.map_err(Failure::Impossible)?;
    let json = common.json.as_deref().map(Json::open).transpose()?;
    let results = run::run(&plan).map_err(Failure::Run)?;
    let report = Report::new(&plan, &results);
    if !common.quiet {
        let text = Text(&report).to_string();
        match &json {
            Some(Json::StandardOutput) => write(&mut io::stderr(), text.as_bytes(), "-")?,
            _ => write(&mut io::stdout(), text.as_bytes(), "-")?,
        }
    } else if !report.is_good() {
        for fault in &report.error_details {
            _ = writeln!(io::stderr(), "corelane-bench: {fault}");
        }
    }
    if let Some(json) = json {
        json.write(&report)?;
    }
    Ok(match report.is_good() {
        true => Outcome::Good,
        false => Outcome::Failed,
    })
}

/// Where the JSON goes to. Opened before the load, so that its results are not lost after it.
enum Json {
    StandardOutput,
    File(PathBuf, File),
}

impl Json {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::StandardOutput);
        }
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        match file {
            Ok(file) => Ok(Self::File(path.to_owned(), file)),
            Err(error) => Err(Failure::Output(path.to_owned(), error)),
        }
    }

    fn write(self, report: &Report) -> Result<(), Failure> {
        let text = report.json();
        match self {
            Self::StandardOutput => write(&mut io::stdout(), text.as_bytes(), "-"),
            Self::File(path, mut file) => {
                let written = file
                    .set_len(0)
                    .and_then(|()| file.write_all(text.as_bytes()));
                written.map_err(|error| Failure::Output(path, error))
            }
        }
    }
}

/// Who closed the pipe has read enough: that is no failure.
fn write(to: &mut dyn Write, text: &[u8], name: &str) -> Result<(), Failure> {
    match to.write_all(text).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(name.into(), error))
        }
        _ => Ok(()),
    }
}
