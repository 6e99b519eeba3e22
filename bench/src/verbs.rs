//! Runs the verbs: arguments in, results out, an exit code. Called by the binary only.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, CommonArguments, Verb};
use crate::measure::assemble::{self, Invocation};
use crate::measure::engine::{Engine, RunError};
use crate::measure::progress::Observer;
use crate::measure::{duel, sweep};
use crate::outcome::Outcome;
use crate::plan::build::Plan;
use crate::plan::error::PlanError;
use crate::show::output::{self, Output};
use crate::show::{self, HdrFiles, live};
use crate::text::document::Text;

/// The result of a load, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Good = 0,
    TargetFailed = 2,
    ThresholdFailed = 3,
    Invalid = 4,
}

/// The width of text that goes to a file or a pipe: as wide as most editors and mail programs show.
const COLUMNS: usize = 100;
/// The arguments are wrong, or the load could not start.
const USAGE: u8 = 1;

/// Why there are no results.
#[derive(Debug)]
enum Failure {
    /// A syntax error, or a request for the help or the version.
    Arguments(clap::Error),
    /// The arguments are valid, but this machine cannot carry them out.
    Plan(PlanError),
    /// The results cannot be written there.
    Output(PathBuf, io::Error),
    Run(RunError),
    /// `report` or `compare` failed.
    Show(show::Failure),
}

impl Failure {
    /// Prints the reason on standard error. Returns 0 for the help and the version.
    fn report(&self) -> ExitCode {
        let text = match self {
            Self::Arguments(error) => {
                // An error of standard error cannot be reported anywhere.
                _ = error.print();
                return match error.use_stderr() {
                    true => USAGE.into(),
                    false => ExitCode::SUCCESS,
                };
            }
            Self::Plan(error) => error.to_string(),
            Self::Output(path, error) => format!("cannot write {}: {error}", path.display()),
            Self::Run(error) => error.to_string(),
            Self::Show(error) => error.to_string(),
        };
        _ = writeln!(io::stderr(), "corelane-bench: {text}");
        match self {
            Self::Show(error) if error.is_invalid_run() => (End::Invalid as u8).into(),
            _ => USAGE.into(),
        }
    }
}

/// Runs the command line `arguments`, prints the results and returns the exit code. The first
/// argument is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match dispatch(&arguments) {
        Ok(end) => ExitCode::from(end as u8),
        Err(failure) => failure.report(),
    }
}

fn dispatch(words: &[OsString]) -> Result<End, Failure> {
    let arguments = Arguments::try_parse_from(words).map_err(Failure::Arguments)?;
    let words = words.iter().skip(1);
    let words = words.map(|word| word.to_string_lossy().into_owned());
    let make = |common, job| make(common, words.collect(), job);
    match &arguments.verb {
        Verb::Run(arguments) => make(&arguments.common, one(Plan::run(arguments))?),
        Verb::Churn(arguments) => make(&arguments.common, one(Plan::churn(arguments))?),
        Verb::Idle(arguments) => make(&arguments.common, one(Plan::idle(arguments))?),
        Verb::Bulk(arguments) => make(&arguments.common, one(Plan::bulk(arguments))?),
        Verb::Sweep(arguments) => {
            let plan = Plan::sweep(arguments).map_err(Failure::Plan)?;
            remark(&[&plan]);
            let job: Job<'_> = Box::new(|engine, invocation| {
                sweep::run(engine, invocation, plan, &arguments.slo, arguments.to)
            });
            make(&arguments.common, job)
        }
        Verb::Duel(arguments) => {
            let plans = Plan::duel(arguments).map_err(Failure::Plan)?;
            remark(&plans.each_ref());
            let job: Job<'_> = Box::new(move |engine, invocation| {
                duel::run(engine, invocation, &plans, arguments)
            });
            make(&arguments.common, job)
        }
        Verb::Report(arguments) => shown(show::report(arguments)),
        Verb::Compare(arguments) => shown(show::compare(arguments)),
    }
}

fn shown(result: Result<(), show::Failure>) -> Result<End, Failure> {
    result.map_err(Failure::Show)?;
    Ok(End::Good)
}

/// Prints notes about the plan before the load starts, so that the user can stop early.
fn remark(plans: &[&Plan]) {
    for remark in plans.iter().flat_map(|plan| &plan.remarks) {
        // An error of standard error cannot be reported anywhere.
        _ = writeln!(io::stderr(), "corelane-bench: note: {remark}");
    }
}

/// The load of a verb. Runs after all checks have passed.
type Job<'a> = Box<dyn FnOnce(&mut Engine, &Invocation) -> Result<Outcome, RunError> + 'a>;

/// A single load.
fn one<'a>(plan: Result<Plan, PlanError>) -> Result<Job<'a>, Failure> {
    let plan = plan.map_err(Failure::Plan)?;
    remark(&[&plan]);
    Ok(Box::new(move |engine, invocation| {
        let results = engine.run(&plan, None)?;
        Ok(assemble::outcome(invocation, &plan, &results))
    }))
}

