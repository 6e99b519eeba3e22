//! `report`: one HTML file with plots and tables of one run or several, that opens from disk with
//! no network. [`page()`] makes it; the verb reads the files and writes it.

mod axis;
mod duel;
mod markup;
mod page;
mod plot;
mod plots;
mod tables;

use std::fs;
use std::path::PathBuf;

use clap::Args;
use hdrhistogram::Histogram;

pub use self::page::page;
use super::{Failure, names, print};
use crate::outcome::{Distribution, Outcome, Side, Unreadable};

/// `report`, as written.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Results that --json wrote; several are drawn over each other
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where the report goes to; - is standard output
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
}

/// Reads the results and writes the report.
pub(crate) fn report(arguments: &ReportArguments) -> Result<(), Failure> {
    let mut runs = Vec::new();
    for (path, name) in arguments.files.iter().zip(names(&arguments.files)) {
        let outcome = Outcome::read(path).map_err(Failure::Read)?;
        let run = Run::new(name, outcome);
        runs.push(run.map_err(|error| Failure::Histogram(path.clone(), error))?);
    }
    let page = page(&runs);
    let to = &arguments.html;
    match to.as_os_str() == "-" {
        true => print(&page),
        false => fs::write(to, page).map_err(|error| Failure::Write(to.clone(), error)),
    }
}

/// One run of a report: its results, and the name by which the reader knows it.
#[derive(Clone, Debug)]
pub struct Run {
    name: String,
    outcome: Outcome,
    /// Latency from the intended time.
    intended: Option<Histogram<u64>>,
    service: Option<Histogram<u64>>,
    connect: Option<Histogram<u64>>,
    lateness: Option<Histogram<u64>>,
    /// A duel's targets, each as a run of its own.
    sides: Vec<Self>,
}

impl Run {
    /// What is drawn of it: of a duel each target by its name, else the run itself.
    pub(crate) fn drawn(&self, alone: bool) -> Vec<Self> {
        let mut drawn = self.sides.clone();
        if drawn.is_empty() {
            return vec![self.clone()];
        }
        if !alone {
            for side in &mut drawn {
                side.name = format!("{}, {}", self.name, side.name);
            }
        }
        drawn
    }

    /// Latency from the intended time if there is one, else service time.
    pub(crate) fn first(&self) -> Option<&Histogram<u64>> {
        self.intended.as_ref().or(self.service.as_ref())
    }

    /// Takes a run in.
    ///
    /// # Errors
    /// When one of its histograms cannot be read.
    pub fn new(name: String, outcome: Outcome) -> Result<Self, Unreadable> {
        let open = |times: &Option<Distribution>| {
            let histogram = times.as_ref().map(|times| times.histogram.open());
            histogram.transpose()
        };
        Ok(Self {
            intended: open(&outcome.latency.intended)?,
            service: open(&outcome.latency.service)?,
            connect: open(&outcome.latency.connect)?,
            lateness: open(&outcome.lateness)?,
            sides: sides(&outcome)?,
            name,
            outcome,
        })
    }
}

/// A duel's targets, each by its name; of anything else none.
fn sides(outcome: &Outcome) -> Result<Vec<Run>, Unreadable> {
    let duel = outcome.duel.as_ref();
    let Some((duel, sides)) = duel.and_then(|duel| Some((duel, duel.sides.as_ref()?))) else {
        return Ok(Vec::new());
    };
    let side = |(place, side): (usize, &Side)| {
        let mut own = outcome.clone();
        own.duel = None;
        own.target = duel.targets[place].clone();
        own.totals = side.totals.clone();
        own.latency = side.latency.clone();
        own.lateness.clone_from(&side.lateness);
        own.server.clone_from(&side.server);
        own.generator = side.generator.clone();
        Run::new(duel.names()[place].to_owned(), own)
    };
    sides.iter().enumerate().map(side).collect()
}
