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
use crate::outcome::{Distribution, Outcome, Unreadable};

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
#[derive(Debug)]
pub struct Run {
    name: String,
    outcome: Outcome,
    /// Latency from the intended time.
    intended: Option<Histogram<u64>>,
    service: Option<Histogram<u64>>,
    connect: Option<Histogram<u64>>,
    lateness: Option<Histogram<u64>>,
}

impl Run {
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
            name,
            outcome,
        })
    }
}
