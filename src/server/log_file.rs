//! The log file of `log.target`: opened before the user changes, reopened by the writing thread.
//!
//! A file is only appended to. Whoever rotates the file renames it and sends SIGUSR1; until the
//! file is open anew, lines go to the old file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::ServerError;
use crate::sys;

/// The key of the log file.
pub(super) const KEY: &str = "log.target";

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens the file for appending, and creates it if there is none.
    ///
    /// # Errors
    /// A mistake of `log.target`.
    pub(super) fn open(path: &Path) -> Result<Self, ServerError> {
        match sys::open_to_append(path, true) {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(error) => Err(refused(KEY, &error)),
        }
    }

    /// Opens what has the file's path now. After an error the open file stays.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = sys::open_to_append(&self.path, true)?;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Takes some of the bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
}

/// Whether the file of a key could be opened, without creating the file.
pub(super) fn check(key: &str, path: &Path) -> Result<(), ServerError> {
    if fs::symlink_metadata(path).is_ok() {
        let opened = sys::open_to_append(path, false);
        return opened.map(drop).map_err(|error| refused(key, &error));
    }
    match path.parent().is_none_or(Path::is_dir) {
        true => Ok(()),
        false => Err(refused(key, &io::ErrorKind::NotFound.into())),
    }
}

/// The mistake of a key whose file cannot be opened.
pub(super) fn refused(key: &str, error: &io::Error) -> ServerError {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => {
            "its folder does not exist; create it (systemd: LogsDirectory=), or write \"stderr\""
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not write it; permit it (chmod, chown), also in the folders above"
                .to_owned()
        }
        io::ErrorKind::IsADirectory => "it is a folder; name a file in it".to_owned(),
        _ if sys::is_symbolic_link(error) => {
            "it is a symbolic link, which could lead to any file; name the file itself, or write \
             \"stderr\""
                .to_owned()
        }
        _ => format!("it cannot be opened: {error}; name a file that can, or write \"stderr\""),
    };
    ServerError::Impossible {
        key: key.to_owned(),
        remedy,
    }
}
