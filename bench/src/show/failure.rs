//! Why results are not shown.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

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
