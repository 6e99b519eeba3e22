//! The errors of `report`, `compare` and `--hdr`.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::outcome::{ReadError, Unreadable};

/// Why results cannot be shown.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The file is no document of results.
    Read(ReadError),
    /// A histogram of the document is damaged.
    Histogram(PathBuf, Unreadable),
    /// The output cannot be written.
    Write(PathBuf, io::Error),
    /// The runs cannot be compared.
    Unlike(String),
    /// A run is INVALID, and `--allow-invalid` is not set.
    Invalid(String),
}

impl Failure {
    /// Whether the cause is an INVALID run, rather than the arguments or the files.
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
