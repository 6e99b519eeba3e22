//! Results shown: the HTML report, the comparison of two runs, the live view of a running one, and
//! the files of HdrHistogram's tools. Reads documents of results; makes no load.

mod compare;
mod conditions;
mod hdr;
pub(crate) mod live;
pub mod report;
mod results;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) use self::compare::{CompareArguments, compare};
pub(crate) use self::hdr::HdrFiles;
pub(crate) use self::report::{ReportArguments, report};
use crate::outcome::{ReadError, Unreadable};

/// Why results are not shown.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A file is no document of results.
    Read(ReadError),
    /// It is one, but for a histogram in it.
    Histogram(PathBuf, Unreadable),
    /// What was made has no place to go to.
    Write(PathBuf, io::Error),
    /// The files cannot be compared.
    Unlike(String),
    /// A run that is not to be believed was not asked for.
    Invalid(String),
}

impl Failure {
    /// Whether it was the numbers that were refused, and not the arguments or the files.
    pub(crate) fn is_invalid_run(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Histogram(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Unlike(why) | Self::Invalid(why) => f.write_str(why),
        }
    }
}

impl Error for Failure {}

/// Writes to standard output. Who closed the pipe has read enough: that is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Write("-".into(), error))
        }
        _ => Ok(()),
    }
}

/// What the reader calls each file: its name without folder and ending, or, where two would have
/// the same, the path as given, or its place in the list besides.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.display().to_string());
    let full = |path: &Path| path.display().to_string();
    let twice =
        |name: &String, all: &[String]| all.iter().filter(|other| *other == name).count() > 1;
    let stems: Vec<String> = paths
        .iter()
        .map(|path| stem(path).unwrap_or_else(|| full(path)))
        .collect();
    let fulls: Vec<String> = paths.iter().map(|path| full(path)).collect();
    let name = |(place, (stem, full)): (usize, (&String, &String))| match (
        twice(stem, &stems),
        twice(full, &fulls),
    ) {
        (false, _) => stem.clone(),
        (true, false) => full.clone(),
        (true, true) => format!("{full} ({})", place + 1),
    };
    stems.iter().zip(&fulls).enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::names;

    #[test]
    fn every_file_has_a_name_of_its_own() {
        for (paths, expected) in [
            (&["x/a.json", "b.json"][..], &["a", "b"][..]),
            (
                &["x/a.json", "y/a.json", "c"],
                &["x/a.json", "y/a.json", "c"],
            ),
            (&["a.json", "a.json"], &["a.json (1)", "a.json (2)"]),
        ] {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            assert_eq!(names(&paths), expected);
        }
    }
}
