//! The verb `report`: reads result files and writes the page.

use std::fs;

use super::page::page;
use super::run::Run;
use crate::args::ReportArguments;
use crate::outcome::Outcome;
use crate::show::failure::Failure;
use crate::show::names::names;
use crate::show::output::print;

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
    let written = match to.as_os_str() == "-" {
        true => print(&page),
        false => fs::write(to, page),
    };
    written.map_err(|error| Failure::Write(to.clone(), error))
}