fn make(common: &CommonArguments, words: Vec<String>, job: Job<'_>) -> Result<End, Failure> {
    let json = common.json.as_deref().map(Json::open).transpose()?;
    let hdr = common.hdr.as_deref().map(HdrFiles::open).transpose();
    let hdr = hdr.map_err(Failure::Show)?;
    let observers = observers(common, &words);
    let invocation = Invocation::new(words);
    let mut engine = Engine::new(observers).map_err(Failure::Run)?;
    let mut outcome = job(&mut engine, &invocation).map_err(Failure::Run)?;
    // Dropping the engine drops the observers, which restores the terminal.
    drop(engine);
    let judge = |condition: &crate::args::condition::Condition| condition.judge(&outcome);
    outcome.thresholds = common.fail_if.iter().map(judge).collect();
    show_text(&outcome, common.quiet, json.as_ref())?;
    if let Some(json) = json {
        json.write(&outcome)?;
    }
    if let Some(hdr) = hdr {
        hdr.write(&outcome).map_err(Failure::Show)?;
    }
    Ok(end(&outcome))
}

/// `words` is the command line.
fn observers(common: &CommonArguments, words: &[String]) -> Vec<Box<dyn Observer>> {
    match common.quiet {
        true => Vec::new(),
        false => vec![live::observer(words.join(" "))],
    }
}

/// Errors of the target outweigh an INVALID verdict: a wrong byte is wrong at any speed of the
/// client.
fn end(outcome: &Outcome) -> End {
    let totals = &outcome.totals;
    let all_open = totals.connections_failed == 0 || outcome.interrupted;
    let nothing = totals.messages + totals.sent_bytes + totals.received_bytes == 0;
    if outcome.errors.total > 0 || !all_open || nothing && !outcome.interrupted {
        return End::TargetFailed;
    }
    match outcome.thresholds.iter().any(|judged| judged.failed) {
        _ if !outcome.verdict.valid => End::Invalid,
        true => End::ThresholdFailed,
        false => End::Good,
    }
}

fn show_text(outcome: &Outcome, quiet: bool, json: Option<&Json>) -> Result<(), Failure> {
    if !quiet {
        let to_error = matches!(json, Some(Json::StandardOutput));
        let is_terminal = match to_error {
            true => io::stderr().is_terminal(),
            false => io::stdout().is_terminal(),
        };
        let columns = output::columns(is_terminal).unwrap_or(COLUMNS);
        let text = Text { outcome, columns }.to_string();
        return match to_error {
            true => write(&mut io::stderr(), text.as_bytes(), "-"),
            false => write(&mut io::stdout(), text.as_bytes(), "-"),
        };
    }
    let print = |text: &str| _ = writeln!(io::stderr(), "corelane-bench: {text}");
    for error in &outcome.errors.first {
        print(&error.to_string());
    }
    for judged in outcome.thresholds.iter().filter(|judged| judged.failed) {
        print(&format!("threshold failed: {}", judged.condition));
    }
    for reason in &outcome.verdict.reasons {
        print(&format!("INVALID: {}", reason.message));
    }
    Ok(())
}

/// The destination of the JSON, opened before the load so that the results cannot get lost.
enum Json {
    StandardOutput,
    File(PathBuf, Output),
}

impl Json {
    fn open(path: &Path) -> Result<Self, Failure> {
        if output::is_standard_output(path) {
            return Ok(Self::StandardOutput);
        }
        match Output::open(path) {
            Ok(file) => Ok(Self::File(path.to_owned(), file)),
            Err(error) => Err(Failure::Output(path.to_owned(), error)),
        }
    }

    fn write(self, outcome: &Outcome) -> Result<(), Failure> {
        let text = outcome.json();
        match self {
            Self::StandardOutput => write(&mut io::stdout(), text.as_bytes(), "-"),
            Self::File(path, file) => {
                let written = file.write(text.as_bytes());
                written.map_err(|error| Failure::Output(path, error))
            }
        }
    }
}

/// A closed pipe is no failure: the reader has enough.
fn write(to: &mut dyn Write, text: &[u8], name: &str) -> Result<(), Failure> {
    match to.write_all(text).and_then(|()| to.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(name.into(), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{End, end};
    use crate::args::condition::Condition;
    use crate::outcome::{Outcome, Verdict, sample};

    fn good() -> Outcome {
        let mut outcome = sample::outcome();
        outcome.verdict.valid = true;
        outcome
    }

    #[test]
    fn the_gravest_result_decides() {
        let mut outcome = good();
        assert_eq!(end(&outcome), End::Good);
        let condition = Condition::parse("p50>1us").unwrap();
        outcome.thresholds = vec![condition.judge(&outcome)];
        assert_eq!(end(&outcome), End::ThresholdFailed);
        outcome.verdict = Verdict::default();
        assert_eq!(end(&outcome), End::Invalid);
        outcome.errors.total = 1;
        assert_eq!(end(&outcome), End::TargetFailed);
    }

    #[test]
    fn an_unsupported_figure_fails() {
        let mut outcome = good();
        // Of 1000 messages only one lies above p99.9.
        let condition = Condition::parse("p99.9>1h").unwrap();
        outcome.thresholds = vec![condition.judge(&outcome)];
        assert_eq!(outcome.thresholds[0].measured, None);
        assert_eq!(end(&outcome), End::ThresholdFailed);
    }

    #[test]
    fn failed_connects_and_no_traffic_are_failures_of_the_target() {
        let mut outcome = good();
        outcome.totals.connections_failed = 1;
        assert_eq!(end(&outcome), End::TargetFailed);
        outcome.interrupted = true;
        assert_eq!(end(&outcome), End::Good);
        let mut outcome = good();
        (outcome.totals.messages, outcome.totals.received_bytes) = (0, 0);
        outcome.totals.sent_bytes = 0;
        assert_eq!(end(&outcome), End::TargetFailed);
    }
}
